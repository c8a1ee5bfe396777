"""A real pool of simulated workers, a task fed through it, and what came of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gpu_pool.contracts import (
    AvatarRef,
    Batch,
    BatchKey,
    BatchLost,
    BatchResult,
    EngineNeeds,
    EngineSpec,
    PictureFormat,
    SlotReport,
    SlotState,
    Sound,
)
from gpu_pool.engines.simulated import Stamp, read_stamp, task_number
from gpu_pool.limits import Limits
from gpu_pool.pool import Pool
from gpu_pool.reorder import Gap, Reorder, Run
from gpu_pool.ring import Ring, RingReader
from gpu_pool.windows import batch_spans, cut_sound, sound_span

TINY = PictureFormat(64, 36, 25)
AVATAR = AvatarRef("presenter", "", TINY, engine=EngineSpec("simulated"))
NEEDS = EngineNeeds(lookback_s=0.2, lookahead_s=0.2, batch_pictures=8)

QUICK = Limits(beat_s=0.1, silent_s=1.0, batch_floor_s=1.0, restart_pauses_s=(0.0, 0.1), park_s=2.0)
"""Hangs are judged sooner than on air, so that a test of one takes seconds."""

LIVENESS_S = 60.0
"""No test waits for longer; on a quiet machine each needs a fraction of it."""


def no_sound(pictures: int) -> Sound:
    return np.zeros(pictures * 640, np.float32)


@dataclass
class Told:
    """What the playout would have been told: pictures by index (None where one was lost)."""

    pictures: dict[int, Stamp | None] = field(default_factory=dict)
    results: list[BatchResult] = field(default_factory=list)
    lost: list[BatchLost] = field(default_factory=list)

    @property
    def retried(self) -> list[int]:
        return sorted(r.key.first for r in self.results if r.attempts > 1)


class PoolStage:
    """A pool with its ring; everything of it is gone at the end."""

    def __init__(
        self,
        folder: Path,
        devices: Sequence[str] = ("cpu", "cpu"),
        pictures: int = 64,
        limits: Limits = QUICK,
        engine: EngineSpec | None = None,
        others: Sequence[AvatarRef] = (),
        **options: Any,
    ) -> None:
        self.ring = Ring(pictures, TINY.picture_bytes, folder)
        self.reader = RingReader(self.ring.path)
        self.marks = folder
        engine = engine or EngineSpec("simulated", {"picture_s": 0.002, **options})
        self.pool = Pool(
            [*others, replace(AVATAR, engine=engine)], devices, self.ring, limits=limits
        )

    def slot(self, number: int) -> SlotReport:
        return self.pool.report().slots[number]

    def until(self, what: Callable[[], object], message: str = "condition") -> float:
        """Wait on a condition; monotonic seconds at which it came true."""
        deadline = time.monotonic() + LIVENESS_S
        while not what():
            assert time.monotonic() < deadline, f"{message}: not within {LIVENESS_S} s"
            time.sleep(0.002)
        return time.monotonic()

    def until_state(self, slot: int, state: SlotState) -> float:
        return self.until(lambda: self.slot(slot).state is state, f"slot {slot} {state}")

    def answers(self, count: int) -> list[BatchResult]:
        """Wait for so many answers."""
        found: list[BatchResult] = []
        deadline = time.monotonic() + LIVENESS_S
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} answers"
            found += self.pool.poll(0.05)
        return found

    def speak(
        self,
        pictures: int,
        sound: Sound | None = None,
        task: str = "a",
        between: Callable[[int], None] = lambda released: None,
        on_result: Callable[[BatchResult], None] = lambda result: None,
    ) -> Told:
        """Feed a task as the studio does: submit as room allows, reorder, show, release.

        Args:
            pictures: length of the task.
            sound: of the task; None is silence.
            task: its id.
            between: called with the number of pictures released so far whenever some were.
            on_result: called with every answer of the pool.
        """
        told, order = Told(), Reorder()
        sound = no_sound(pictures) if sound is None else sound
        batches = [self.batch(task, sound, *span) for span in batch_spans(pictures, 8)]
        deadline = time.monotonic() + LIVENESS_S
        while order.released < pictures:
            assert time.monotonic() < deadline, f"stuck at {order.released}: {self.pool.report()}"
            while batches and self.pool.submit(batches[0]):
                batch = batches.pop(0)
                order.expect(batch.key.first, batch.count, float("inf"))
            for result in self.pool.poll(0.2):
                told.results.append(result)
                on_result(result)
                assert order.put(result) == ()
            for each in order.release(time.monotonic()):
                self._show(each, told)
                between(order.released)
        return told

    def _show(self, each: Run | Gap, told: Told) -> None:
        if isinstance(each, Gap):
            told.pictures |= dict.fromkeys(range(each.first, each.first + each.count))
            of_it = (r for r in told.results if r.key.first == each.first)
            told.lost += [r for r in of_it if isinstance(r, BatchLost)]
            return
        for index, ref in enumerate(each.pictures, each.first):
            picture = self.reader.picture(ref, TINY)
            assert picture is not None
            assert index not in told.pictures
            told.pictures[index] = read_stamp(picture)
        self.pool.release(each.pictures)

    @staticmethod
    def batch(task: str, sound: Sound, first: int, count: int) -> Batch:
        window = cut_sound(sound, 0, sound_span(NEEDS, TINY.fps, first, count))
        return Batch(BatchKey("main", task, 0, first), count, AVATAR.name, 1000 + first, window)

    def close(self) -> None:
        self.pool.close()
        self.ring.close()


def assert_whole(told: Told, pictures: int, task: str = "a", lost: Sequence[int] = ()) -> None:
    """Every picture once, in order, with its own content; those of ``lost`` as gaps."""
    assert list(told.pictures) == list(range(pictures))
    for index, stamp in told.pictures.items():
        if index in lost:
            assert stamp is None
        else:
            assert stamp is not None, f"picture {index} is missing"
            assert (stamp.task, stamp.picture, stamp.tick) == (
                task_number(task),
                index,
                1000 + index,
            )
    keys = [result.key for result in told.results]
    assert len(set(keys)) == len(keys)


@contextlib.contextmanager
def pool_stage(folder: Path, **more: Any) -> Iterator[PoolStage]:
    """Leaves neither process nor ring behind, and every picture released."""
    stage = PoolStage(folder, **more)
    try:
        yield stage
    finally:
        stage.close()


def fault(stage_folder: Path, kind: str, picture: int, **more: Any) -> Mapping[str, Any]:
    """A fault that strikes once, whichever worker comes by."""
    return {"fault": kind, "picture": picture, "times": 1, "marks": str(stage_folder), **more}
