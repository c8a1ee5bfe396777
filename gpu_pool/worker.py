"""A worker: one process on one device that loads an engine once and renders batches until it ends.

Between the pool, which it hears on a socket, and the picture ring, into which its engine writes. It
must never outlive the pool's process, never render on after it doubts itself (any exception but
``BatchRefused`` ends it: the pool starts a fresh one), and never talk to anybody else.

    python -m gpu_pool.worker SLOT PARENT_PID SOCKET_FD RING_FD
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import queue
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

from gpu_pool.contracts import TOGETHER_AT_MOST, AvatarRefused, BatchRefused, PoolError
from gpu_pool.messages import (
    Beat,
    Begin,
    Forget,
    FrameReader,
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
    encode,
)
from gpu_pool.ring import Mapping
from gpu_pool.workbench import Given, Workbench

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_OOM_SCORE = "500"
"""When memory runs out the kernel is to take a worker, not the playout."""

_RECEIVE_BYTES = 1 << 18


Order = Render | Together | Prepare | Forget
"""What a worker does one after the other."""


class Line:
    """The socket to the pool, with the thread that listens and gives signs of life.

    The thread runs beside whatever the engine does. It ends the process when the pool hangs up: the
    engine may be in the middle of a batch that nobody will take.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._reader = FrameReader()
        # One buffer for good: a new one each time is new pages each time.
        self._received = memoryview(bytearray(_RECEIVE_BYTES))
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._unwanted: tuple[int, ...] = ()
        self._steps = 0

    def begin(self) -> Begin:
        """Wait for the first message, then listen."""
        while True:
            for message in self._reader.feed(self._receive()):
                if isinstance(message, Begin):
                    listener = threading.Thread(
                        target=self._listen, args=(message.beat_s,), name="listener", daemon=True
                    )
                    listener.start()
                    return message

    def next_order(self) -> Order:
        """Wait for something to do."""
        return self._orders.get()

    def next_renders(self, count: int) -> list[Render]:
        """The batches that come next."""
        renders = []
        for _ in range(count):
            order = self._orders.get()
            assert isinstance(order, Render), "the pool sends nothing between them"
            renders.append(order)
        return renders

    def unwanted(self, serial: int) -> bool:
        """Whether the pool has said that nobody waits for this batch; engines ask at each step."""
        self._steps += 1
        return serial in self._unwanted

    def never_unwanted(self) -> bool:
        """The same for what nobody can call off."""
        self._steps += 1
        return False

    def send(self, message: Message) -> None:
        """Send one message, whole; the process ends when the pool has hung up."""
        with self._sending:
            try:
                self._line.sendall(encode(message))
            except OSError:
                os._exit(0)  # as in _receive

    def _listen(self, beat_s: float) -> None:
        beat_at = time.monotonic() + beat_s
        while True:
            wait_s = max(0.0, beat_at - time.monotonic())
            if select.select([self._line], [], [], wait_s)[0]:
                for message in self._reader.feed(self._receive()):
                    if isinstance(message, Order):
                        self._orders.put(message)
                    elif isinstance(message, LeaveOff):
                        # The newest: it may be one of the batches that are being drawn.
                        newest = *self._unwanted, message.serial
                        self._unwanted = newest[-TOGETHER_AT_MOST:]
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + beat_s
                self.send(Beat(self._steps))

    def _receive(self) -> memoryview:
        """What has come; holds until the next call."""
        try:
            size = self._line.recv_into(self._received)
        except OSError:
            size = 0
        if not size:
            os._exit(0)  # nothing to tidy up: the kernel takes memory and device back
        return self._received[:size]


def work(line: Line, ring: Mapping) -> None:
    """Load, say so, and do what comes until the pool hangs up."""
    begin = line.begin()
    bench = Workbench(begin.device, ring)
    for each in begin.avatars:
        _prepare(each, bench, line)
    line.send(Ready())
    while True:
        order = line.next_order()
        if isinstance(order, Prepare):
            _prepare(order, bench, line)
        elif isinstance(order, Forget):
            bench.forget(order.name)
        elif isinstance(order, Together):
            _render_together(line.next_renders(order.batches), bench, line)
        else:
            _render(order, bench, line)


def _prepare(order: Prepare, bench: Workbench, line: Line) -> None:
    """Prepare an avatar, and say before every step at what this worker may die."""
    line.send(Preparing(order.serial, loads=True))
    try:
        bench.load_engine_of(order.avatar)
        line.send(Preparing(order.serial, loads=False))
        line.send(Prepared(order.serial, *bench.prepare(order.avatar, line.never_unwanted)))
    except (AvatarRefused, BatchRefused) as refusal:
        line.send(NotPrepared(order.serial, str(refusal)))
    except (PoolError, ImportError) as error:
        line.send(NotPrepared(order.serial, f"{type(error).__name__}: {error}"))


def _render(order: Render, bench: Workbench, line: Line) -> None:
    serial = order.serial
    if line.unwanted(serial):
        line.send(Rendered(serial, 0.0))
        return
    try:
        render_s = bench.render(order.batch, order.slots, lambda: line.unwanted(serial))
    except BatchRefused as refusal:
        line.send(Refused(serial, str(refusal)))
    else:
        line.send(Rendered(serial, render_s))


def _render_together(orders: Sequence[Render], bench: Workbench, line: Line) -> None:
    """Answer each batch as soon as it is through."""
    given = [
        Given(order.batch, order.slots, partial(line.unwanted, order.serial)) for order in orders
    ]
    for answer, took_s in bench.render_together(given):
        serial = orders[answer.job].serial
        line.send(Refused(serial, answer.refused) if answer.refused else Rendered(serial, took_s))


def main(arguments: Sequence[str]) -> None:
    """Become the worker; ends with the process."""
    sys.excepthook = _end_with
    threading.excepthook = lambda failure: _end_with(
        failure.exc_type, failure.exc_value, failure.exc_traceback
    )
    slot, parent, line, ring = (int(each) for each in arguments)
    _die_with(parent)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(f"gpu-worker-{slot}")
    os.set_inheritable(line, False)
    os.set_inheritable(ring, False)
    mapping = Mapping(ring, writable=True)
    os.close(ring)
    work(Line(socket.socket(fileno=line)), mapping)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when the pool's thread or process ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it was gone before we asked
        os._exit(0)


def _end_with(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    """Print and end, without the interpreter's clean-up: a broken device may hang in it."""
    traceback.print_exception(kind, error, trace)
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
