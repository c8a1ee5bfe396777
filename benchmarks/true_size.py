"""The neural engines with networks of true size: from a posted sound to the pictures at a reader.

    python benchmarks/true_size.py [--engines wav2lip musetalk latentsync] [--seconds 1]
        [--device cpu] [--models FOLDER] [--clip FILE] [--speech FILE]

Needs torch (requirements/setup.sh gpu, or .venv-torch), 8 GB of disk and 6 GB of memory.

Random weights by the recipe of tests/oracles are written as files of the authors' form, read by the
engines as a user's would be, and drawn with: noise, but every multiplication is done. An avatar is
made by the command line, the station is started, speech is posted, the relay's stream recorded.
Where drawing is slower than the air the station holds the task back until enough is in hand.

Judged: the task is done without a dry tick; the drawn pictures are as many as the sound lasts,
without a hole, from the tick at which the sound begins; each is the one that the engine draws for
its place in the task (drawn again by a pool of our own); nothing changes outside the box, to the
last bit in the ring; the stream never stops.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from benchmarks import capture
from benchmarks.cpu import memory, tree
from benchmarks.rig import REPO, SOUND_RATE, Rig, ffmpeg
from benchmarks.true_size_judge import Explained, Loop, alike, begin_tick, explain
from benchmarks.true_size_station import FORMAT, OnAir
from gpu_pool.contracts import (
    AvatarRef,
    Batch,
    BatchDone,
    BatchKey,
    EngineSpec,
    Json,
    Sound,
)
from gpu_pool.engines.checkpoint import layout
from gpu_pool.engines.latentsync import boxes as latentsync_boxes
from gpu_pool.engines.musetalk import boxes as musetalk_boxes
from gpu_pool.engines.photo.box import Box
from gpu_pool.engines.photo.looped import LoopedPictures
from gpu_pool.engines.wav2lip import boxes as wav2lip_boxes
from gpu_pool.pool import Pool
from gpu_pool.ring import Ring, RingReader
from gpu_pool.windows import batch_spans, cut_sound, sound_span
from tests.oracles import recipe

SPEECH = REPO / "tests" / "fixtures" / "slt.opus"
EASED = 4
"""At its ends a task shows more and more of the drawn face."""

ABOUT = 5
"""Pictures before and behind one that it must not be taken for."""

TWINS = 0.005
"""Networks of random weights draw neighbours nearly alike; the codec decides between such."""

FADE = 10
"""Pictures in which a task is blended with the idle loop, at its beginning."""

OUTSIDE_LEVELS = 12.0
"""The worst block outside the box, in a stream of this rate; a seam of noise has 60 and more."""


@dataclass(frozen=True)
class Case:
    """An engine as a user sets it up: files by option, how much is said on a CPU."""

    files: Mapping[str, tuple[str, str, bool]]
    """Option -> tag of the recipe, layout, half precision."""
    options: Mapping[str, Json]
    boxes: Callable[[LoopedPictures], Sequence[Box]]
    seconds: float


VAE = ("sdvae", "sd_vae_diffusers", False)
EAR = ("whisper_tiny_openai", "whisper_tiny_openai", False)
CASES = {
    "wav2lip": Case({"weights": ("wav2lip96", "wav2lip96", False)}, {}, wav2lip_boxes.boxes_in, 7),
    "musetalk": Case(
        {"unet": ("musetalk_unet", "musetalk_unet", True), "vae": VAE, "whisper": EAR},
        {},
        musetalk_boxes.boxes_in,
        1,
    ),
    "latentsync": Case(
        {"unet": ("latentsync10_unet", "latentsync10_unet", True), "vae": VAE, "whisper": EAR},
        {"steps": 2, "guidance": 1.0},
        latentsync_boxes.boxes_in,
        0.64,
    ),
}


def write_weights(folder: Path, case: Case) -> dict[str, Json]:
    """The files that are not there yet; the engine's options with all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    options = dict(case.options)
    for option, (tag, name, half) in case.files.items():
        file = folder / f"{name}.pt"
        options[option] = str(file)
        if not file.exists():
            made = {}
            for key, shape in layout(name).items():
                tensor = torch.from_numpy(recipe.param(tag, key, shape))
                made[key] = tensor.half() if half else tensor
            torch.save(made, file.with_suffix(".new"))
            file.with_suffix(".new").replace(file)
    return options


def goal(name: str, met: bool, told: str) -> bool:
    print(f"  {name:44}{told:36}{'ok' if met else 'MISSED'}", flush=True)
    return met


# --- in the ring ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawn:
    """Pictures out of a ring, I420, and how they came."""

    pictures: list[NDArray[np.uint8]]
    ready_s: float
    first_s: float
    took_s: float
    worker_mb: float


def draw(avatar: AvatarRef, device: str, sound: Sound, tick: int) -> Drawn:
    """A whole task by a pool of our own with the limits of the air, from a tick on."""
    count = len(sound) * FORMAT.fps // 16_000
    ring, begun = Ring(count, FORMAT.picture_bytes), time.monotonic()
    reader, found = RingReader(ring.path), dict[int, NDArray[np.uint8]]()
    with Pool([avatar], [device], ring) as pool:
        while (needs := pool.needs(avatar.name)) is None:
            assert not any(slot.deaths for slot in pool.report().slots), pool.report()
            time.sleep(0.1)
        ready_s, asked, first_s = time.monotonic() - begun, time.monotonic(), 0.0
        waiting = list(batch_spans(count, needs.batch_pictures))
        while len(found) < count:
            while waiting:
                first, size = waiting[0]
                window = cut_sound(sound, 0, sound_span(needs, FORMAT.fps, first, size))
                key = BatchKey("main", "said", 0, first)
                cues: dict[str, Json] = {"spoken": count}
                if not pool.submit(Batch(key, size, avatar.name, tick + first, window, cues=cues)):
                    break
                waiting.pop(0)
            for result in pool.poll(5.0):
                assert isinstance(result, BatchDone), result
                first_s = first_s or time.monotonic() - asked
                for index, ref in enumerate(result.pictures, start=result.key.first):
                    picture = reader.picture(ref, FORMAT)
                    assert picture is not None
                    found[index] = picture.copy()
        took_s = time.monotonic() - asked
        children = [each for each in tree(os.getpid()) if each != os.getpid()]
        worker_mb = max(now.rss_mb for each in children if (now := memory(each)))
    ring.close()
    return Drawn([found[n] for n in range(count)], ready_s, first_s, took_s, worker_mb)


# --- one engine -----------------------------------------------------------------------------


def judge_air(
    seen: Sequence[Explained], began_s: float, count: int, underruns: float
) -> tuple[bool, int]:
    """Whether what was drawn is where it should be; the recording's index of picture 0."""
    at_s = np.array([each.at_s for each in seen])
    start = int(np.argmin(np.abs(at_s - began_s)))
    quiet = float(np.median([each.inside for each in seen[: start - 2 * FADE]]))
    talks = np.flatnonzero([each.inside > 3 * quiet + 1 for each in seen])
    steps = np.diff(at_s) * FORMAT.fps
    met = goal("pictures a second apart by 1/25", bool(np.abs(steps - 1).max() < 0.1),
               f"{len(seen)} pictures, worst step {steps.max():.2f}")  # fmt: skip
    met &= goal("dry ticks", underruns == 0, f"{underruns:g}")
    if not len(talks):
        return goal("drawn pictures", False, "none"), start
    whole = talks[-1] - talks[0] + 1
    met &= goal("drawn pictures", count - EASED <= len(talks) == whole <= count,
                f"{len(talks)} of {count}, holes {whole - len(talks)}")  # fmt: skip
    late = talks[0] - start
    met &= goal("first drawn after the sound begins", bool(0 <= late <= EASED), f"{late} pictures")
    spoken = [seen[n].outside for n in talks]
    idle = [each.outside for each in seen[: start - 2 * FADE]]
    told = f"{max(spoken):.1f} levels, idle {max(idle):.1f}"
    met &= goal("worst block outside the box", max(spoken) <= OUTSIDE_LEVELS, told)
    print(f"  inside the box: idle {quiet:.1f} levels, drawn "
          f"{np.median([seen[n].inside for n in talks]):.1f}")  # fmt: skip
    return met, start


def judge_ring(drawn: Drawn, loop: Loop, boxes: Sequence[Box], tick: int) -> bool:
    """Nothing but the box differs from the idle loop, to the last bit, in Y, U and V."""
    away, changed = 0, 0
    for index, picture in enumerate(drawn.pictures):
        place = loop.looped.place(tick + index)
        off = picture != loop.looped.picture(place)
        box, height = boxes[loop.looped.number(place)], FORMAT.height
        luma, chroma = off[:height], off[height:].reshape(2, height // 2, FORMAT.width // 2)
        changed += int(np.count_nonzero(luma))
        luma[box.top : box.bottom, box.left : box.right] = False
        rows, columns = (
            slice(box.top // 2, -(-box.bottom // 2)),
            slice(box.left // 2, -(-box.right // 2)),
        )
        chroma[:, rows, columns] = False
        away += int(np.count_nonzero(luma)) + int(np.count_nonzero(chroma))
    return goal("samples changed outside the box, in the ring", away == 0 and changed > 0,
                f"{away}, inside {changed}")  # fmt: skip


def judge_order(seen: Sequence[Explained], start: int, drawn: Drawn, loop: Loop, tick: int) -> bool:
    """Every picture is the one that is drawn for its index, and not one of those about it.

    Of those at the ends little is seen; a second later the loop may stand where it stood. A task
    that began late is drawn for other ticks from some picture on: what was drawn before or after is
    not judged.
    """
    own = [loop.drawn(picture, tick + n) for n, picture in enumerate(drawn.pictures)]
    stands = [seen[start + n].place == loop.looped.place(tick + n) for n in range(len(own))]
    stands[:FADE] = [stands[FADE]] * FADE  # blended, it cannot be told
    every = range(EASED - 1, len(own) - EASED + 1)
    which, right = [n for n in every if stands[n]], 0
    by_lag: dict[int, list[float]] = {}
    for index in which:
        first = max(0, index - ABOUT)
        likeness = alike(seen[start + index].drawn, own[first : index + ABOUT + 1])
        right += bool(likeness[index - first] >= likeness.max() - TWINS)
        for other, value in enumerate(likeness, start=first):
            by_lag.setdefault(other - index, []).append(float(value))
    mean = {lag: float(np.mean(each)) for lag, each in by_lag.items()}
    best = max(mean, key=lambda lag: mean[lag])
    told = f"{right} of {len(which)}, {mean[0]:.3f}, beside {max(mean[-1], mean[1]):.3f}"
    met = best == 0 and right == len(which) and len(which) >= len(every) / 2
    return goal("pictures are those of their index", met, told)


@dataclass(frozen=True)
class Said:
    """What came of one posted sound."""

    seen: Sequence[Explained]
    heard_s: float
    underruns: float
    files: Path


def broadcast(
    rig: Rig, name: str, options: Mapping[str, Json], asked: argparse.Namespace, speech: Path
) -> Said:
    """Have a station say a sound, and record it."""
    air = OnAir(name, options, asked.device, asked.clip)
    try:
        ready_s = air.start()
        with capture.recording(rig, air.station.url) as file:
            time.sleep(2.0)
            began_s = air.say(speech)
            time.sleep(1.0)
        underruns = air.underruns
        files = Path(shutil.copytree(air.files, rig.folder / "her"))
    finally:
        air.station.stop()
    print(f"{name}: avatar made in {air.made_s:.1f} s, on air with a worker ready after "
          f"{ready_s:.1f} s, the sound is heard {began_s:.1f} s after its post")  # fmt: skip
    said = soundfile.read(speech, dtype="float32")[0]
    heard_s = capture.read(file, lambda luma: luma[:1, :1]).heard_at_s(said)
    looped = LoopedPictures(files, FORMAT)
    seen = explain(file, Loop(looped, CASES[name].boxes(looped)))
    if asked.keep:
        asked.keep.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, asked.keep / f"{name}.flv")
    return Said(seen, heard_s, underruns, files)


def measure(name: str, asked: argparse.Namespace, models: Path) -> bool:
    """One engine, on the air and in a ring of our own."""
    case, count = CASES[name], 0
    options, seconds = write_weights(models, case), asked.seconds or case.seconds
    with Rig() as rig:
        speech, heard = rig.folder / "speech.wav", rig.folder / "heard.wav"
        cut = ("-i", str(asked.speech), "-t", str(seconds), "-ac", "1")
        subprocess.run(ffmpeg(*cut, "-ar", str(SOUND_RATE), str(speech)), check=True)
        subprocess.run(ffmpeg(*cut, "-ar", "16000", str(heard)), check=True)
        sound = soundfile.read(heard, dtype="float32")[0]
        count = len(sound) * FORMAT.fps // 16_000
        said = broadcast(rig, name, options, asked, speech)
        met, start = judge_air(said.seen, said.heard_s, count, said.underruns)
        looped = LoopedPictures(said.files, FORMAT)
        boxes = case.boxes(looped)
        loop = Loop(looped, boxes)
        clean = range(FADE, count - EASED)
        tick = begin_tick(looped, [(n, said.seen[start + n].place) for n in clean])
        avatar = AvatarRef("her", str(said.files), FORMAT, engine=EngineSpec(name, options))
        drawn = draw(avatar, asked.device, sound, tick)
    met &= judge_order(said.seen, start, drawn, loop, tick)
    met &= judge_ring(drawn, loop, boxes, tick)
    fps, mb = count / drawn.took_s, drawn.worker_mb
    print(f"  alone: worker ready in {drawn.ready_s:.1f} s, first batch {drawn.first_s:.2f} s, "
          f"{fps:.2f} pictures/s in the ring, {mb:.0f} MB", flush=True)  # fmt: skip
    return met


def main() -> int:
    """Measure the engines that are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engines", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--seconds", type=float, help="of speech (default: what a CPU can do)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models", type=Path, help="keep the weights here, and use them again")
    parser.add_argument("--clip", type=Path, help="of a face (default: the drawn presenter)")
    parser.add_argument("--speech", type=Path, default=SPEECH)
    parser.add_argument("--keep", type=Path, help="a folder for the recordings")
    asked = parser.parse_args()
    met = True
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.engines:
            met &= measure(name, asked, asked.models or Path(folder))
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
