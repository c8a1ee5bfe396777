"""Final pictures: a task at 1280x720, ours through pool, engine and ring, plain pickled as BGR."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from benchmarks.cpu import tree_cpu_s
from benchmarks.neural.cases import FORMAT, Job
from benchmarks.neural.meters import Energy, gpu_used_mb, peak_mb, told_j
from benchmarks.neural.plain import serve
from gpu_pool.contracts import Batch, BatchDone, BatchKey, EngineNeeds, SlotState
from gpu_pool.pool import Pool
from gpu_pool.reorder import Gap, Reorder
from gpu_pool.ring import Ring, RingReader
from gpu_pool.windows import batch_spans, cut_sound, sound_span

READY_S = 300.0
RING_BATCHES = 4


@dataclass(frozen=True)
class Final:
    """Of one round.

    Attributes:
        fps: pictures per second by the clock.
        cpu_fps: per CPU second of all processes.
        first_s: until the first picture was there.
        memory_mb: of the worker, at its peak, its start included.
        gpu_mb: taken on the GPU.
        energy: joules a picture.
    """

    fps: float
    cpu_fps: float
    first_s: float
    memory_mb: float
    gpu_mb: float
    energy: str


class Way(Protocol):
    """A worker that is ready, and this process that takes its pictures."""

    def warm(self) -> None:
        """Let it meet what it meets once: the loop's faces, and where that is cheap a batch."""
        ...

    def speak(self) -> float:
        """Render the job's pictures; seconds until the first one."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class OurWay:
    """Pool, engine and ring, read in place as the playout does."""

    def __init__(self, job: Job, precision: str) -> None:
        self._job, self._tasks = job, 0
        self._ring = Ring(RING_BATCHES * job.batch * job.workers, FORMAT.picture_bytes)
        self._reader = RingReader(self._ring.path)
        self._pool = Pool([job.avatar(precision)], [job.device] * job.workers, self._ring)
        deadline = time.monotonic() + READY_S
        while not all(each.state is SlotState.READY for each in self._pool.report().slots):
            died = any(each.deaths for each in self._pool.report().slots)
            assert time.monotonic() < deadline and not died, self._pool.report()  # noqa: PT018
            time.sleep(0.05)

    def warm(self) -> None:
        self._draw(self._job.end, spoken=0)
        if self._job.light:
            self._draw(self._job.first + self._job.batch * self._job.workers, self._job.end)

    def speak(self) -> float:
        return self._draw(self._job.end, spoken=2 * self._job.end)

    def _draw(self, end: int, spoken: int) -> float:
        job, self._tasks = self._job, self._tasks + 1
        needs = self._pool.needs("her")
        assert needs is not None
        order = Reorder(job.first)
        spans = list(batch_spans(end, job.batch, job.first))[::-1]
        begun, first_s = time.monotonic(), 0.0
        while order.released < end:
            while spans and self._pool.submit(self._batch(*spans[-1], spoken, needs)):
                order.expect(*spans.pop(), float("inf"))
            for result in self._pool.poll(5.0):
                assert isinstance(result, BatchDone), result
                order.put(result)
            for run in order.release(0.0):
                assert not isinstance(run, Gap)
                assert all(self._reader.picture(ref, FORMAT) is not None for ref in run.pictures)
                first_s = first_s or time.monotonic() - begun
                self._pool.release(run.pictures)
        return first_s

    def _batch(self, first: int, count: int, spoken: int, needs: EngineNeeds) -> Batch:
        window = cut_sound(self._job.sound, 0, sound_span(needs, FORMAT.fps, first, count))
        if not spoken:
            window[:] = 0  # what is said is heard when it is drawn, not before
        key = BatchKey("main", str(self._tasks), 0, first)
        return Batch(key, count, "her", self._job.tick(first), window, cues={"spoken": spoken})

    def close(self) -> None:
        self._pool.close()
        self._ring.close()


class PlainWay:
    """One process that draws; the frames come pickled."""

    def __init__(self, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self._job = job
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, job))
        self._process.start()
        theirs.close()
        assert self._line.recv() == "ready"

    def warm(self) -> None:
        if self._job.light:
            self._take(self._job.batch)

    def speak(self) -> float:
        return self._take(self._job.pictures)

    def _take(self, pictures: int) -> float:
        begun, first_s = time.monotonic(), 0.0
        self._line.send(pictures)
        for _ in range(pictures):
            self._line.recv()
            first_s = first_s or time.monotonic() - begun
        return first_s

    def close(self) -> None:
        self._line.send(0)
        self._process.join(30)


def ways(job: Job, precisions: list[str]) -> dict[str, Callable[[], Way]]:
    """Plain first."""
    made: dict[str, Callable[[], Way]] = {"plain": lambda: PlainWay(job)}
    for each in precisions:
        made[each] = lambda each=each: OurWay(job, each)  # type: ignore[misc]
    return made


def once(make: Callable[[], Way], job: Job) -> Final:
    """One task of one way."""
    energy, taken_mb = Energy(job.device), gpu_used_mb(job.device)
    way = make()
    try:
        way.warm()
        before_j = energy.read_j()
        begun, cpu_s = time.monotonic(), tree_cpu_s([os.getpid()])
        first_s = way.speak()
        took_s, used_s = time.monotonic() - begun, tree_cpu_s([os.getpid()]) - cpu_s
        joules = told_j(before_j, energy.read_j(), job.pictures)
        gpu_mb = gpu_used_mb(job.device) - taken_mb
        rates = job.pictures / took_s, job.pictures / used_s
        return Final(*rates, first_s, peak_mb(os.getpid()), gpu_mb, joules)
    finally:
        way.close()
