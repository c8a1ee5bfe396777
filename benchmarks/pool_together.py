"""What a worker waits for its next work, and what batches drawn together make of it.

Part of ``benchmarks/pool.py``, and the engine that it has rendered by: one that draws nothing but
takes its time, one pass for all that it is given, and notes how long it had nothing to do.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from numpy.typing import NDArray

from benchmarks.cpu import tree_cpu_s
from gpu_pool.contracts import (
    Answer,
    AvatarRef,
    Batch,
    BatchDone,
    BatchKey,
    EngineNeeds,
    EngineSpec,
    Job,
    Json,
    Picture,
    PictureFormat,
    SlotState,
    Sound,
)
from gpu_pool.pool import Pool
from gpu_pool.ring import Ring
from gpu_pool.windows import sound_span

SMALL = PictureFormat(64, 36, 25)
BATCH_PICTURES = 16
TASKS = 4
RUN_S = 3.0

Heard = NDArray[np.uint32]


class Idler:
    """An engine of passes that take ``pass_s``; ``forget`` writes down the gaps between them."""

    def __init__(self, together: int, pass_s: float, lookback_s: float, file: str) -> None:
        self.needs = EngineNeeds(lookback_s, 0.2, BATCH_PICTURES, together)
        self._pass_s, self._file = pass_s, Path(file)
        self._through_at: float | None = None
        self._gaps: list[tuple[float, int]] = []
        self._given = 0

    def load(self, device: str) -> None:
        pass

    def prepare(self, avatar: AvatarRef) -> None:
        pass

    def forget(self, _name: str) -> None:
        np.save(self._file, np.array(self._gaps))

    def features(self, sound: Sound, _first: int, count: int, _fps: int) -> Heard:
        if self._through_at is not None:  # the first one of a flight
            self._gaps.append((time.monotonic() - self._through_at, self._given))
            self._through_at, self._given = None, 0
        self._given += 1
        return np.full(count, len(sound), np.uint32)

    def render(
        self,
        _batch: Batch,
        _features: Heard,
        _out: Sequence[Picture],
        _abandoned: Callable[[], bool],
    ) -> None:
        time.sleep(self._pass_s)
        self._through_at = time.monotonic()

    def render_together(self, jobs: Sequence[Job[Heard]]) -> Iterator[Answer]:
        time.sleep(self._pass_s)
        for number in range(len(jobs) - 1):
            yield Answer(number)
        self._through_at = time.monotonic()
        yield Answer(len(jobs) - 1)


def make(options: Mapping[str, Json]) -> Idler:
    given: dict[str, Any] = dict(options)
    return Idler(**given)


@dataclass(frozen=True, slots=True)
class Seen:
    """Of one run: rate, the worker's gaps, the pool's CPU per batch, batches of a pass."""

    pictures_s: float
    gaps_ms: NDArray[np.float64]
    """From each pass to the next."""
    cpu_ms: float
    of_a_pass: float


def run(together: int, pass_s: float, lookback_s: float, run_s: float = RUN_S) -> Seen:
    """Four channels with a batch or two always waiting, one worker."""
    with tempfile.TemporaryDirectory(prefix="bench-pool-") as name:
        gaps = Path(name) / "gaps.npy"
        options = {
            "together": together,
            "pass_s": pass_s,
            "lookback_s": lookback_s,
            "file": str(gaps),
        }
        avatar = AvatarRef("a", "", SMALL, engine=EngineSpec("benchmarks.pool_together", options))
        ring = Ring(4 * TASKS * BATCH_PICTURES, SMALL.picture_bytes)
        try:
            with Pool([avatar], ["cpu"], ring) as pool:
                while pool.report().slots[0].state is not SlotState.READY:
                    time.sleep(0.01)
                _feed(pool, 0.5)
                before, began = tree_cpu_s([os.getpid()]), time.monotonic()
                batches = _feed(pool, run_s)
                took_s = time.monotonic() - began
                cpu_ms = (tree_cpu_s([os.getpid()]) - before) / batches * 1e3
                pool.forget("a")
                while not gaps.exists():
                    time.sleep(0.01)
                time.sleep(0.05)  # it is being written
                seen = np.load(gaps)
        finally:
            ring.close()
    gaps_ms, of_a_pass = seen[:, 0] * 1e3, float(seen[:, 1].mean())
    return Seen(batches * BATCH_PICTURES / took_s, gaps_ms, cpu_ms, of_a_pass)


def _feed(pool: Pool, seconds: float) -> int:
    """Keep the queue full; how many batches came."""
    needs = pool.needs("a")
    assert needs is not None
    samples = int(np.diff(sound_span(needs, SMALL.fps, 0, BATCH_PICTURES))[0])
    sound = np.zeros(samples, np.float32)
    batch = Batch(BatchKey("", "a", 0, 0), BATCH_PICTURES, "a", 0, sound)
    asked, came, until = 0, 0, time.monotonic() + seconds
    while came < asked or time.monotonic() < until:
        while time.monotonic() < until and asked - came < 4 * TASKS:
            key = BatchKey(f"{asked % TASKS}", "a", 0, asked)
            if not pool.submit(replace(batch, key=key)):
                break
            asked += 1
        for result in pool.poll(1.0):
            if not isinstance(result, BatchDone):
                raise RuntimeError(f"lost: {result}")
            pool.release(result.pictures)
            came += 1
    return came


def together(rounds: int) -> bool:
    """Print what a worker has of batches given together."""
    print("\ntogether: one worker, four channels with batches waiting, 16 pictures each, nothing")
    print("drawn; a pass takes as long for four batches as for one. Gap: from a pass to the next")
    print(
        f"  {'pass, sound of a batch, batches':32}{'pictures/s':>11}{'of a pass':>10}"
        f"{'gap ms p10':>11}{'p50':>7}{'p95':>8}{'p50/batch':>10}{'CPU ms/batch':>13}"
    )
    for pass_ms, lookback_s in ((5.0, 0.2), (20.0, 0.2), (5.0, 4.0)):
        seen: dict[int, list[Seen]] = {1: [], 4: []}
        for _ in range(rounds):
            for most, found in seen.items():
                found.append(run(most, pass_ms / 1e3, lookback_s))
        for most, found in seen.items():
            gaps = np.concatenate([each.gaps_ms for each in found])
            of_a_pass = statistics.median(each.of_a_pass for each in found)
            what = f"{pass_ms:g} ms, {lookback_s + 0.2 + 0.64:.2f} s, up to {most}"
            print(
                f"  {what:32}{statistics.median(e.pictures_s for e in found):11.0f}"
                f"{of_a_pass:10.2f}{np.quantile(gaps, 0.1):11.3f}{np.median(gaps):7.3f}"
                f"{np.quantile(gaps, 0.95):8.3f}"
                f"{np.median(gaps) / of_a_pass:10.3f}"
                f"{statistics.median(e.cpu_ms for e in found):13.3f}",
                flush=True,
            )
    return True
