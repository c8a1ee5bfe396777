"""Does the mouth say what is heard: measured on the stream that a reader gets from a real station.

    python benchmarks/lip_sync.py [--presenter anna | --avatar FILE] [--size 720p25]
                                  [--keep FILE.flv]

Speech with known phoneme times (flite's speaker slt, whom the network never heard; without flite
the shorter recording of tests/fixtures) is POSTed as sound, then music alone and noise alone. How
the mouth is measured: ``mouth_seen``; where it is, of a presenter and of an avatar that is made of
a picture or a clip: ``faces``. "late" is the mouth against the captured sound. The control
compares with the opening that the same sentences in another order ask for. The last row is what
the network asked for: the rest is lost in drawing, in the codec, and in measuring.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import soundfile
import soxr

import idle_media
from benchmarks.capture import Captured, Sound, read, recording
from benchmarks.faces import Face, drawn_face, photographed_face
from benchmarks.live_path import goal
from benchmarks.mouth_seen import CLOSED, Mouth, Speech, Verdict, fit, judge, mouths, scaled
from benchmarks.rig import SIZES, SOUND_RATE, Rig, Size, StationRun, wait_for
from benchmarks.soak import ask, states
from broadcaster.avatars.shelf import find
from gpu_pool.engines.mouth import MouthNet
from gpu_pool.engines.mouth.phonemes import Segment, spoken_closures
from gpu_pool.engines.mouth.visemes import SIL
from gpu_pool.training.mouth.recorded import NEVER_TRAINED, speak
from tests.doubles.api_server import form
from tests.doubles.labelled_speech import slt

TEXTS = (
    "Good evening, and a warm welcome to everybody who has just come home.",
    "Our first report is about a small bakery beside the abbey.",
    "Its owner, Mr. Pim, makes about eight hundred loaves by hand every morning.",
    "People wait in front of the shop before half past five.",
    "Now to the weather map, where a broad band of rain moves up from the bay.",
    "By Monday it may be warm enough for a picnic in the park.",
    "Farmers hope that the worst of the storm has passed their apple trees.",
    "In football, both teams missed a penalty before the break.",
    "The public library opens again after six months of repairs.",
    "A member of the museum found a map behind an old picture frame.",
    "Maybe the most beautiful thing about it is the name of the boat.",
    "That was our programme; please stay with us for some piano music.",
)
PAUSE_S = 0.5
SEED = 7
ALONE_S = 8.0
"""Length of the music and of the noise."""

SAID_WITHIN_S = 120
MADE_WITHIN_S = 300

GUEST = "guest"
"""What an avatar made here is called."""

LEAST_CLOSURES = {"drawn": 0.80, "photographed": 0.70}


def say(texts: tuple[str, ...], folder: Path) -> Speech | None:
    """The texts with pauses between them; None where there is no flite."""
    if shutil.which("flite") is None:
        return None
    voice = next(each for each in NEVER_TRAINED if each.name == "flite slt")
    pieces, spoken, at_s = [], [], 0.0
    pause = np.zeros(round(PAUSE_S * SOUND_RATE), np.float32)
    for each in speak(voice, list(texts), SEED, folder):
        pieces += [
            pause,
            soxr.resample(each.sound / np.float32(32768), each.sample_rate, SOUND_RATE),
        ]
        spoken += [
            Segment(at_s, at_s + PAUSE_S, SIL),
            *(Segment(at_s + PAUSE_S + s.start_s, at_s + PAUSE_S + s.end_s, s.viseme)
              for s in each.spoken),
        ]  # fmt: skip
        at_s = sum(len(piece) for piece in pieces) / SOUND_RATE
    spoken.append(Segment(at_s, at_s + PAUSE_S, SIL))
    return Speech(np.concatenate([*pieces, pause]).astype(np.float32), spoken)


def of_fixture() -> tuple[Speech, Speech]:
    """The recording that the tests use, and for the control the same 8 s later."""
    held = slt()
    sound = soxr.resample(held.sound, held.sample_rate, SOUND_RATE)
    later = [Segment(s.start_s + 8, s.end_s + 8, s.viseme) for s in held.spoken]
    end_s, first = held.spoken[-1].end_s, [s for s in later if s.start_s >= held.spoken[-1].end_s]
    wrapped = [Segment(s.start_s - end_s, s.end_s - end_s, s.viseme) for s in first]
    return Speech(sound, list(held.spoken)), Speech(sound, wrapped + later)


def music(seconds: float) -> Sound:
    """Plucked chords over a beat."""
    at_s = np.arange(int(seconds * SOUND_RATE)) / SOUND_RATE
    tune = np.zeros(len(at_s))
    for number, start_s in enumerate(np.arange(0, seconds, 0.4)):
        since_s = np.clip(at_s - start_s, 0, None)
        for half_tones in (0, 4 - number % 2, 7):
            turns = 2 * np.pi * 131 * 2 ** ((half_tones + number * 5 % 12) / 12) * since_s
            pluck = (since_s > 0) * np.exp(-4 * since_s)
            tune += pluck * (np.sin(turns) + np.sin(2 * turns) / 2 + np.sin(3 * turns) / 3)
    return (0.2 * tune / np.abs(tune).max()).astype(np.float32)


def noise(seconds: float) -> Sound:
    """White noise at -20 dBFS."""
    dice = np.random.default_rng(3)
    return (0.1 * dice.standard_normal(int(seconds * SOUND_RATE))).astype(np.float32)


# --- the station --------------------------------------------------------------------------------


def post(station: StationRun, file: Path) -> None:
    """Say a file and wait until it was said."""
    body, kind = form(file.read_bytes(), file.name, {})
    answer: dict[str, Any] = ask(station.api_port, "POST", "/generate_video", body, kind)
    task = str(answer["task_id"])
    ended = {"done", "failed", "cancelled"}
    wait_for("the task", lambda: states(station.api_port, [task])[0] in ended, SAID_WITHIN_S)
    if states(station.api_port, [task])[0] != "done":
        raise RuntimeError(f"not said: {ask(station.api_port, 'GET', f'/tasks/{task}')}")


def make_guest(rig: Rig, state: Path, source: Path) -> None:
    """One command makes an avatar of a picture or a clip."""
    config = rig.folder / "create.yaml"
    config.write_text(json.dumps({"station": {"state_dir": str(state)}}))
    order = ["create", str(source), "--name", GUEST, "--config", str(config)]
    if rig.python("broadcaster", "avatar", *order).wait(MADE_WITHIN_S):
        raise RuntimeError(f"no avatar: {rig.log_tail()}")


def on_air(options: argparse.Namespace, size: Size, sounds: list[Sound]) -> tuple[Captured, Face]:
    """What a reader gets while the station says the sounds, one after the other."""
    with Rig() as rig:
        state, avatar = rig.folder / "var", options.presenter
        if options.avatar is not None:
            make_guest(rig, state, options.avatar)
            avatar = GUEST
            face = photographed_face(find(GUEST, state).source, size)
        else:
            face = drawn_face(avatar, size)
        video = {"width": size.width, "height": size.height, "fps": size.fps}
        channel = {"name": "main", "avatar": avatar, "video": video}
        station = StationRun(rig, state, [channel], preview={"enabled": False})
        station.wait_until_idle(avatar)
        with recording(rig, station.url()) as file:
            for sound in sounds:
                wave = rig.folder / "sound.wav"
                soundfile.write(wave, sound, SOUND_RATE, subtype="PCM_16")
                post(station, wave)
        station.stop()
        if options.keep:
            shutil.copy(file, options.keep)
        return read(file, face.look), face


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--presenter", default=idle_media.DEFAULT, choices=idle_media.presenters())
    parser.add_argument("--avatar", type=Path, help="a picture or clip, of which one is made")
    parser.add_argument("--size", choices=SIZES, default="720p25")
    parser.add_argument("--keep", type=Path, help="keep the recording")
    options = parser.parse_args()
    size = SIZES[options.size]
    with Rig() as rig:
        speech = say(TEXTS, rig.folder)
        control = say(TEXTS[::-1], rig.folder)
    if speech is None or control is None:
        print("there is no flite: the shorter recording of tests/fixtures is said")
        speech, control = of_fixture()
    sounds = [speech.sound, music(ALONE_S), noise(ALONE_S)]
    captured, face = on_air(options, size, sounds)
    found = mouths(captured, face.shut, speech, sounds, size.fps)
    closures = len(spoken_closures(speech.spoken))
    print(f"\n{len(speech.sound) / SOUND_RATE:.1f} s of speech with {closures} closures, "
          f"{len(captured.at_s)} pictures recorded")  # fmt: skip
    least = LEAST_CLOSURES["photographed" if options.avatar else "drawn"]
    return 0 if report(found, speech, control, size.fps, least) else 1


def report(
    seen: dict[str, list[Mouth]], speech: Speech, control: Speech, fps: int, least: float
) -> bool:
    """Print the figures; True when every goal is met."""
    print(f"{'':12}{'corr':>7}{'late ms':>9}{'closures':>10}{'pauses':>8}{'control':>9}"
          f"{'music':>8}{'noise':>8}")  # fmt: skip
    found = {}
    for name, (said, played, hissed) in seen.items():
        verdict, (wrong, _) = judge(said, speech.spoken, 1 / fps), fit(said, control.spoken)
        opened = [float((each.opening > CLOSED).mean()) for each in (played, hissed)]
        found[name] = verdict, wrong, opened
        show(name, verdict, wrong, opened)
    asked = MouthNet.load().track(soxr.resample(speech.sound, SOUND_RATE, 16_000), fps)
    opening = asked[:, 0].astype(np.float64)
    drawn = Mouth((np.arange(len(asked)) + 0.5) / fps, scaled(opening, opening))
    show("network", judge(drawn, speech.spoken, 1 / fps), fit(drawn, control.spoken)[0], [])
    verdict, wrong, opened = found["template"]
    return all([goal("1 - correlation", 1 - verdict.corr, 0.15),
                goal("mouth away from sound, ms", 1000 * abs(verdict.late_s), 40),
                goal("closures missed", 1 - verdict.closures, 1 - least),
                goal("open in pauses", 1 - verdict.pauses, 0.05),
                goal("control, correlation", wrong, 0.25),
                goal("open in music alone", opened[0], 0.02),
                goal("open in noise alone", opened[1], 0.02)])  # fmt: skip


def show(name: str, verdict: Verdict, wrong: float, opened: list[float]) -> None:
    """One row."""
    alone = "".join(f"{100 * share:7.1f}%" for share in opened)
    print(f"{name:12}{verdict.corr:7.3f}{1000 * verdict.late_s:+9.0f}{100 * verdict.closures:9.0f}%"
          f"{100 * verdict.pauses:7.0f}%{wrong:9.3f}{alone}")  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
