"""The pool's decisions: which worker gets which batch, who is judged, started again, left alone.

Between events (a message, a death, a submission) and orders (start, send, kill) to whoever owns the
processes. Pure: ``now`` is monotonic seconds, handed in, credits come through a protocol. Must
never wait, and never order anything twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from gpu_pool.contracts import (
    BatchKey,
    BatchResult,
    EngineNeeds,
    PictureRef,
    PoolReport,
    SlotState,
)
from gpu_pool.flight import Aboard, Flight
from gpu_pool.handout import CreditTaker, HandOut
from gpu_pool.ledger import Ledger
from gpu_pool.limits import Limits
from gpu_pool.orders import (
    Abandon,
    Dump,
    Kill,
    Learn,
    Order,
    SendTogether,
    Start,
    Unlearn,
)
from gpu_pool.roster import Listed, Roster
from gpu_pool.slot import ALIVE, WAITING, Slot

_log = logging.getLogger(__name__)

QUEUE_PER_SLOT = 4
"""Batches that may wait per device: enough to keep it busy, little enough to drop in no time. As
many as its engine draws together, where these are more."""


class CreditSource(CreditTaker, Protocol):
    """Where the slots for pictures come from: a ``Ring``, or bare ``Credits``."""

    def release(self, refs: Iterable[PictureRef]) -> int:
        """Give slots back."""
        ...


class Dispatcher:
    """All slots, all batches. Tell it what happened, then do what ``decide`` orders."""

    def __init__(
        self, devices: Sequence[str], credits_: CreditSource, limits: Limits, now: float
    ) -> None:
        self.slots = [Slot(n, device, limits, now) for n, device in enumerate(devices)]
        self.ledger = Ledger(QUEUE_PER_SLOT * len(devices), limits.task_deaths_at_most)
        self.roster = Roster(limits.avatar_deaths_at_most)
        self._credits, self._limits = credits_, limits
        self._handout = HandOut(self.slots, self.ledger, self.roster, credits_)
        self._orders: list[Order] = []

    # --- what happened ----------------------------------------------------------------------

    def forget(self, avatar: str) -> None:
        """An avatar is not rendered any more: batches of it that wait are lost."""
        for slot in self.roster.forget(avatar):
            self.slots[slot].forgets(avatar)
            self._orders.append(Unlearn(slot, avatar))

    def ready(self, slot: int, now: float) -> None:
        """A worker is through with its beginning."""
        self.slots[slot].ready(now)

    def prepared(
        self, slot: int, serial: int, needs: EngineNeeds, warm: tuple[float, int], now: float
    ) -> None:
        """A worker has an avatar ready; ``warm`` are seconds and pictures of a silent batch."""
        found = self.slots[slot]
        name = found.given.pop(serial, "")
        if self.roster.ready(slot, serial, needs, now):
            found.has(name, warm, needs.batches_together)
            self.ledger.holds_at_least(needs.batches_together * len(self.slots))
        else:  # forgotten meanwhile
            self._orders.append(Unlearn(slot, name))
        found.through_with(serial, now)

    def not_prepared(self, slot: int, serial: int, reason: str, now: float) -> None:
        """A worker's engine says that an avatar can never be rendered."""
        self.roster.refused(slot, serial, reason)
        self.slots[slot].given.pop(serial, None)
        self.slots[slot].through_with(serial, now)

    def drop(self, unwanted: Callable[[BatchKey], bool]) -> None:
        """Forget batches; their pictures come free at once or when their workers are through."""
        self._forget(*self.ledger.drop(unwanted))

    def bump(self, channel: str, epoch: int) -> None:
        """Forget everything of a channel before ``epoch``."""
        self._forget(*self.ledger.bump(channel, epoch))

    def done(self, slot: int, serial: int, render_s: float, now: float) -> None:
        """A worker has rendered a batch, or left off when it was told that nobody waits."""
        found = self.slots[slot].answered(serial, render_s, now)
        if found is None:
            return
        if found.dropped or not self.ledger.done(serial, slot, render_s, found.pictures):
            self._credits.release(found.pictures)

    def refused(self, slot: int, serial: int, reason: str, now: float) -> None:
        """A worker's engine says that a batch can never be rendered."""
        found = self.slots[slot].answered(serial, None, now)
        if found is not None:
            self._credits.release(found.pictures)
            self.ledger.refused(serial, reason)

    def condemn(self, slot: int, reason: str, now: float) -> None:
        """A worker must go; its batches are tried elsewhere without waiting for its end.

        The pictures stay taken until the process is gone: it may still write into them.
        """
        found = self.slots[slot]
        if found.state not in ALIVE - {SlotState.ENDING}:
            return
        found.condemned(reason, now)
        self._orders.append(Dump(slot, reason))
        if found.flight is not None:
            self._failed(found, found.flight, reason)

    def lost_touch(self, slot: int, now: float) -> None:
        """A worker has closed its line."""
        if self.slots[slot].state in ALIVE - {SlotState.ENDING}:
            self.slots[slot].lost_touch(now)

    def ended(self, slot: int, how: str, signalled: bool, now: float) -> None:
        """A worker's process is gone and reaped."""
        found = self.slots[slot]
        judged, preparing = found.judged, found.preparing
        flight = found.ended(how, signalled, now)
        self._blame_avatar(found, preparing, now)
        if flight is not None:
            self._credits.release(flight.pictures)
            if not judged:
                self._failed(found, flight, how)

    def excuse(self, seconds: float) -> None:
        """The owner stood still for so long: no worker is to be judged by it."""
        for slot in self.slots:
            slot.excuse(seconds)

    # --- what to do -------------------------------------------------------------------------

    def decide(self, now: float) -> list[Order]:
        """Everything that is due at ``now``."""
        for slot in self.slots:
            if reason := slot.verdict(now):
                self.condemn(slot.number, reason, now)
        self._mark_dropped(self.ledger.expire(now))
        for slot in self.slots:
            if slot.state is SlotState.BUSY and slot.flight is not None:
                self._orders += [Abandon(slot.number, each) for each in slot.flight.untold()]
            elif slot.state is SlotState.ENDING and slot.kill_at and now >= slot.kill_at:
                slot.kill_at = None
                self._orders.append(Kill(slot.number))
            elif slot.state in WAITING and now >= slot.breaker.retry_at:
                slot.launched(now)
                first = tuple((each.serial, each.avatar) for each in self.roster.for_start())
                slot.given = {serial: avatar.name for serial, avatar in first}
                self._orders.append(Start(slot.number, first))
        self.ledger.lose_those(lambda batch: self.roster.why_never(batch.avatar))
        self._teach(now, self._limits.prepare_patience_s)
        self._hand_out(now)
        self._teach(now, 0.0)
        orders, self._orders = self._orders, []
        return orders

    def next_due(self) -> float | None:
        """When ``decide`` has something to do even if nothing happens."""
        due = [slot.next_due() for slot in self.slots] + [self.ledger.next_expiry()]
        return min((each for each in due if each is not None), default=None)

    def take_results(self) -> list[BatchResult]:
        """The answers that have come since the last time."""
        taken = list(self.ledger.results)
        self.ledger.results.clear()
        return taken

    def report(self, now: float) -> PoolReport:
        """For ``/status``."""
        reports = tuple(slot.report() for slot in self.slots)
        parked = [r.retry_at for r in reports if r.state is SlotState.PARKED and r.retry_at]
        all_parked = len(parked) == len(reports)
        return PoolReport(
            slots=reports,
            queued=self.ledger.queued,
            in_flight=self.ledger.in_flight,
            retried=self.ledger.retried,
            lost=self.ledger.lost,
            free_pictures=self._credits.free,
            retry_after_s=max(0.0, min(parked) - now) if all_parked else 0.0,
        )

    def _hand_out(self, now: float) -> None:
        for slot, sends in self._handout.flights():
            slot.sent([Aboard.of(each.serial, each.batch, each.pictures) for each in sends], now)
            several = len(sends) > 1
            self._orders.append(SendTogether(slot.number, tuple(sends)) if several else sends[0])

    def _idle(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.state is SlotState.READY]

    def _teach(self, now: float, asked_s_ago: float) -> None:
        """Idle workers prepare what they lack and what was asked for so long ago."""
        for slot in self._idle():
            missing = self._missing(slot)
            if missing is not None and now >= missing.asked_at + asked_s_ago:
                slot.asked_to_prepare(missing.serial, missing.avatar.name, now)
                self._orders.append(Learn(slot.number, missing.serial, missing.avatar))

    def _missing(self, slot: Slot) -> Listed | None:
        return self.roster.missing(slot.number, (each.preparing for each in self.slots))

    def _blame_avatar(self, slot: Slot, preparing: int | None, now: float) -> None:
        given_up = self.roster.died(slot.number, preparing, slot.last_error, now)
        if given_up:
            _log.error("avatar %s is given up: %s", given_up, self.roster.standing(given_up).reason)
        if slot.state is SlotState.PARKED:
            self.roster.suspect_the_device()

    def _forget(self, serials: Sequence[int], pictures: Sequence[PictureRef]) -> None:
        self._credits.release(pictures)
        self._mark_dropped(serials)

    def _mark_dropped(self, serials: Iterable[int]) -> None:
        wanted = set(serials)
        for slot in self.slots:
            if slot.flight is not None:
                slot.flight.drop(wanted)

    def _failed(self, slot: Slot, flight: Flight, reason: str) -> None:
        """What a worker has not answered is tried elsewhere, or lost."""
        serials = [each.serial for each in flight.left]
        whose = f"the worker on slot {slot.number} ({slot.device}): {reason}"
        self.ledger.failed(serials, slot.number, whose, flight.mixed)
