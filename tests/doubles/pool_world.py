"""Workers for the pool's dispatcher that exist in virtual time only, and batches to give them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gpu_pool.contracts import (
    AvatarRef,
    Batch,
    BatchDone,
    BatchKey,
    BatchLost,
    BatchResult,
    EngineNeeds,
    PictureFormat,
    PictureRef,
)
from gpu_pool.credits import Credits
from gpu_pool.dispatch import Dispatcher
from gpu_pool.limits import Limits
from gpu_pool.orders import Abandon, Dump, Kill, Learn, Order, Send, SendTogether, Start

SILENCE = np.zeros(0, np.float32)
PRESENTER = AvatarRef("presenter", "", PictureFormat(64, 36, 25))
NEEDS = EngineNeeds(0.2, 0.2, 4)


def batch(
    first: int = 0,
    count: int = 4,
    *,
    task: str = "a",
    epoch: int = 0,
    channel: str = "main",
    needed_by: float = float("inf"),
    avatar: str = PRESENTER.name,
) -> Batch:
    key = BatchKey(channel, task, epoch, first)
    return Batch(key, count, avatar, first, SILENCE, needed_by)


class World:
    """A dispatcher whose orders are carried out by nobody but the test.

    Args:
        devices: one slot each.
        pictures: of the ring.
        limits: of the pool.
        together: batches that the workers' engine draws by one pass.
    """

    def __init__(
        self,
        devices: int = 2,
        pictures: int = 64,
        limits: Limits | None = None,
        start: float = 1e4,
        together: int = 1,
    ) -> None:
        self.needs = replace(NEEDS, batches_together=together)
        self.now = start
        self.limits = limits or Limits()
        self.credits = Credits(pictures)
        self.dispatcher = Dispatcher(["cpu"] * devices, self.credits, self.limits, start)
        self.dispatcher.roster.want(PRESENTER, start)
        self.preparing: dict[int, list[int]] = {}
        """Slot -> serials of the avatars that its worker has been given."""
        self.running: set[int] = set()
        self.loaded: set[int] = set()
        self.flights: dict[int, list[Send]] = {}
        """Slot -> the batches that its worker has not answered."""
        self.condemned: set[int] = set()
        self.orders: list[Order] = []
        self.results: list[BatchResult] = []

    def step(self, seconds: float = 0.0) -> list[Order]:
        """Time passes, then the dispatcher decides; what it orders is checked for sense."""
        self.now += seconds
        orders = self.dispatcher.decide(self.now)
        for order in orders:
            self._check(order)
        self.orders += orders
        self.results += self.dispatcher.take_results()
        return orders

    def happens(self, kind: str, slot: int, seconds: float) -> None:
        """One event of a script, where it can be; ``step`` is what comes of it."""
        if kind == "finish" and slot in self.flights and slot not in self.condemned:
            self.finish(slot)
        elif kind == "die" and slot in self.running:
            self.die(slot)
        elif kind == "load" and slot in self.running - self.loaded - self.condemned:
            self.load(slot)
        elif kind == "pass":
            self.now += seconds
        elif kind == "beat":
            self.beat()
        elif kind == "free":
            self.release_all()

    def wait(self) -> list[Order]:
        """To the next moment at which something is due."""
        due = self.dispatcher.next_due()
        assert due is not None
        return self.step(max(0.0, due - self.now))

    def beat(self, steps: int = 0) -> None:
        """Every worker that is not condemned gives a sign of life; its engine is at this step."""
        for slot in self.running - self.condemned:
            self.dispatcher.slots[slot].beat(steps, self.now)

    def load(self, *slots: int, picture_s: float = 0.01) -> list[Order]:
        """Workers become ready; all of them unless named."""
        for slot in slots or sorted(self.running - self.loaded):
            self.loaded.add(slot)
            for serial in list(self.preparing[slot]):
                self.begin(slot)
                self._prepared(slot, serial, picture_s)
            self.dispatcher.ready(slot, self.now)
        return self.step()

    def want(self, *names: str) -> list[Order]:
        """More avatars are asked for."""
        for name in names:
            self.dispatcher.roster.want(AvatarRef(name, "", PRESENTER.picture), self.now)
        return self.step()

    def begin(self, slot: int) -> None:
        """A worker begins with the next avatar that it has been given."""
        self.dispatcher.slots[slot].begins(self.preparing[slot][0], False, self.now)

    def prepare(self, slot: int, picture_s: float = 0.01) -> list[Order]:
        """A worker has the next avatar ready that it has been given."""
        self._prepared(slot, self.preparing[slot][0], picture_s)
        return self.step()

    def refuse(self, slot: int, reason: str) -> list[Order]:
        """Its engine will not have the next avatar."""
        serial = self.preparing[slot].pop(0)
        self.dispatcher.not_prepared(slot, serial, reason, self.now)
        return self.step()

    def _prepared(self, slot: int, serial: int, picture_s: float) -> None:
        self.preparing[slot].remove(serial)
        self.dispatcher.prepared(slot, serial, self.needs, (picture_s * 4, 4), self.now)

    def submit(self, *batches: Batch) -> list[Order]:
        for each in batches:
            assert self.dispatcher.ledger.add(each)
        return self.step()

    def finish(self, slot: int, after_s: float = 0.04) -> list[Order]:
        """A worker is through with all that it has, so long after it began."""
        self.now += after_s
        self.beat()
        for order in self.flights.pop(slot):
            self.dispatcher.done(slot, order.serial, after_s, self.now)
        return self.step()

    def answer(self, slot: int, first: int, after_s: float = 0.04, refused: str = "") -> None:
        """A worker is through with one batch of those that it has."""
        (order,) = [each for each in self.flights[slot] if each.batch.key.first == first]
        self.flights[slot].remove(order)
        if not self.flights[slot]:
            del self.flights[slot]
        if refused:
            self.dispatcher.refused(slot, order.serial, refused, self.now)
        else:
            self.dispatcher.done(slot, order.serial, after_s, self.now)
        self.step()

    def die(self, slot: int, how: str = "killed by SIGKILL") -> list[Order]:
        self.flights.pop(slot, None)
        for group in (self.running, self.loaded, self.condemned):
            group.discard(slot)
        self.dispatcher.ended(slot, how, True, self.now)
        return self.step()

    def hang(self, slot: int) -> None:
        """A worker gives no sign of life until it is judged; the others do."""
        while slot not in self.condemned:
            self.now += 0.5
            for other in self.running - self.condemned - {slot}:
                self.dispatcher.slots[other].heard(self.now)
            self.step()

    def revive(self, slot: int) -> None:
        """Wait until a slot is started again, and load it; the others are well meanwhile."""
        while slot not in self.running:
            self.wait()
            self.beat()
        self.load(slot)

    def release(self, pictures: tuple[PictureRef, ...]) -> None:
        self.credits.release(pictures)

    def release_all(self) -> None:
        """The playout has shown everything."""
        for result in self.results:
            if isinstance(result, BatchDone):
                self.release(result.pictures)

    @property
    def done(self) -> list[int]:
        return [r.key.first for r in self.results if isinstance(r, BatchDone)]

    @property
    def lost(self) -> list[int]:
        return [r.key.first for r in self.results if isinstance(r, BatchLost)]

    @property
    def flying(self) -> dict[int, Send]:
        """Slot -> the first batch that its worker has not answered."""
        return {slot: orders[0] for slot, orders in self.flights.items()}

    def together(self) -> dict[int, list[int]]:
        """Slot -> first pictures of all batches that its worker has."""
        return {
            slot: [each.batch.key.first for each in orders] for slot, orders in self.flights.items()
        }

    def sent_to(self) -> dict[int, int]:
        """Slot -> first picture of the batch that its worker has."""
        return {slot: order.batch.key.first for slot, order in self.flying.items()}

    def _check(self, order: Order) -> None:
        slot = order.slot
        if isinstance(order, Start):
            assert slot not in self.running, "started twice"
            self.running.add(slot)
            self.preparing[slot] = [serial for serial, _ in order.avatars]
        elif isinstance(order, Learn):
            assert slot in self.loaded - self.condemned, "an avatar for a worker that is not ready"
            assert slot not in self.flying, "an avatar for a worker that has a batch"
            assert not self.preparing[slot], "two avatars for one worker"
            self.preparing[slot].append(order.serial)
        elif isinstance(order, Send):
            self._check_flight(slot, [order])
        elif isinstance(order, SendTogether):
            assert 1 < len(order.batches) <= self.needs.batches_together
            self._check_flight(slot, list(order.batches))
        elif isinstance(order, Dump):
            assert slot in self.running - self.condemned, "condemned twice"
            self.condemned.add(slot)
        elif isinstance(order, Kill):
            assert slot in self.running, "kills who is gone"
        elif isinstance(order, Abandon):
            assert order.serial in {each.serial for each in self.flights[slot]}

    def _check_flight(self, slot: int, sends: list[Send]) -> None:
        assert slot in self.loaded - self.condemned, "a batch for a worker that is not ready"
        assert slot not in self.flights, "more for a worker that has something to do"
        assert {each.slot for each in sends} == {slot}
        others = [each for orders in self.flights.values() for each in orders]
        taken = [ref.slot for each in [*others, *sends] for ref in each.pictures]
        assert len(taken) == len(set(taken)), "two write into one picture"
        assert all(len(each.pictures) == each.batch.count for each in sends)
        self.flights[slot] = sends
