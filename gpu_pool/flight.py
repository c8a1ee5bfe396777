"""Batches at a worker: one, or several that its engine draws by one pass.

What a slot's worker owes. Pure: ``now`` is monotonic seconds, handed in. Must never give a picture
back while a worker may still write into it: they go with each batch's answer, or with the worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpu_pool.contracts import Batch, BatchKey, PictureRef


@dataclass(slots=True)
class Aboard:
    """A batch that its worker has not answered.

    ``dropped`` once nobody waits for it any more, ``told`` once the worker has been told.
    """

    serial: int
    key: BatchKey
    avatar: str
    pictures: tuple[PictureRef, ...]
    dropped: bool = False
    told: bool = False

    @classmethod
    def of(cls, serial: int, batch: Batch, pictures: tuple[PictureRef, ...]) -> Aboard:
        """A batch that is being sent."""
        return cls(serial, batch.key, batch.avatar, pictures)

    @property
    def task(self) -> tuple[str, str]:
        """Whose it is."""
        return self.key.channel, self.key.task_id


@dataclass(frozen=True, slots=True)
class Measure:
    """What a flight that came home whole says of an avatar: seconds per picture, see ``Speed``."""

    avatar: str
    worker_s: float
    channel_s: float


class Flight:
    """All that a worker was given at once, at least one batch.

    ``due_at`` is when the worker is hung unless its engine goes on before, ``limit_s`` what it is
    given from each sign of going on.
    """

    def __init__(self, batches: Sequence[Aboard], now: float, limit_s: float) -> None:
        self.sent_at = now
        self.limit_s, self.due_at = limit_s, now + limit_s
        self.together = len(batches) > 1
        self._left = {each.serial: each for each in batches}
        self._came: list[Aboard] = []
        self._whole, self._took_s = True, 0.0

    def __contains__(self, serial: int) -> bool:
        return serial in self._left

    @property
    def left(self) -> tuple[Aboard, ...]:
        """What is unanswered, as it was sent."""
        return tuple(self._left.values())

    @property
    def pictures(self) -> tuple[PictureRef, ...]:
        """Of all that is unanswered."""
        return tuple(ref for each in self._left.values() for ref in each.pictures)

    @property
    def mixed(self) -> bool:
        """Whether what is unanswered is of several tasks: who ended the worker is not known."""
        return len({each.task for each in self._left.values()}) > 1

    def drop(self, serials: set[int]) -> None:
        """Nobody waits for these any more."""
        for each in self._left.values():
            each.dropped |= each.serial in serials

    def untold(self) -> Iterator[int]:
        """Dropped batches of which the worker is to be told now; each comes once."""
        for each in self._left.values():
            if each.dropped and not each.told:
                each.told = True
                yield each.serial

    def answered(self, serial: int, render_s: float | None) -> Aboard:
        """A batch is through, ``render_s`` after the worker began; None when it was refused."""
        aboard = self._left.pop(serial)
        self._came.append(aboard)
        self._whole &= render_s is not None and not aboard.dropped
        self._took_s = max(self._took_s, render_s or 0.0)
        return aboard

    def goes_on(self, now: float, latest: float, limit_s: float) -> None:
        """A batch came: the others are given time of their own, but none beyond ``latest``."""
        self.limit_s = limit_s
        self.due_at = min(now + limit_s, latest)

    def steps(self, now: float, latest: float) -> None:
        """The engine goes on: it is given time anew."""
        self.due_at = max(self.due_at, min(now + self.limit_s, latest))

    def excuse(self, seconds: float) -> None:
        """The owner itself stood still for so long."""
        self.sent_at += seconds
        self.due_at += seconds

    def measures(self) -> list[Measure]:
        """One per avatar, once everything is answered; none when something was not rendered."""
        if not self._whole or self._left:
            return []
        if not self.together:
            picture_s = self._took_s / len(self._came[0].pictures)
            return [Measure(self._came[0].avatar, picture_s, picture_s)]
        pictures = sum(len(each.pictures) for each in self._came)
        measures = []
        for avatar in dict.fromkeys(each.avatar for each in self._came):
            own = [each for each in self._came if each.avatar == avatar]
            of_channel = sum(len(e.pictures) for e in own) / len({e.key.channel for e in own})
            measures.append(Measure(avatar, self._took_s / pictures, self._took_s / of_channel))
        return measures
