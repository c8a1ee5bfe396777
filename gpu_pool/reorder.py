"""Puts a task's batches back in order: they come in any order, they leave in one.

Between the pool and the playout, one per task. Pure: ``now`` is monotonic seconds, handed in. Must
never leave a picture out and never wait for ever: what is lost or late leaves as a ``Gap``, which
the caller fills with idle pictures and the real sound.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from gpu_pool.contracts import BatchDone, BatchKey, BatchLost, BatchResult, PictureRef


@dataclass(frozen=True, slots=True)
class Run:
    """Rendered pictures ``first`` to ``first + len(pictures) - 1``, next in order."""

    first: int
    pictures: tuple[PictureRef, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """Pictures ``first`` to ``first + count - 1`` will not come; ``reason`` is for an operator."""

    first: int
    count: int
    reason: str


@dataclass(slots=True)
class _Expected:
    first: int
    count: int
    needed_by: float
    outcome: Run | Gap | None = None


class Reorder:
    """The batches of one task in one epoch, from picture ``start`` on."""

    def __init__(self, start: int = 0) -> None:
        self._released = start
        self._end = start
        self._expected: deque[_Expected] = deque()

    @property
    def released(self) -> int:
        """Index of the first picture that has not left."""
        return self._released

    def expect(self, first: int, count: int, needed_by: float) -> None:
        """Announce a batch that is submitted; its pictures follow those of the one before.

        Raises:
            ValueError: they do not: pictures would be missing or come twice.
        """
        if first != self._end or count < 1:
            raise ValueError(f"batch {first}+{count} does not follow picture {self._end}")
        self._expected.append(_Expected(first, count, needed_by))
        self._end += count

    def put(self, result: BatchResult) -> tuple[PictureRef, ...]:
        """Take an answer of the pool.

        Returns:
            Pictures that nobody will show (their batch has left as a gap, or was answered before):
            to be given back to the ring.
        """
        pictures = result.pictures if isinstance(result, BatchDone) else ()
        place = self._place(result.key)
        if place is None or place.outcome is not None:
            return pictures
        if isinstance(result, BatchLost):
            place.outcome = Gap(place.first, place.count, result.reason)
        elif len(result.pictures) != place.count:
            reason = f"{len(result.pictures)} pictures came"
            place.outcome = Gap(place.first, place.count, reason)
            return pictures
        else:
            place.outcome = Run(place.first, result.pictures)
        return ()

    def release(self, now: float) -> list[Run | Gap]:
        """What may leave now, in order.

        Only the batch in front is held to its deadline: another one that is late may still come
        before its turn does.
        """
        leaving: list[Run | Gap] = []
        while self._expected:
            front = self._expected[0]
            if front.outcome is None and now < front.needed_by:
                break
            self._expected.popleft()
            self._released += front.count
            leaving.append(front.outcome or Gap(front.first, front.count, "not there in time"))
        return leaving

    def postpone(self, needed_by: float) -> None:
        """What is still awaited is being worked at: none of it is given up before this."""
        for each in self._expected:
            if each.outcome is None:
                each.needed_by = max(each.needed_by, needed_by)

    def lose(self, reason: str) -> None:
        """Nothing that is still awaited will come."""
        for each in self._expected:
            if each.outcome is None:
                each.outcome = Gap(each.first, each.count, reason)

    def next_deadline(self) -> float | None:
        """When ``release`` has something even if no answer comes."""
        return self._expected[0].needed_by if self._expected else None

    def close(self) -> tuple[PictureRef, ...]:
        """Forget everything; the pictures that are here go back to the ring."""
        runs = [each.outcome for each in self._expected if isinstance(each.outcome, Run)]
        self._expected.clear()
        return tuple(ref for run in runs for ref in run.pictures)

    def _place(self, key: BatchKey) -> _Expected | None:
        return next((each for each in self._expected if each.first == key.first), None)
