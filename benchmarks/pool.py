"""The process pool: what a picture costs on its way out of a worker, how it scales, how it heals.

    python benchmarks/pool.py [--pictures 3000] [--runs 20] [--only cost]

cost: 720p pictures of the simulated engine through pool, reorder and shared-memory ring, and the
same pictures drawn by the same engine through ``multiprocessing.Pool.imap_unordered``, which
pickles them. Both are put in order and read in place, as the playout does. CPU is that of all
processes, drawing included; rounds are run in turn.
scale: workers that only sleep, 1, 2, 4 and 8 of them; pictures per second against the first.
together: how long a worker waits for its next work, and what batches drawn by one pass save of it.
drills: real faults, the station's own limits; every batch must be answered exactly once.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import multiprocessing
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from numpy.typing import NDArray

from benchmarks.cpu import tree_cpu_s
from benchmarks.pool_together import together
from gpu_pool.contracts import (
    AvatarRef,
    Batch,
    BatchKey,
    EngineSpec,
    PictureFormat,
    SlotState,
)
from gpu_pool.engines.simulated import Simulated, Stamp, task_number
from gpu_pool.limits import Limits
from gpu_pool.pool import Pool
from gpu_pool.reorder import Gap, Reorder
from gpu_pool.ring import Ring, RingReader
from gpu_pool.windows import batch_spans, sound_span
from tests.doubles.pool_stage import PoolStage, assert_whole, fault, pool_stage

HD = PictureFormat(1280, 720, 25)
AVATAR = AvatarRef("presenter", "", HD)
BATCH_PICTURES = 16
WORKERS = 2
RATIO_GOAL, COST_GOAL_MS, LINEAR_GOAL = 15.0, 0.4, 0.95

Shown = Callable[[NDArray[np.uint8]], None]


def goal(name: str, value: float, limit: float, at_least: bool = False) -> bool:
    met = value >= limit if at_least else value <= limit
    sign = ">=" if at_least else "<="
    print(f"  {name:52}{value:9.3f} {sign} {limit:<7.4g}{'ok' if met else 'MISSED'}", flush=True)
    return met


# --- ours -----------------------------------------------------------------------------------


class OurWay:
    """Pool, reorder and ring, as a studio and a playout would use them."""

    def __init__(self, devices: int, picture_s: float = 0.0) -> None:
        self._ring = Ring(2 * BATCH_PICTURES * devices, HD.picture_bytes)
        self._reader = RingReader(self._ring.path)
        spec = EngineSpec("simulated", {"batch_pictures": BATCH_PICTURES, "picture_s": picture_s})
        self._pool = Pool([replace(AVATAR, engine=spec)], ["cpu"] * devices, self._ring)
        while not all(r.state is SlotState.READY for r in self._pool.report().slots):
            time.sleep(0.01)

    def speak(self, task: str, pictures: int, show: Shown | None) -> None:
        order, needs = Reorder(), self._pool.needs(AVATAR.name)
        assert needs is not None
        silence = np.zeros(np.diff(sound_span(needs, HD.fps, 0, BATCH_PICTURES))[0], np.float32)
        spans = list(batch_spans(pictures, BATCH_PICTURES))[::-1]
        while order.released < pictures:
            while spans and self._submit(task, *spans[-1], silence):
                first, count = spans.pop()
                order.expect(first, count, float("inf"))
            for result in self._pool.poll(5.0):
                order.put(result)
            for run in order.release(0.0):
                if isinstance(run, Gap):
                    raise RuntimeError(f"pictures from {run.first} on were lost: {run.reason}")
                for ref in run.pictures:
                    picture = self._reader.picture(ref, HD)
                    if picture is not None and show is not None:
                        show(picture)
                self._pool.release(run.pictures)

    def _submit(self, task: str, first: int, count: int, sound: NDArray[np.float32]) -> bool:
        key = BatchKey("main", task, 0, first)
        return self._pool.submit(Batch(key, count, AVATAR.name, first, sound))

    def close(self) -> None:
        self._pool.close()
        self._ring.close()


# --- the peers' way -------------------------------------------------------------------------

_engine: Simulated | None = None


def make_engine() -> None:
    """Initializer of a Pool's worker."""
    global _engine  # noqa: PLW0603 - the way such initializers work
    _engine = Simulated(batch_pictures=BATCH_PICTURES)


def draw(
    item: tuple[str, int, int, bool, NDArray[np.float32], Any],
) -> tuple[int, list[NDArray[np.uint8]]]:
    """A batch, as the pool's workers draw it; three planes of full size for BGR."""
    task, first, count, bgr, sound, _template = item
    assert _engine is not None
    rows = HD.height * 3 if bgr else HD.shape[0]
    out = [np.empty((rows, HD.width), np.uint8) for _ in range(count)]
    batch = Batch(BatchKey("main", task, 0, first), count, AVATAR.name, first, sound)
    heard = _engine.features(sound, first, count, HD.fps)
    _engine.render(batch, heard, out, lambda: False)
    return first, out


class PickledWay:
    """``multiprocessing.Pool``; its results are put in order by a dictionary."""

    def __init__(self, bgr: bool, templates: bool = False) -> None:
        self._bgr = bgr
        shape = (BATCH_PICTURES, HD.height * 3, HD.width)
        self._template = np.zeros(shape, np.uint8) if templates else None
        context = multiprocessing.get_context("spawn")
        self._pool = context.Pool(WORKERS, initializer=make_engine)

    def speak(self, task: str, pictures: int, show: Shown) -> None:
        needs = Simulated(batch_pictures=BATCH_PICTURES).needs
        sound = np.zeros(np.diff(sound_span(needs, HD.fps, 0, BATCH_PICTURES))[0], np.float32)
        items = (
            (task, first, count, self._bgr, sound, self._template)
            for first, count in batch_spans(pictures, BATCH_PICTURES)
        )
        waiting: dict[int, list[NDArray[np.uint8]]] = {}
        released = 0
        # In pieces: handed a whole task at once, Pool takes every item in before it is needed.
        while piece := list(itertools.islice(items, 4 * WORKERS)):
            for first, batch in self._pool.imap_unordered(draw, piece):
                waiting[first] = batch
                while released in waiting:
                    ready = waiting.pop(released)
                    for picture in ready:
                        show(picture)
                    released += len(ready)
        assert released == pictures

    def close(self) -> None:
        self._pool.terminate()
        self._pool.join()


def reader(task: str, keep: bool) -> Shown:
    """Takes pictures: in place as the playout does, or with one copy; order checked by stamp."""
    kept = np.empty((HD.height * 3, HD.width), np.uint8)
    index = itertools.count()
    number = task_number(task)

    def show(picture: NDArray[np.uint8]) -> None:
        if keep:
            np.copyto(kept[: len(picture)], picture)
        stamp = Stamp(*picture[0, :16].view(np.uint32).tolist())
        if (stamp.task, stamp.picture) != (number, next(index)):
            raise RuntimeError(f"out of order: {stamp}")

    return show


def cost(options: argparse.Namespace) -> bool:
    ring, plain = OurWay(WORKERS), PickledWay(bgr=False)
    bgr, both = PickledWay(bgr=True), PickledWay(bgr=True, templates=True)
    ways: dict[str, tuple[OurWay | PickledWay, bool, int]] = {
        "ring, read in place": (ring, False, options.pictures),
        "ring, copied out": (ring, True, options.pictures),
        "Pool, pickled I420": (plain, False, options.pictures // 4),
        "Pool, pickled I420, copied out": (plain, True, options.pictures // 4),
        "Pool, pickled BGR": (bgr, False, options.pictures // 8),
        "Pool, pickled BGR, templates pickled in": (both, False, options.pictures // 8),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    try:
        for turn in range(options.rounds + 1):  # the first one warms up
            for name, (way, keep, pictures) in ways.items():
                task = f"{name} {turn}"
                before = tree_cpu_s([os.getpid()])
                way.speak(task, pictures, reader(task, keep))
                if turn:
                    spent[name].append((tree_cpu_s([os.getpid()]) - before) / pictures * 1e3)
    finally:
        for way in (ring, plain, bgr, both):
            way.close()
    ours, _, pickled, *_ = (statistics.median(values) for values in spent.values())
    print(
        f"\ncost of a 720p picture, {WORKERS} workers, batches of {BATCH_PICTURES}: CPU ms of all"
    )
    print("processes, drawing included; least / median / most")
    for name, values in spent.items():
        middle = statistics.median(values)
        print(f"  {name:42}{min(values):7.3f} /{middle:7.3f} /{max(values):7.3f}"
              f"{middle / ours:8.1f} x")  # fmt: skip
    met = [
        goal("CPU ms per picture", ours, COST_GOAL_MS),
        goal("pickled I420 costs so many times that", pickled / ours, RATIO_GOAL, at_least=True),
    ]
    return all(met)


# --- scale ----------------------------------------------------------------------------------


def scale(_options: argparse.Namespace) -> bool:
    """Each device sleeps 20 ms a picture, as a GPU that renders at 50 pictures per second."""
    print("\nscale, 720p, sleeping devices of 50 pictures per second")
    alone, good = 0.0, True
    for devices in (1, 2, 4, 8):
        way = OurWay(devices, picture_s=0.02)
        try:
            way.speak("warm", BATCH_PICTURES * devices, None)
            pictures = BATCH_PICTURES * devices * 16
            began, before = time.monotonic(), tree_cpu_s([os.getpid()])
            way.speak("a", pictures, None)
            took_s = time.monotonic() - began
            spent_ms = (tree_cpu_s([os.getpid()]) - before) / pictures * 1e3
        finally:
            way.close()
        rate = pictures / took_s
        alone = alone or rate
        print(f"  {devices} devices {rate:7.1f} pictures/s, {spent_ms:.3f} CPU ms each")
        good &= goal(
            f"{devices} devices, share of linear", rate / alone / devices, LINEAR_GOAL, True
        )
    return good


# --- drills ---------------------------------------------------------------------------------

PICTURES = 200
FAULTS: Sequence[tuple[str, str, int, float]] = (
    ("killed before the first picture", "kill", 0, 0.2),
    ("killed in the middle", "kill", 100, 0.2),
    ("killed at the last picture", "kill", 199, 0.2),
    ("segmentation fault", "crash", 100, 0.2),
    ("ends with status 0", "exit", 100, 0.2),
    ("hangs, holding the interpreter's lock", "hang_with_lock", 100, 10.0),
    ("hangs in its engine, signs of life go on", "hang", 100, 10.0),
    ("SIGSTOP", "stop", 100, 10.0),
)
"""What, its fault, at which picture, and how soon its end must be known (G11, G12)."""


def drills(options: argparse.Namespace) -> bool:
    print(f"\ndrills, {options.runs} each, 2 workers, {PICTURES} pictures; s: median / worst")
    print(f"  {'':44}{'known':>16}{'answered again':>18}{'worker back':>16}")
    good = True
    for name, kind, picture, limit_s in FAULTS:
        seen = [drill(kind, picture) for _ in range(options.runs)]
        columns = list(zip(*seen, strict=True))
        cells = [f"{statistics.median(c):7.3f} /{max(c):6.3f}" for c in columns]
        print(f"  {name:44}{cells[0]:>16}{cells[1]:>18}{cells[2]:>16}", flush=True)
        good &= goal(f"{name}: known", max(columns[0]), limit_s)
    parked = [crash_loop() for _ in range(options.runs)]
    print(f"  crash loop: parked after {statistics.median(parked):.2f} / {max(parked):.2f} s, the "
          f"other worker rendered everything")  # fmt: skip
    return good


def drill(kind: str, picture: int) -> tuple[float, float, float]:
    """Seconds from a fault until the pool knows, until its batch came, until the worker is back."""
    with tempfile.TemporaryDirectory(prefix="bench-pool-") as name:
        folder = Path(name)
        faults = [fault(folder, kind, picture)]
        with pool_stage(folder, limits=Limits(), picture_s=0.005, faults=faults) as stage:
            for slot in (0, 1):
                stage.until_state(slot, SlotState.READY)
            first = picture // 8 * 8
            answered: list[float] = []
            watch = Watch(stage, folder)
            with watch:
                told = stage.speak(
                    PICTURES,
                    on_result=lambda r: (
                        answered.append(time.monotonic()) if r.key.first == first else None
                    ),
                )
                watch.thread.join(60)
            assert_whole(told, PICTURES)
            if told.retried != [first] or len(answered) != 1:
                raise RuntimeError(f"not one retry and one answer: {told.retried}, {answered}")
            since = watch.struck_at
            return watch.known_at - since, answered[0] - since, watch.back_at - since


class Watch:
    """Looks every 2 ms: when the fault struck, when a slot was seen to fail, when it was back."""

    def __init__(self, stage: PoolStage, marks: Path) -> None:
        self.struck_at = self.known_at = self.back_at = 0.0
        self._stage, self._marks = stage, marks
        self.thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.thread.join(60)

    def _look(self) -> None:
        stage, serving = self._stage, (SlotState.READY, SlotState.BUSY)
        self.struck_at = stage.until(lambda: list(self._marks.glob("*-*-None-0")), "the fault")

        def failing() -> list[int]:
            return [r.slot for r in stage.pool.report().slots if r.state not in serving]

        self.known_at = stage.until(failing, "the verdict")
        slot = failing()[0]
        self.back_at = stage.until(lambda: stage.slot(slot).state in serving, "the respawn")


def crash_loop() -> float:
    """Seconds until a slot whose every worker is killed is parked; the other one renders on."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-pool-") as name,
        pool_stage(Path(name), limits=Limits(), picture_s=0.005) as stage,
    ):
        for slot in (0, 1):
            stage.until_state(slot, SlotState.READY)
        began, other = time.monotonic(), stage.slot(1).pid
        killed: set[int] = set()

        def strike() -> bool:
            report = stage.slot(0)
            if report.pid is not None and report.pid not in killed:
                killed.add(report.pid)
                os.kill(report.pid, signal.SIGKILL)
            return report.state is SlotState.PARKED

        killer = threading.Thread(target=stage.until, args=(strike, "parked"))
        killer.start()
        told = stage.speak(PICTURES)
        killer.join()
        parked_s = time.monotonic() - began
        assert_whole(told, PICTURES)
        if len(killed) != Limits().deaths_at_most or stage.slot(1).pid != other:
            raise RuntimeError(f"{len(killed)} deaths; {stage.pool.report()}")
        return parked_s


PARTS: dict[str, Callable[[argparse.Namespace], bool]] = {
    "cost": cost,
    "scale": scale,
    "drills": drills,
    "together": lambda options: together(min(3, options.rounds)),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=3200, help="of each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=20, help="of each drill")
    parser.add_argument("--only", choices=PARTS, action="append")
    options = parser.parse_args()
    logging.getLogger("gpu_pool").setLevel(logging.CRITICAL)  # deaths are what drills are made of
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    good = True
    for part in options.only or PARTS:
        good &= PARTS[part](options)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
