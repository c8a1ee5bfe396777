"""The mouth network and the offline voice: cost, speed, and how right the mouth is.

    python benchmarks/mouth_net.py [--seconds 60]

cost     CPU per second of sound, live in pieces of 40 ms and all at once; loading; the file's size
right    the labelled speech of tests/fixtures, a speaker never trained, clean and disturbed:
         correlation of the opening, closed p b m, closed pauses; beside it the mouth that opens
         with loudness, and the mouth of other words
voice    the first sound of a sentence from a child that must be started, and from a warm one
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from numpy.typing import NDArray

from broadcaster.speech.voices.espeak import EspeakSettings, EspeakVoice
from gpu_pool.engines import mouth
from gpu_pool.engines.mouth import MouthNet
from tests.doubles.labelled_speech import LabelledSpeech, opening_corr, slt

FPS = 25
CHUNK = 640

Sound = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of sound to hear")
    given = parser.parse_args()
    speech = slt()
    cost(np.resize(speech.sound, int(given.seconds * 16_000)))
    right(speech)
    voice()


def cost(sound: Sound) -> None:
    """Best of three, since the machine may be shared."""
    net = MouthNet.load()
    seconds = len(sound) / 16_000

    def live() -> None:
        stream = net.stream(FPS)
        for at in range(0, len(sound), CHUNK):
            stream.feed(sound[at : at + CHUNK])
        stream.finish()

    live_ms = _cpu_ms(live) / seconds
    whole_ms = _cpu_ms(lambda: net.track(sound, FPS)) / seconds
    load_ms = _cpu_ms(MouthNet.load)
    size = (Path(mouth.__file__).parent / "mouthnet.npz").stat().st_size
    print(f"live, {CHUNK // 16} ms pieces   {live_ms:6.2f} ms CPU per second of sound (goal 10)")
    print(f"all at once         {whole_ms:6.2f} ms CPU per second of sound")
    print(f"loading             {load_ms:6.2f} ms CPU, file {size / 1e6:.3f} MB (goals 50, 0.45)")


def right(speech: LabelledSpeech) -> None:
    net = MouthNet.load()
    reference = speech.reference(len(net.track(speech.sound, FPS)), FPS)
    level = np.float32(0.126 / np.sqrt(np.mean(speech.sound**2)))
    rng = np.random.default_rng(1)
    white = rng.standard_normal(len(speech.sound)).astype(np.float32) * np.float32(0.126)
    chords = _chords(len(speech.sound)) * np.float32(0.126)
    heard = {
        "clean": speech.sound * level,
        "white noise -10 dB": speech.sound * level + white * np.float32(0.316),
        "music -10 dB": speech.sound * level + chords * np.float32(0.316),
        "music -5 dB": speech.sound * level + chords * np.float32(0.562),
        "24 dB quieter": speech.sound * level * np.float32(0.063),
        "other words": np.roll(speech.sound * level, 8 * 16_000),
    }
    print(f"{'':22}corr  closures  pauses closed")
    for name, sound in heard.items():
        _row(name, net.track(sound, FPS), speech, reference)
    _row("loudness", _loudness(speech.sound * level), speech, reference)
    for name, sound in (("music alone", chords), ("noise alone", white)):
        share = float((net.track(sound, FPS)[:, 0] > 0.2).mean())
        print(f"{name:22}open in {100 * share:.1f} % of pictures (goal 2)")


def voice() -> None:
    text = "Good evening, and welcome to the programme."
    cold, warm = [], []
    for _ in range(5):
        speaker = EspeakVoice(EspeakSettings())
        cold.append(_first_sound_ms(speaker, text))
        warm += [_first_sound_ms(speaker, text) for _ in range(5)]
        speaker.close()
    print(f"first sound, cold   {statistics.median(cold):6.1f} ms (worst {max(cold):.1f})")
    print(
        f"first sound, warm   {statistics.median(warm):6.1f} ms (worst {max(warm):.1f}; goal 100)"
    )


def _first_sound_ms(speaker: EspeakVoice, text: str) -> float:
    began_s = time.perf_counter()
    next(iter(speaker.speak(text)))
    return 1000 * (time.perf_counter() - began_s)


def _cpu_ms(job: Callable[[], object]) -> float:
    found = []
    for _ in range(3):
        began_s = time.process_time()
        job()
        found.append(1000 * (time.process_time() - began_s))
    return min(found)


def _row(name: str, track: Sound, speech: LabelledSpeech, reference: Sound) -> None:
    pauses = speech.in_pauses(track, FPS)[:, 0] < 0.1
    print(
        f"{name:22}{opening_corr(track, reference):.3f}  "
        f"{100 * speech.closures(track, FPS):5.0f} %  {100 * pauses.mean():5.0f} %"
    )


def _loudness(sound: Sound) -> Sound:
    """One column: -45 to -10 dBFS as 0 to 1."""
    pictures = len(sound) // 640
    rms = np.sqrt(np.mean(sound[: pictures * 640].reshape(pictures, 640) ** 2, axis=1))
    opening = np.clip((20 * np.log10(rms + 1e-5) + 45) / 35, 0, 1).astype(np.float32)
    rows = np.zeros((-(-len(sound) // 640), 6), np.float32)
    rows[:pictures, 0] = opening
    return rows


def _chords(length: int) -> Sound:
    """Plucked chords, rms 1."""
    at_s = np.arange(length) / 16_000
    tune = np.zeros(length)
    for number, start_s in enumerate(np.arange(0, length / 16_000, 0.4)):
        since_s = np.clip(at_s - start_s, 0, None)
        for half_tones in (0, 4 - number % 2, 7):
            turns = 2 * np.pi * 131 * 2 ** ((half_tones + number * 5 % 12) / 12) * since_s
            pluck = (since_s > 0) * np.exp(-4 * since_s)
            tune += pluck * (np.sin(turns) + np.sin(2 * turns) / 2 + np.sin(3 * turns) / 3)
    return (tune / np.sqrt(np.mean(tune**2))).astype(np.float32)


if __name__ == "__main__":
    main()
