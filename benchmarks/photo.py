"""The engine ``photo``: what a picture costs, how smooth idle is, and whether the lips say it.

    python benchmarks/photo.py [--avatar FOLDER ...] [--size 1280x720] [--rounds 5] [--only cost]

CPU time of one thread in this process; without an avatar one is made of the drawn presenter, so
large that its mouth is 100 pixels wide. "mouth alone" leaves out the body below it (sway of a
photograph, decoding of a clip); the goal is for all of it. The named alternative warps the same
mouth in BGR at full resolution and converts the whole picture. Lips: the speech of tests/fixtures
(a speaker never trained), rendered, before any encoder: each picture is compared with the same
picture with shut lips (at rest and pressed), and judged as ``lip_sync.py`` does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
import soxr
from numpy.typing import NDArray

import idle_media
from benchmarks.faces import lips_at
from benchmarks.mouth_seen import Mouth as Seen
from benchmarks.mouth_seen import Verdict, fit, judge, scaled
from benchmarks.presenter import FPS, Costs, Size, changes, cost_ms, goal, talk
from gpu_pool.contracts import AvatarRef, Batch, BatchKey, PictureFormat
from gpu_pool.engines.face import Handles
from gpu_pool.engines.mouth import MouthNet
from gpu_pool.engines.mouth.phonemes import SHUT, Segment
from gpu_pool.engines.photo import Body, create_avatar, load
from gpu_pool.engines.photo.body import ClipBody
from gpu_pool.engines.photo.engine import PhotoEngine
from gpu_pool.engines.photo.lips import Lips, Shape, target
from gpu_pool.engines.photo.painter import Area, Canvas
from gpu_pool.engines.photo.warp import reach, sources
from gpu_pool.engines.photo.yuv import planes_of, to_i420
from gpu_pool.engines.presenter import REST, STILL, Presenter
from gpu_pool.windows import batch_spans, cut_sound, sound_span
from tests.doubles.labelled_speech import slt

COST_GOAL_MS = 4.0
MOUTH_PX = 100
LEAST_CORR, MOST_LATE_S, LEAST_CLOSURES, LEAST_PAUSES = 0.85, 0.04, 0.70, 0.95

SHUT_LIPS = ((0, 0, 0, 0, 0, 0), (0, 0, 0, 1, 0, 0), (SHUT, 0, 0, 0.6, 0, 0))
"""Rows of the mouth track for shut lips: at rest, and as p, b and m are drawn."""


def drawn_avatar(folder: Path) -> Path:
    """The drawn presenter as if photographed, with a mouth of ``MOUTH_PX`` at 720p."""
    presenter = Presenter.load(idle_media.atlas("anna", 1920, 1080), 1920, 1080)
    bgr = cv2.cvtColor(presenter.picture(0, FPS), cv2.COLOR_YUV2BGR_I420)
    bgr = bgr[40:904, 192:1728]  # 1536 x 864: 1.2 times 720p, and the mouth is 120 wide
    cv2.imwrite(str(folder / "anna.png"), bgr)
    handles = Handles(
        (685, 412), (861, 414), (712, 578), (832, 581), (772, 587), (772, 588), (772, 690)
    )
    create_avatar(folder / "anna.png", folder / "anna", name="anna", handles=handles)
    return folder / "anna"


class WholePicture:
    """How one would do it at first: every pixel around the mouth placed by numpy, in BGR, and the
    whole picture converted then. It has no cavity: a lower bound of that way's cost."""

    def __init__(self, body: Body) -> None:
        i420 = body.picture(0, FPS)
        self._bgr = cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420)
        self._lips = lips_of(body)
        height, width = self._bgr.shape[:2]
        area = mouth_area(self._lips, width, height)
        rows = slice(area.top, area.top + area.height)
        self._part = rows, slice(area.left, area.left + area.width)
        y, x = np.mgrid[self._part].astype(np.float32)
        self._x, self._y = x, y

    def picture(self, tick: int) -> NDArray[np.uint8]:
        lips, shape = self._lips, Shape.of(talk(tick))
        away = np.stack([self._x, self._y], axis=-1) - lips.centre
        own = away @ lips.turn.T / np.float32(lips.unit_px)
        found = sources(lips, shape, target(lips, shape), own[..., 0], own[..., 1])
        y = np.where(found.below > 0, found.lower, found.upper)
        at = np.stack([found.x, y], axis=-1) * np.float32(lips.unit_px) @ lips.turn + lips.centre
        picture = self._bgr.copy()
        picture[self._part] = cv2.remap(self._bgr, at.astype(np.float32), None, cv2.INTER_LINEAR)
        return to_i420(picture)


def mouth_area(lips: Lips, width: int, height: int) -> Area:
    """All that a mouth moves in a picture."""
    left, top, right, bottom = (side * lips.unit_px for side in reach(lips))
    x, y = (float(value) for value in lips.centre)
    return Area.within((x + left, y + top, x + right, y + bottom), width, height)


def lips_of(body: Body) -> Lips:
    """The mouth of the first picture, in the channel's pixels."""
    return lips_at(body, 0, FPS)


def mouth_alone(body: Body) -> Callable[[int], object]:
    """The mouth painted over one and the same picture."""
    picture = body.picture(0, FPS)
    out, source = planes_of(picture.copy()), planes_of(picture)
    lips = lips_of(body)
    height, width = source[0].shape
    area = mouth_area(lips, width, height)
    canvas = Canvas(out, source, area, area.grid())
    painter = body._painter  # type: ignore[attr-defined]
    return lambda tick: painter.paint(canvas, lips, Shape.of(talk(tick)))


def cost(body: Body, size: Size, rounds: int, pictures: int) -> bool:
    costs, naive, alone = Costs(), WholePicture(body), mouth_alone(body)
    out = body.picture(0, FPS)  # drawn into again, as a worker draws into the ring
    for number in range(rounds):
        ticks = range(number * pictures, (number + 1) * pictures)
        for way, work in (
            ("idle", lambda tick: body.draw(out, tick, FPS, REST, STILL)),
            ("talking", lambda tick: body.draw(out, tick, FPS, talk(tick), STILL)),
            ("mouth alone", alone),
        ):
            costs.add(way, cost_ms(work, ticks))
        costs.add("mouth in BGR, all converted", cost_ms(naive.picture, ticks[:10]))
    print(f"\nmouth {lips_of(body).unit_px:.0f} px wide")
    costs.show(size)
    ticks = body.loop_ticks(FPS)
    idle = list(changes(body.picture(tick, FPS) for tick in range(ticks + 1)))
    print(f"  mean |d| of idle neighbours {statistics.mean(idle):.3f}, most {max(idle):.3f} of 255")
    again = np.abs(body.picture(ticks, FPS).astype(int) - body.picture(0, FPS)).max()
    good = goal("seam, most |d| of a byte", float(again), 0.0)
    return good & goal("talking, ms", costs.least("talking"), COST_GOAL_MS)


def lips_said(avatar: Path, fmt: PictureFormat) -> bool:
    """Render the labelled speech and judge the mouth."""
    said = slt()
    sound = soxr.resample(said.sound, said.sample_rate, 16_000).astype(np.float32)
    count = -(-len(sound) * fmt.fps // 16_000)
    engine = PhotoEngine()
    engine.load("cpu")
    engine.prepare(AvatarRef("a", str(avatar), fmt))
    lips = lips_of(load(avatar, fmt))
    opening = []
    for first, pictures in batch_spans(count, 10):
        window = cut_sound(sound, 0, sound_span(engine.needs, fmt.fps, first, pictures))
        heard = engine.features(window, first, pictures, fmt.fps)

        def render(**cues: object) -> NDArray[np.uint8]:
            out = np.zeros((pictures, *fmt.shape), np.uint8)  # noqa: B023
            key = BatchKey("main", "a", 0, first)  # noqa: B023
            told = {"spoken": count, **cues}
            batch = Batch(key, pictures, "a", 40 + first, window, cues=told)  # type: ignore[arg-type] # noqa: B023
            engine.render(batch, heard, list(out), lambda: False)  # noqa: B023
            return out

        spoken = render()
        shut = [render(mouths=[row] * pictures) for row in SHUT_LIPS]
        for index in range(pictures):
            centre = centre_at(engine, lips, 40 + first + index, fmt.fps)
            part = around(centre, lips, fmt)
            opening.append(
                min(float(cv2.absdiff(spoken[index][part], s[index][part]).mean()) for s in shut)
            )
    return judged(np.array(opening), list(said.spoken), sound, fmt.fps)


def centre_at(engine: PhotoEngine, lips: Lips, tick: int, fps: int) -> NDArray[np.float32]:
    body = engine._bodies["a"][0]
    return (
        body._lips(body.number_at(tick, fps)).centre if isinstance(body, ClipBody) else lips.centre
    )


def around(centre: NDArray[np.float32], lips: Lips, fmt: PictureFormat) -> tuple[slice, slice]:
    """Luma rows and columns in which the lips move."""
    x, y = (round(float(value)) for value in centre)
    reach = round(0.5 * lips.unit_px)
    top, bottom = max(0, y - reach // 2), min(fmt.height, y + reach)
    return slice(top, bottom), slice(max(0, x - reach), min(fmt.width, x + reach))


def judged(
    opening: NDArray[np.float64], spoken: list[Segment], sound: NDArray[np.float32], fps: int
) -> bool:
    at_s = (np.arange(len(opening)) + 0.5) / fps
    asked = MouthNet.load().track(sound, fps)[: len(opening), 0].astype(np.float64)
    end_s = spoken[-1].end_s
    later = [Segment((s.start_s + 8) % end_s, (s.start_s + 8) % end_s + s.end_s - s.start_s,
                     s.viseme) for s in spoken]  # fmt: skip
    control = sorted(later, key=lambda segment: segment.start_s)
    print(f"\n{'lips':12}{'corr':>7}{'late ms':>9}{'closures':>10}{'pauses':>8}{'control':>9}")
    found: dict[str, Verdict] = {}
    for name, curve in (("rendered", opening), ("network", asked)):
        seen = Seen(at_s, scaled(curve, curve))
        found[name] = verdict = judge(seen, spoken, 1 / fps)
        print(f"{name:12}{verdict.corr:7.3f}{1000 * verdict.late_s:+9.0f}"
              f"{100 * verdict.closures:9.0f}%{100 * verdict.pauses:7.0f}%"
              f"{fit(seen, control)[0]:9.3f}")  # fmt: skip
    seen_ = found["rendered"]
    return all([goal("1 - correlation", 1 - seen_.corr, 1 - LEAST_CORR),
                goal("mouth away from sound, s", abs(seen_.late_s), MOST_LATE_S),
                goal("closures missed", 1 - seen_.closures, 1 - LEAST_CLOSURES),
                goal("open in pauses", 1 - seen_.pauses, 1 - LEAST_PAUSES)])  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--avatar", type=Path, action="append", help="an avatar's folder")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=50, help="per round and way")
    parser.add_argument("--only", choices=("cost", "lips"))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    width, height = (int(side) for side in options.size.split("x"))
    fmt, good = PictureFormat(width, height, FPS), True
    with tempfile.TemporaryDirectory() as made:
        for avatar in options.avatar or [drawn_avatar(Path(made))]:
            print(f"\n=== {avatar.name} at {options.size}")
            if options.only != "lips":
                body = load(avatar, fmt)
                size = Size(width, height, 0, COST_GOAL_MS)
                good &= cost(body, size, options.rounds, options.pictures)
            if options.only != "cost":
                good &= lips_said(avatar, fmt)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
