"""Which waiting batches go to which idle worker, and which of them together.

The dispatcher's choice, made anew whenever something has happened. Pure but for the credits that it
takes. Must never make a batch wait for company, and never put together what another idle worker
could begin now: batches are spread first, what is left is drawn together. An earlier batch of
another engine is passed by what joins a flight, and is first when that is home.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gpu_pool.contracts import SERVING, PictureRef, SlotState
from gpu_pool.ledger import Entry, Ledger
from gpu_pool.orders import Send
from gpu_pool.roster import Roster
from gpu_pool.slot import Slot


class CreditTaker(Protocol):
    """Where the slots for pictures come from."""

    @property
    def free(self) -> int:
        """Pictures that could be taken now."""
        ...

    def take(self, count: int) -> tuple[PictureRef, ...]:
        """All of ``count``, or none."""
        ...


@dataclass(slots=True)
class _Begun:
    """A flight with its first batch; with that there is ``room`` for so many."""

    slot: Slot
    first: Entry
    room: int
    sends: list[Send]


class HandOut:
    """See the module."""

    def __init__(
        self, slots: Sequence[Slot], ledger: Ledger, roster: Roster, credits_: CreditTaker
    ) -> None:
        self._slots, self._ledger, self._roster = slots, ledger, roster
        self._credits = credits_

    def flights(self) -> list[tuple[Slot, list[Send]]]:
        """The fastest idle worker first; batches in the order of their submission."""
        idle = [slot for slot in self._slots if slot.state is SlotState.READY]
        begun = [
            flight
            for slot in sorted(idle, key=lambda each: each.picture_s)
            if (flight := self._begin(slot)) is not None
        ]
        growing = begun
        # One more each in turn: no worker takes all that waits.
        while growing := [each for each in growing if each.room > 1 and self._grow(each)]:
            pass
        return [(each.slot, each.sends) for each in begun]

    def _begin(self, slot: Slot) -> _Begun | None:
        entry = self._next_for(slot)
        if entry is None:
            return None
        alone = self._ledger.flies_alone(entry)  # asked before it is sent, which is an attempt
        first = self._take(slot, entry)
        if first is None:
            return None
        room = 1 if alone else slot.together.get(entry.batch.avatar, 1)
        return _Begun(slot, entry, room, [first])

    def _grow(self, begun: _Begun) -> bool:
        """Add a batch to a flight, if there is room for one and one that goes with the others."""
        entry = self._next_for(begun.slot, begun)
        more = None if entry is None else self._take(begun.slot, entry)
        if more is None:
            return False
        begun.sends.append(more)
        begun.room -= 1
        return True

    def _take(self, slot: Slot, entry: Entry) -> Send | None:
        pictures = self._credits.take(entry.batch.count)
        if not pictures:
            return None  # somebody else took them
        self._ledger.sent(entry)
        return Send(slot.number, entry.serial, entry.batch, pictures)

    def _next_for(self, slot: Slot, beside: _Begun | None = None) -> Entry | None:
        """The first batch that may go there, if pictures are left for it *and* all before it.

        Without that reserve later batches could fill the ring that the playout only empties in
        order, and the one in front would wait for ever.
        """
        free = self._credits.free
        for entry in self._ledger.waiting():
            free -= entry.batch.count
            if free < 0:
                return None
            if entry.batch.avatar not in slot.speeds:
                continue
            if beside is not None and not self._goes_with(beside, entry):
                continue
            if slot.number not in entry.failed_on or not self._others(slot, entry):
                return entry
        return None

    def _goes_with(self, begun: _Begun, other: Entry) -> bool:
        """Whether a batch may be drawn by one pass with those of a flight.

        They are of the same engine, none is a suspect, and a task's first pictures are not held up
        by its next ones: it goes on air as soon as they are there.
        """
        engines = [self._roster.engine(each.batch.avatar) for each in (begun.first, other)]
        key = other.batch.key
        holds_up = any(
            (sent.batch.key.channel, sent.batch.key.task_id) == (key.channel, key.task_id)
            and sent.batch.key.first == 0
            for sent in begun.sends
        )
        return engines[0] == engines[1] and not holds_up and not self._ledger.flies_alone(other)

    def _others(self, slot: Slot, entry: Entry) -> bool:
        """Whether a batch that has failed here may still do so elsewhere."""
        return any(
            each.state in SERVING and entry.batch.avatar in each.speeds
            for each in self._slots
            if each is not slot and each.number not in entry.failed_on
        )
