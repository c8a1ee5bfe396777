"""The worker processes of a pool: carries out the dispatcher's orders, tells it what happened.

Owned by the pool's thread, the only one that starts, hears and reaps workers: the kernel kills a
worker when the *thread* that started it ends. Must never wait for a worker but in ``stop``.
"""

from __future__ import annotations

import enum
import logging
import os
import selectors
from collections.abc import Callable, Iterable, Sequence

from gpu_pool.contracts import SlotState
from gpu_pool.devices import device_in_worker
from gpu_pool.dispatch import Dispatcher
from gpu_pool.limits import Limits
from gpu_pool.messages import (
    Beat,
    Begin,
    Forget,
    LeaveOff,
    Message,
    NotPrepared,
    Prepare,
    Prepared,
    Preparing,
    Ready,
    Refused,
    Render,
    Rendered,
    Together,
)
from gpu_pool.orders import (
    Abandon,
    Dump,
    Kill,
    Learn,
    Order,
    Send,
    SendTogether,
    Start,
    Unlearn,
)
from gpu_pool.process import WorkerProcess
from gpu_pool.ring import Ring

logger = logging.getLogger(__name__)

_PAUSE_S = 0.5
"""A wait that took so much longer than asked for was a pause of this process (stopped, suspended,
starved), not of the workers."""


_KILLED_S = 2.0
"""A killed process is gone in milliseconds; one stuck in a driver may stay for ever."""


class _End(enum.Enum):
    LINE = enum.auto()
    ERRORS = enum.auto()
    PROCESS = enum.auto()


class Crew:
    """All processes, by slot."""

    def __init__(
        self, devices: Sequence[str], ring: Ring, limits: Limits, dispatcher: Dispatcher
    ) -> None:
        self.selector = selectors.DefaultSelector()
        self._devices = tuple(devices)
        self._ring, self._limits, self._dispatcher = ring, limits, dispatcher
        self._workers: dict[int, WorkerProcess] = {}

    def carry_out(self, orders: Iterable[Order], now: float) -> None:
        """Do what the dispatcher decided."""
        for order in orders:
            if isinstance(order, Start):
                self._start(order, now)
            elif worker := self._workers.get(order.slot):
                self._give(worker, order)

    def attend(self, key: selectors.SelectorKey, now: float) -> None:
        """Something is ready at one of the workers."""
        slot, end = key.data
        worker = self._workers.get(slot)
        if worker is None or key.fileobj not in (worker.line, worker.errors, worker.ended):
            return  # it was reaped a moment ago
        if end is _End.LINE:
            self._hear(worker, now)
            worker.flush()
            self._watch_line(worker)
        elif end is _End.ERRORS:
            if not worker.read_errors():
                self.selector.unregister(worker.errors)
        else:
            self._bury(worker, now)

    def excuse_pause(self, asked: float, timeout_s: float | None, now: float) -> None:
        """No worker is judged by a pause of this process."""
        if timeout_s is not None and now - asked - timeout_s > _PAUSE_S:
            logger.warning("the pool stood still for up to %.1f s", now - asked)
            self._dispatcher.excuse(now - asked)

    def stop(self, now: Callable[[], float]) -> None:
        """End every worker: by hanging up first, by SIGKILL after ``stop_s``."""
        for key in list(self.selector.get_map().values()):
            if not key.data or key.data[1] is _End.LINE:
                self.selector.unregister(key.fileobj)
        for worker in self._workers.values():
            worker.hang_up()
        self._bury_all(now, now() + self._limits.stop_s)
        for worker in self._workers.values():
            worker.kill()
        self._bury_all(now, now() + _KILLED_S)
        for worker in self._workers.values():
            logger.error("worker %d, pid %d, cannot be killed", worker.slot, worker.pid)
            worker.close()
        for slot in self._dispatcher.slots:
            slot.stopped(now())

    def _bury_all(self, now: Callable[[], float], deadline: float) -> None:
        while self._workers and (left_s := deadline - now()) > 0:
            for key, _ in self.selector.select(left_s):
                worker = self._workers.get(key.data[0])
                if worker is not None and key.data[1] is _End.PROCESS:
                    self._remove(worker)
                elif worker is not None and not worker.read_errors():
                    self.selector.unregister(worker.errors)

    def _start(self, order: Start, now: float) -> None:
        slot = order.slot
        try:
            ring = self._ring.open_for_worker()
            try:
                worker = WorkerProcess(slot, self._devices[slot], ring)
            finally:
                os.close(ring)
        except OSError as error:
            self._dispatcher.ended(slot, f"cannot be started: {error}", False, now)
            return
        self._workers[slot] = worker
        self._dispatcher.slots[slot].pid = worker.pid
        logger.info("worker %d (%s) started, pid %d", slot, self._devices[slot], worker.pid)
        self.selector.register(worker.line, selectors.EVENT_READ, (slot, _End.LINE))
        self.selector.register(worker.errors, selectors.EVENT_READ, (slot, _End.ERRORS))
        self.selector.register(worker.ended, selectors.EVENT_READ, (slot, _End.PROCESS))
        device = device_in_worker(self._devices[slot])
        avatars = tuple(Prepare(*each) for each in order.avatars)
        worker.send(Begin(avatars, device, self._limits.beat_s))
        self._watch_line(worker)

    def _give(self, worker: WorkerProcess, order: Order) -> None:
        if isinstance(order, Dump):
            logger.error("worker %d is hung (%s); its stacks follow", worker.slot, order.reason)
            worker.ask_for_stacks()
        elif isinstance(order, Kill):
            worker.kill()
        elif not isinstance(order, Start):
            worker.send(*_told(order))
            self._watch_line(worker)

    def _hear(self, worker: WorkerProcess, now: float) -> None:
        try:
            messages, connected = worker.receive()
        except ValueError as error:
            messages, connected = [], False
            self._dispatcher.condemn(worker.slot, str(error), now)
        for message in messages:
            self._take(worker.slot, message, now)
        if not connected:  # alive or not, nothing more will come
            self.selector.unregister(worker.line)
            self._dispatcher.lost_touch(worker.slot, now)

    def _take(self, slot: int, message: Message, now: float) -> None:
        if isinstance(message, Ready):
            self._dispatcher.ready(slot, now)
            logger.info("worker %d is ready", slot)
        elif isinstance(message, Preparing | Prepared | NotPrepared):
            self._take_news_of_an_avatar(slot, message, now)
        elif isinstance(message, Rendered):
            self._dispatcher.done(slot, message.serial, message.render_s, now)
        elif isinstance(message, Refused):
            self._dispatcher.refused(slot, message.serial, message.reason, now)
        elif isinstance(message, Beat):
            self._dispatcher.slots[slot].beat(message.steps, now)

    def _take_news_of_an_avatar(
        self, slot: int, message: Preparing | Prepared | NotPrepared, now: float
    ) -> None:
        if isinstance(message, Preparing):
            self._dispatcher.slots[slot].begins(message.serial, message.loads, now)
        elif isinstance(message, Prepared):
            warm = message.warm_s, message.pictures
            self._dispatcher.prepared(slot, message.serial, message.needs, warm, now)
            logger.info("worker %d, avatar ready: a batch takes %.3f s", slot, message.warm_s)
        else:
            self._dispatcher.not_prepared(slot, message.serial, message.reason, now)
            logger.error("worker %d refused an avatar: %s", slot, message.reason)

    def _bury(self, worker: WorkerProcess, now: float) -> None:
        """The process has ended: hear its last messages, then tell."""
        if worker.line in self.selector.get_map():
            self._hear_last(worker, now)
        how, signalled = self._remove(worker)
        slot = self._dispatcher.slots[worker.slot]
        self._dispatcher.ended(worker.slot, how, signalled, now)
        log = logger.error if slot.state is SlotState.PARKED else logger.warning
        pause_s = max(0.0, slot.breaker.retry_at - now)
        log("worker %d ended (%s); %s, next start in %.1f s", worker.slot, how, slot.state, pause_s)

    def _hear_last(self, worker: WorkerProcess, now: float) -> None:
        try:
            messages, _ = worker.receive()
        except ValueError:
            messages = []
        for message in messages:
            self._take(worker.slot, message, now)

    def _remove(self, worker: WorkerProcess) -> tuple[str, bool]:
        how = worker.reap()
        registered = self.selector.get_map()
        for source in (worker.line, worker.errors, worker.ended):
            if source in registered:
                self.selector.unregister(source)
        worker.close()
        del self._workers[worker.slot]
        return how

    def _watch_line(self, worker: WorkerProcess) -> None:
        if worker.line in self.selector.get_map():
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.has_unsent else 0)
            self.selector.modify(worker.line, wanted, (worker.slot, _End.LINE))


def _told(order: Send | SendTogether | Abandon | Learn | Unlearn) -> list[Message]:
    """An order to a worker, as messages."""
    if isinstance(order, SendTogether):
        return [Together(len(order.batches)), *(_render(each) for each in order.batches)]
    if isinstance(order, Send):
        return [_render(order)]
    if isinstance(order, Abandon):
        return [LeaveOff(order.serial)]
    if isinstance(order, Learn):
        return [Prepare(order.serial, order.avatar)]
    return [Forget(order.name)]


def _render(order: Send) -> Render:
    return Render(order.serial, order.batch, tuple(ref.slot for ref in order.pictures))
