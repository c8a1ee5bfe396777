"""Every batch from its submission to its one answer: the queue, the retries, the losses.

Pure: no worker, no memory, no clock. Must never answer a batch twice, and never forget one: a lost
batch is answered too, or everything behind it would wait for ever.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from gpu_pool.contracts import Batch, BatchDone, BatchKey, BatchLost, BatchResult, PictureRef

ATTEMPTS_AT_MOST = 2
"""One try and one more elsewhere: what kills two workers is more likely the batch than they."""

_BLAMED_TASKS = 64
"""Tasks whose deaths are remembered; more than are ever rendered at a time."""


@dataclass(slots=True)
class Entry:
    """A batch that has not been answered; ``failed_on`` are the slots whose workers it saw die."""

    serial: int
    batch: Batch
    attempts: int = 0
    failed_on: set[int] = field(default_factory=set)
    flying: bool = False


class Ledger:
    """The unanswered batches and the answers not yet taken.

    Args:
        queue_at_most: batches that may wait; more are not taken.
        task_deaths_at_most: see ``Limits``.
    """

    def __init__(self, queue_at_most: int, task_deaths_at_most: int) -> None:
        self.results: deque[BatchResult] = deque()
        self.retried = 0
        self.lost = 0
        self._queue_at_most = queue_at_most
        self._task_deaths_at_most = task_deaths_at_most
        self._entries: dict[int, Entry] = {}
        self._epochs: dict[str, int] = {}
        self._blamed: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._next_serial = 0

    @property
    def queued(self) -> int:
        """Batches that wait for a worker."""
        return sum(1 for entry in self._entries.values() if not entry.flying)

    @property
    def in_flight(self) -> int:
        """Batches at workers."""
        return len(self._entries) - self.queued

    def add(self, batch: Batch) -> bool:
        """Take a batch; False when too many wait. One of an ended epoch is taken and forgotten."""
        if batch.key.epoch < self._epochs.get(batch.key.channel, 0):
            return True
        if self.queued >= self._queue_at_most:
            return False
        self._entries[self._next_serial] = Entry(self._next_serial, batch)
        self._next_serial += 1
        self._give_up_if_blamed(batch.key)
        return True

    def holds_at_least(self, batches: int) -> None:
        """So many must be able to wait, or a worker that draws them together never has them."""
        self._queue_at_most = max(self._queue_at_most, batches)

    def waiting(self) -> Iterator[Entry]:
        """Batches that wait, in the order in which they were submitted, retries included."""
        return (e for _, e in sorted(self._entries.items()) if not e.flying)

    def flies_alone(self, entry: Entry) -> bool:
        """Whether a batch is a suspect: it, or another of its task, has seen a worker die.

        In a flight of its own it takes no innocent one down, and who is to blame comes out.
        """
        return entry.attempts > 0 or _task(entry.batch.key) in self._blamed

    def sent(self, entry: Entry) -> None:
        """A batch is at a worker."""
        entry.flying = True
        entry.attempts += 1

    def done(
        self, serial: int, slot: int, render_s: float, pictures: tuple[PictureRef, ...]
    ) -> bool:
        """A batch is rendered; False when nobody waits for it any more."""
        entry = self._entries.pop(serial, None)
        if entry is None:
            return False
        self._blamed.pop(_task(entry.batch.key), None)
        key = entry.batch.key
        self.results.append(BatchDone(key, pictures, slot, render_s, entry.attempts))
        return True

    def refused(self, serial: int, reason: str) -> None:
        """The engine will never render it: no retry."""
        if serial in self._entries:
            self._lose(self._entries[serial], f"refused: {reason}")

    def failed(self, serials: Iterable[int], slot: int, reason: str, mixed: bool) -> None:
        """A worker died or hangs: its batches are tried once more elsewhere, or lost.

        Args:
            serials: what it had not answered.
            slot: where.
            reason: how it ended, for an operator.
            mixed: its batches were of several tasks. Each is suspected then, none is counted as
                guilty twice: what flies alone from now on shows which it was.
        """
        entries = [self._entries[each] for each in serials if each in self._entries]
        for task in dict.fromkeys(_task(entry.batch.key) for entry in entries):
            self._blame(task, mixed)
        for entry in entries:
            entry.flying = False
            entry.failed_on.add(slot)
            if entry.attempts >= ATTEMPTS_AT_MOST:
                self._lose(entry, reason)
            else:
                self.retried += 1
        for entry in entries:
            self._give_up_if_blamed(entry.batch.key)

    def drop(self, unwanted: Callable[[BatchKey], bool]) -> tuple[list[int], list[PictureRef]]:
        """Forget batches without an answer, answers not yet taken included.

        Returns:
            Serials of those that are at workers, and the pictures of the forgotten answers.
        """
        gone = [entry for entry in self._entries.values() if unwanted(entry.batch.key)]
        for entry in gone:
            del self._entries[entry.serial]
        dropped = [result for result in self.results if unwanted(result.key)]
        self.results = deque(result for result in self.results if not unwanted(result.key))
        pictures = [ref for r in dropped if isinstance(r, BatchDone) for ref in r.pictures]
        return [entry.serial for entry in gone if entry.flying], pictures

    def bump(self, channel: str, epoch: int) -> tuple[list[int], list[PictureRef]]:
        """End every epoch of a channel before ``epoch``, now and for batches still to come."""
        self._epochs[channel] = max(epoch, self._epochs.get(channel, 0))
        return self.drop(lambda key: key.channel == channel and key.epoch < epoch)

    def expire(self, now: float) -> list[int]:
        """Lose what is of no use any more; serials of those that are at workers."""
        late = [entry for entry in self._entries.values() if now >= entry.batch.needed_by]
        for entry in late:
            where = "at a worker" if entry.flying else "waiting for a worker"
            self._lose(entry, f"not rendered in time, still {where}")
        return [entry.serial for entry in late if entry.flying]

    def lose_those(self, why: Callable[[Batch], str]) -> None:
        """Lose the waiting batches for which there is a reason."""
        for entry in list(self.waiting()):
            if reason := why(entry.batch):
                self._lose(entry, reason)

    def next_expiry(self) -> float | None:
        """When the next batch becomes useless; None when none ever does."""
        soonest = min((e.batch.needed_by for e in self._entries.values()), default=math.inf)
        return None if soonest == math.inf else soonest

    def lose_all(self, reason: str) -> None:
        """Answer everything that is left: the pool has ended."""
        for entry in list(self._entries.values()):
            self._lose(entry, reason)

    def _blame(self, task: tuple[str, str], mixed: bool) -> None:
        deaths = self._blamed.get(task, 0)
        self._blamed[task] = max(deaths, 1) if mixed else deaths + 1
        self._blamed.move_to_end(task)
        while len(self._blamed) > _BLAMED_TASKS:
            self._blamed.popitem(last=False)

    def _give_up_if_blamed(self, key: BatchKey) -> None:
        """A task that kills worker after worker is not let loose on the next ones."""
        deaths = self._blamed.get(_task(key), 0)
        if deaths >= self._task_deaths_at_most:
            for entry in [e for e in self.waiting() if _task(e.batch.key) == _task(key)]:
                self._lose(entry, f"its task has ended {deaths} workers in a row")

    def _lose(self, entry: Entry, reason: str) -> None:
        del self._entries[entry.serial]
        self.lost += 1
        self.results.append(BatchLost(entry.batch.key, entry.batch.count, reason, entry.attempts))


def _task(key: BatchKey) -> tuple[str, str]:
    return key.channel, key.task_id
