"""The drawn presenter: what a picture costs, and how still and how smooth the loop is.

    python benchmarks/presenter.py [--rounds 5] [--pictures 50] [--presenter anna]

CPU time of one thread in this process. In turn, round after round, for each size: the idle loop; a
talking mouth; the same talk with every pixel of the head blended; a head composed in BGR over the
whole frame and converted as the station converts its test card; and x264 (veryfast, zerolatency,
one thread, the station's rate) coding the pictures of the talk.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

import idle_media
from broadcaster.idle.draw import to_i420
from gpu_pool.engines.presenter import Mouth, Presenter
from gpu_pool.engines.presenter.sheet import Sheet, read_sheet

FPS = 25
Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Size:
    """A picture size, x264's rate for it and the goal for one picture."""

    width: int
    height: int
    kbps: int
    goal_ms: float

    @property
    def name(self) -> str:
        return f"{self.width}x{self.height}"


SIZES = (
    Size(1280, 720, 2500, 3.0),
    Size(720, 1280, 2500, 3.0),
    Size(1920, 1080, 4500, 6.0),
    Size(1080, 1920, 4500, 6.0),
)
ATLAS_GOAL_MB, READY_GOAL_S, SEAM_GOAL = 1.5, 1.0, 0.0


def goal(name: str, value: float, limit: float) -> bool:
    met = value <= limit
    print(f"  {name:46}{value:9.4f} <= {limit:<7.4g}{'ok' if met else 'MISSED'}", flush=True)
    return met


def talk(tick: int) -> Mouth:
    """Syllables at 4 a second with every kind of mouth among them."""
    syllable = 0.5 - 0.5 * math.cos(2 * math.pi * 4 * tick / FPS)
    shape = math.sin(tick * 0.37)
    return Mouth(
        open=0.85 * syllable,
        wide=max(0.0, shape),
        round=max(0.0, -shape),
        press=1.0 if syllable < 0.08 else 0.0,
        tuck=max(0.0, math.sin(tick * 0.9) - 0.7),
        tongue=max(0.0, math.sin(tick * 1.3) - 0.4),
    )


class WholeFrame:
    """How one would do it at first: warp the head into a whole frame, blend all of it, convert.

    It has no breath, no depth, no blink and one mouth: a lower bound of that way's cost.
    """

    def __init__(self, sheet: Sheet, size: Size) -> None:
        scale = size.width / sheet.width
        self._size, box = size, sheet.boxes["head"]
        room = sheet.cut(sheet.at["studio"], sheet.width, sheet.height)[..., :3]
        self._room = cv2.resize(room, (size.width, size.height), interpolation=cv2.INTER_AREA)
        head = sheet.sprite("head", sheet.at["head"]).astype(np.float32)
        head[..., :3] *= head[..., 3:] / 255
        self._head = head.astype(np.uint8)
        self._scale = scale
        self._at = ((sheet.head[0] + box.left) * scale, (sheet.head[1] + box.top) * scale)

    def picture(self, tick: int) -> Picture:
        shift = 2 * math.sin(tick / 12)
        where = np.array(
            [[self._scale, 0, self._at[0] + shift], [0, self._scale, self._at[1]]], np.float32
        )
        head = cv2.warpAffine(self._head, where, (self._size.width, self._size.height))
        clear = cv2.cvtColor(cv2.bitwise_not(head[..., 3]), cv2.COLOR_GRAY2BGR)
        behind = cv2.multiply(self._room, clear, scale=1 / 255)
        return to_i420(cv2.add(behind, np.ascontiguousarray(head[..., :3])))


def encoder(size: Size) -> VideoCodecContext:
    codec = VideoCodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = size.width, size.height, "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, FPS), Fraction(FPS)
    codec.bit_rate, codec.gop_size, codec.thread_count = size.kbps * 1000, FPS, 1
    codec.options = {"preset": "veryfast", "tune": "zerolatency"}
    return codec


def cost_ms(work: Callable[[int], object], ticks: range) -> float:
    """CPU of one picture."""
    before = time.process_time()
    for tick in ticks:
        work(tick)
    return (time.process_time() - before) * 1000 / len(ticks)


@dataclass(slots=True)
class Costs:
    """CPU of one picture in ms, by way, one value per round."""

    rows: dict[str, list[float]] = field(default_factory=dict)

    def add(self, way: str, value: float) -> None:
        self.rows.setdefault(way, []).append(value)

    def least(self, way: str) -> float:
        return min(self.rows[way])

    def show(self, size: Size) -> None:
        print(f"\n{size.name}, CPU ms per picture{'least':>22}{'median':>9}{'most':>9}")
        for way, values in self.rows.items():
            middle = statistics.median(values)
            print(f"  {way:42}{min(values):9.2f}{middle:9.2f}{max(values):9.2f}")


def measure(name: str, size: Size, rounds: int, pictures: int) -> bool:
    atlas = idle_media.atlas(name, size.width, size.height)
    began, cpu = time.perf_counter(), time.process_time()
    presenter = Presenter.load(atlas, size.width, size.height)
    first = presenter.picture(0, FPS)
    ready, ready_cpu = time.perf_counter() - began, time.process_time() - cpu
    naive = WholeFrame(read_sheet(atlas), size)
    costs = Costs()
    for number in range(rounds):
        ticks = range(number * pictures, (number + 1) * pictures)
        shown = [presenter.picture(tick, FPS, talk(tick)) for tick in ticks]
        codec = encoder(size)
        for way, work in (
            ("idle", lambda tick: presenter.picture(tick, FPS)),
            ("talking", lambda tick: presenter.picture(tick, FPS, talk(tick))),
            ("talking, all of it blended", lambda t: presenter.picture_untiled(t, FPS, talk(t))),
            ("whole frame in BGR, then converted", naive.picture),
            (
                "x264 coding the talk",
                lambda t, p=shown, c=codec, s=ticks: code(c, p[t - s.start], t),
            ),
        ):
            costs.add(way, cost_ms(work, ticks))
    costs.show(size)
    good = goal("idle, ms", costs.least("idle"), size.goal_ms)
    good &= goal("talking, ms", costs.least("talking"), size.goal_ms)
    good &= goal("atlas, MB", atlas.stat().st_size / 1e6, ATLAS_GOAL_MB)
    good &= goal(f"first picture, s (CPU {ready_cpu:.2f})", ready, READY_GOAL_S)
    return good & loop(presenter, first)


def code(codec: VideoCodecContext, picture: Picture, tick: int) -> None:
    frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
    frame.pts = tick
    codec.encode(frame)


def loop(presenter: Presenter, first: Picture) -> bool:
    """The seam, and how much changes from one picture to the next."""
    ticks = presenter.loop_ticks(FPS)
    again = presenter.picture(ticks, FPS)
    idle = list(changes(presenter.picture(tick, FPS) for tick in range(ticks + 1)))
    speech = list(changes(presenter.picture(tick, FPS, talk(tick)) for tick in range(ticks)))
    for name, values in (("idle", idle), ("talking", speech)):
        print(
            f"  mean |d| of neighbours, {name:22}{statistics.mean(values):9.3f}"
            f"  most {max(values):.3f} of 255"
        )
    good = goal(
        "seam, most |d| of a byte", float(np.abs(again.astype(int) - first).max()), SEAM_GOAL
    )
    return good & goal("last to first / most inside", idle[-1] / max(idle[:-1]), 1.0)


def changes(pictures: Iterator[Picture]) -> Iterator[float]:
    for before, after in itertools.pairwise(pictures):
        yield float(cv2.absdiff(before, after).mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=50, help="per round and way")
    parser.add_argument("--presenter", default=idle_media.DEFAULT)
    parser.add_argument("--only", action="append", help="a size, such as 1280x720")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    good = True
    for size in SIZES:
        if not options.only or size.name in options.only:
            good &= measure(options.presenter, size, options.rounds, options.pictures)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
