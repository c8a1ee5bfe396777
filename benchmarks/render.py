"""``broadcaster render``: pictures per second, times real time, against one process for it all.

    python benchmarks/render.py [--seconds 60] [--rounds 3] [--size 1280x720] [--audio FILE]

In turn, round after round, over the same sound: a film by the pool (a worker renders while this
process mixes, encodes and writes), and the same film by one process without pool and ring: the same
engine, its batches one after the other, the same fades, encoders and file. Speed is counted from
the first picture to the last; "whole" has decoding, loading and closing besides. The live path does
1x by its nature.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import soundfile
from cpu import tree_cpu_s
from numpy.typing import NDArray

from broadcaster.codec.mp4 import Mp4Writer
from broadcaster.mixer.blend import Picture, blend
from broadcaster.render.cast import Cast, find_cast
from broadcaster.render.film import render
from broadcaster.render.order import Asked, RenderOrder, read_order
from broadcaster.settings.model import SettingsModel
from broadcaster.speech.decoder import decode_settings
from broadcaster.speech.sound_files import SoundFiles
from broadcaster.speech.speaking import Speaker
from broadcaster.studio.preparation import Preparation, prepare
from gpu_pool.contracts import Batch, BatchKey
from gpu_pool.engines.registry import make_engine
from gpu_pool.windows import batch_spans, cut_sound, sound_span

FIXTURE = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "slt.opus"
SETTINGS = SettingsModel()
REAL_TIME_GOAL = 1.0
"""A film must not take longer than to say it on air."""


@dataclass
class Stopwatch:
    """When the first and the last picture were written; a ``Witness``."""

    first: float = 0.0
    last: float = 0.0
    pictures: int = 0

    def step(self, what: str) -> None:
        pass

    def written(self, pictures: int, total: int) -> None:
        self.last = time.monotonic()
        self.first = self.first or self.last
        self.pictures = pictures


@dataclass(frozen=True)
class Result:
    fps: float
    whole_s: float
    cpu_ms: float


def long_sound(audio: Path, seconds: float, folder: Path) -> Path:
    """A WAV file of the wanted length: the sound, repeated."""
    sound, rate = soundfile.read(audio, dtype="float32", always_2d=True)
    wanted = int(seconds * rate)
    repeated = np.tile(sound, (-(-wanted // len(sound)), 1))[:wanted]
    soundfile.write(folder / "sound.wav", repeated, rate)
    return folder / "sound.wav"


def with_the_pool(order: RenderOrder, watch: Stopwatch) -> None:
    render(order, SETTINGS, watch)


def in_one_process(order: RenderOrder, watch: Stopwatch) -> None:
    """The same film without pool, ring, reorder or task source."""
    cast = find_cast(order, SETTINGS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = SoundFiles(folder / "s16", folder / "f32")
        rate = order.fmt.audio.sample_rate
        work = Preparation("main", "film", order.audio or folder, files, folder / "phonemes", rate)
        prepared = prepare(work, decode_settings(SETTINGS), Speaker())
        per_tick = order.fmt.samples_per_tick
        spoken = -(-prepared.samples // per_tick)
        total = order.before_ticks + spoken + order.fade_ticks + order.after_ticks
        pcm = np.zeros((2, total * per_tick), np.float32)
        said = np.fromfile(files.sound, "<i2").reshape(-1, 2).T / np.float32(32768)
        start = order.before_ticks * per_tick
        pcm[:, start : start + said.shape[1]] = said
        sound_16k = np.fromfile(files.sound_16k, np.float32)
        writer = Mp4Writer(order.out, order.fmt)
        for tick, picture in enumerate(pictures(order, cast, sound_16k, spoken, total)):
            writer.write(picture, pcm[:, tick * per_tick : (tick + 1) * per_tick])
            watch.written(tick + 1, total)
        writer.finish()


def pictures(
    order: RenderOrder, cast: Cast, sound: NDArray[np.float32], spoken: int, total: int
) -> Iterator[Picture]:
    engine = make_engine(cast.avatar.engine)
    engine.load("cpu")
    engine.prepare(cast.avatar)
    video, before, fade = order.fmt.video, order.before_ticks, order.fade_ticks
    yield from (cast.idle(tick) for tick in range(before))
    out = [np.empty(video.i420_shape, np.uint8) for _ in range(engine.needs.batch_pictures)]
    for first, count in batch_spans(spoken + fade, engine.needs.batch_pictures):
        window = cut_sound(sound, 0, sound_span(engine.needs, video.fps, first, count))
        key = BatchKey("main", "film", 1, first)
        cues = {"spoken": spoken}
        batch = Batch(key, count, cast.avatar.name, before + first, window, cues=cues)
        heard = engine.features(window, first, count, video.fps)
        engine.render(batch, heard, out[:count], lambda: False)
        for offset in range(count):
            index = first + offset
            weight = min(index + 1, spoken + fade - index, fade + 1) / (fade + 1)
            if weight < 1:
                yield blend(cast.idle(before + index), out[offset], weight)
            else:
                yield out[offset]
    yield from (cast.idle(tick) for tick in range(total - order.after_ticks, total))


def measure(way: Callable[[RenderOrder, Stopwatch], None], order: RenderOrder) -> Result:
    watch, begun = Stopwatch(), time.monotonic()
    cpu = tree_cpu_s([os.getpid()])
    way(order, watch)
    whole_s = time.monotonic() - begun
    cpu_ms = (tree_cpu_s([os.getpid()]) - cpu) / watch.pictures * 1000
    return Result((watch.pictures - 1) / (watch.last - watch.first), whole_s, cpu_ms)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--audio", type=Path, default=FIXTURE)
    options = parser.parse_args()
    ways = {"broadcaster render": with_the_pool, "one process, no pool": in_one_process}
    found: dict[str, list[Result]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound = long_sound(options.audio, options.seconds, folder)
        asked = Asked(folder / "film.mp4", audio=sound, size=options.size, force=True)
        order = read_order(asked, SETTINGS)
        for _ in range(options.rounds):
            for title, way in ways.items():
                found[title].append(measure(way, replace(order)))
    fps = order.fmt.video.fps
    print(f"{options.seconds:g} s of sound, {options.size} at {fps}, {options.rounds} rounds")
    print(f"{'':24}{'pictures/s':>22}{'x real time':>13}{'whole s':>9}{'CPU ms/picture':>16}")
    for title, results in found.items():
        speeds = sorted(each.fps for each in results)
        middle = statistics.median(speeds)
        print(
            f"{title:24}{speeds[0]:7.0f}{middle:7.0f}{speeds[-1]:8.0f}{middle / fps:13.1f}"
            f"{statistics.median(each.whole_s for each in results):9.1f}"
            f"{statistics.median(each.cpu_ms for each in results):16.1f}"
        )
    speed = statistics.median(each.fps for each in found["broadcaster render"]) / fps
    good = speed >= REAL_TIME_GOAL
    print(f"goal: {REAL_TIME_GOAL:g} x real time: {'met' if good else 'MISSED'}")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
