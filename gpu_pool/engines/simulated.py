"""An engine without a model: speed, crashes and hangs as scripted, pictures that can be checked.

In place of a renderer, for tests, drills and benchmarks. Its faults are real ones: the process
really crashes, stops or holds the interpreter's lock. Must never be what a station runs by default.

Options (all optional)::

    picture_s: 0.02          time per picture; slept, or burnt with busy: true
    load_s: 1.0              time that loading takes
    batch_pictures: 8, lookback_s: 0.2, lookahead_s: 0.2
    together: 4              batches drawn by one pass, which takes as long as the longest of them
    faults: [{fault: kill, picture: 12, task: a1, after: true, times: 1, marks: /some/folder}]

A fault strikes before (``after``: behind) the picture with this index in any task or the one named;
picture -1 is loading. ``times`` counts over all workers and lives, by files in ``marks``. One with
``together: true`` strikes only while several batches are drawn by one pass.

An avatar's own options: ``prepare_s`` that preparing it takes, ``fault`` that strikes then, or the
reason for which it is ``refused``.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from gpu_pool.contracts import (
    SOUND_RATE_HZ,
    Answer,
    AvatarRef,
    AvatarRefused,
    Batch,
    BatchRefused,
    EngineNeeds,
    Job,
    Json,
    Picture,
    Sound,
)
from gpu_pool.engines.scripted_faults import FAULTS, LOADING, Fault


class Stamp(NamedTuple):
    """What every eighth row of a simulated picture begins with."""

    task: int
    picture: int
    tick: int
    loudness: int
    """Mean magnitude of the picture's own samples, in millionths."""


_STAMP_BYTES = 4 * len(Stamp._fields)
_STAMP_ROWS = 8
"""Going over every row again for the stamps would cost a third of the drawing."""


class TornPicture(Exception):
    """The rows of a picture do not belong together."""


def task_number(task_id: str) -> int:
    """What stands for a task in a stamp."""
    return zlib.crc32(task_id.encode())


def read_stamp(picture: Picture) -> Stamp:
    """Whose picture it is.

    Args:
        picture: (height * 3 / 2, width) ``uint8``.

    Raises:
        TornPicture: it was written by two, or only in part.
    """
    rows = np.ascontiguousarray(picture[::_STAMP_ROWS, :_STAMP_BYTES]).view(np.uint32)
    stamp = Stamp(*(int(number) for number in rows[0]))
    shade = _shade(stamp.task, stamp.picture)
    if (rows != rows[0]).any() or (picture[:, _STAMP_BYTES:] != shade).any():
        raise TornPicture(f"rows of {len(np.unique(rows, axis=0))} pictures, first {stamp}")
    return stamp


class Simulated:
    """See the module; options that do not exist are errors."""

    def __init__(  # noqa: PLR0913, PLR0917 - one keyword per option
        self,
        picture_s: float = 0.0,
        busy: bool = False,
        load_s: float = 0.0,
        batch_pictures: int = 8,
        lookback_s: float = 0.2,
        lookahead_s: float = 0.2,
        together: int = 1,
        faults: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.needs = EngineNeeds(lookback_s, lookahead_s, batch_pictures, together)
        self._picture_s, self._busy, self._load_s = picture_s, busy, load_s
        self._faults = [Fault(**each) for each in faults]

    def load(self, _device: str) -> None:
        """Take as long as told."""
        self._strike(LOADING, "", False)
        time.sleep(self._load_s)

    def prepare(self, avatar: AvatarRef) -> None:
        """Take as long as the avatar says, or fail as it says.

        Raises:
            AvatarRefused: its option ``refused``.
        """
        if "refused" in avatar.options:
            raise AvatarRefused(str(avatar.options["refused"]))
        time.sleep(float(cast(float, avatar.options.get("prepare_s", 0.0))))
        fault = avatar.options.get("fault")
        if fault is not None:
            FAULTS[str(fault)]()

    def forget(self, name: str) -> None:
        """There is nothing to free."""

    def features(self, sound: Sound, first: int, count: int, fps: int) -> NDArray[np.uint32]:
        """(count,) loudness of each picture's own samples, in millionths."""
        origin = first * SOUND_RATE_HZ // fps - round(self.needs.lookback_s * SOUND_RATE_HZ)
        loudness = []
        for index in range(first, first + count):
            start = index * SOUND_RATE_HZ // fps - origin
            own = sound[start : start + SOUND_RATE_HZ // fps]
            loudness.append(round(float(np.abs(own).mean()) * 1e6))
        return np.array(loudness, np.uint32)

    def render(
        self,
        batch: Batch,
        features: NDArray[np.uint32],
        out: Sequence[Picture],
        abandoned: Callable[[], bool],
    ) -> None:
        """A flat shade per picture, and a stamp at the start of every eighth row."""
        for offset in range(batch.count):
            if abandoned():
                return
            self._strike(batch.key.first + offset, batch.key.task_id, False)
            self._pass_time()
            _draw(batch, offset, int(features[offset]), out[offset])
            self._strike(batch.key.first + offset, batch.key.task_id, True)

    def render_together(self, jobs: Sequence[Job[NDArray[np.uint32]]]) -> Iterator[Answer]:
        """One picture of each batch after the other, in the time of one.

        Yields:
            One answer per job, the shortest batches first.
        """
        left = dict(enumerate(jobs))
        for offset in range(max(job.batch.count for job in jobs)):
            self._pass_time()
            for number, job in list(left.items()):
                refused = self._draw_beside(job, offset)
                if refused is None and offset + 1 < job.batch.count:
                    continue
                del left[number]
                yield Answer(number, refused or "")

    def _draw_beside(self, job: Job[NDArray[np.uint32]], offset: int) -> str | None:
        """One picture of a batch that is drawn with others; why it is refused, "" if unwanted."""
        if job.abandoned():
            return ""
        index, task = job.batch.key.first + offset, job.batch.key.task_id
        try:
            self._strike(index, task, False, True)
            _draw(job.batch, offset, int(job.features[offset]), job.out[offset])
            self._strike(index, task, True, True)
        except BatchRefused as refusal:
            return str(refusal)
        return None

    def _pass_time(self) -> None:
        if not self._busy:
            time.sleep(self._picture_s)
            return
        until = time.monotonic() + self._picture_s
        while time.monotonic() < until:
            pass

    def _strike(self, index: int, task_id: str, after: bool, together: bool = False) -> None:
        for fault in self._faults:
            if (together or not fault.together) and fault.is_due(index, task_id, after):
                FAULTS[fault.fault]()


def make(options: Mapping[str, Json]) -> Simulated:
    """For the registry."""
    given: dict[str, Any] = dict(options)
    return Simulated(**given)


def _draw(batch: Batch, offset: int, loudness: int, picture: Picture) -> None:
    task, index = task_number(batch.key.task_id), batch.key.first + offset
    stamp = Stamp(task, index, batch.base_tick + offset, loudness)
    picture[:] = _shade(task, index)
    picture[::_STAMP_ROWS, :_STAMP_BYTES] = np.array(stamp, np.uint32).view(np.uint8)


def _shade(task: int, index: int) -> int:
    return (task + 7 * index) & 0xFF
