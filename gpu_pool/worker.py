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
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from gpu_pool.contracts import (
    AvatarRef,
    Batch,
    BatchKey,
    BatchRefused,
    Engine,
    Picture,
    PictureFormat,
)
from gpu_pool.engines.registry import make_engine
from gpu_pool.messages import (
    Beat,
    Begin,
    FrameReader,
    LeaveOff,
    Message,
    Ready,
    Refused,
    Render,
    Rendered,
    encode,
)
from gpu_pool.ring import Mapping
from gpu_pool.windows import sound_span

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_OOM_SCORE = "500"
"""When memory runs out the kernel is to take a worker, not the playout."""

_RECEIVE_BYTES = 1 << 18


class Line:
    """The socket to the pool, with the thread that listens and gives signs of life.

    The thread runs beside whatever the engine does. It ends the process when the pool hangs up: the
    engine may be in the middle of a batch that nobody will take.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._reader = FrameReader()
        self._orders: queue.SimpleQueue[Render] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._unwanted = -1

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

    def next_order(self) -> Render:
        """Wait for a batch."""
        return self._orders.get()

    def unwanted(self, serial: int) -> bool:
        """Whether the pool has said that nobody waits for this batch."""
        return self._unwanted == serial

    def send(self, message: Message) -> None:
        """Send one message, whole."""
        with self._sending:
            self._line.sendall(encode(message))

    def _listen(self, beat_s: float) -> None:
        beat_at = time.monotonic() + beat_s
        while True:
            wait_s = max(0.0, beat_at - time.monotonic())
            if select.select([self._line], [], [], wait_s)[0]:
                for message in self._reader.feed(self._receive()):
                    if isinstance(message, Render):
                        self._orders.put(message)
                    elif isinstance(message, LeaveOff):
                        self._unwanted = message.serial
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + beat_s
                self.send(Beat())

    def _receive(self) -> bytes:
        try:
            data = self._line.recv(_RECEIVE_BYTES)
        except OSError:
            data = b""
        if not data:
            os._exit(0)  # nothing to tidy up: the kernel takes memory and device back
        return data


class Workbench:
    """An engine with its avatars, and the ring it writes into."""

    def __init__(self, begin: Begin, ring: Mapping) -> None:
        self._engine: Engine[Any] = make_engine(begin.engine)
        self._engine.load(begin.device)
        for avatar in begin.avatars:
            self._engine.prepare(avatar)
        self.needs = self._engine.needs
        self._avatars = {avatar.name: avatar for avatar in begin.avatars}
        self._ring = ring

    def warm_up(self) -> tuple[float, int]:
        """Render a silent batch of each avatar into memory of our own.

        Returns:
            Seconds of the slowest one, and its pictures. Once is not enough for a measure: what is
            set up on first use would count, so the second of two is taken.
        """
        count = self.needs.batch_pictures
        took_s = [self._render_silence(avatar, count) for avatar in self._avatars.values()]
        took_s = [self._render_silence(avatar, count) for avatar in self._avatars.values()]
        return max(took_s, default=0.0), count

    def render(self, order: Render, line: Line) -> float:
        """Render a batch into the ring; seconds that it took.

        Raises:
            BatchRefused: it can never be rendered.
        """
        avatar = self._avatars.get(order.batch.avatar)
        if avatar is None:
            raise BatchRefused(f"no avatar {order.batch.avatar!r} was prepared")
        out = [self._ring.picture(slot, avatar.picture) for slot in order.slots]
        return self._run(order.batch, avatar.picture, out, order.serial, line)

    def _render_silence(self, avatar: AvatarRef, count: int) -> float:
        start, stop = sound_span(self.needs, avatar.picture.fps, 0, count)
        key = BatchKey("", "", 0, 0)
        batch = Batch(key, count, avatar.name, 0, np.zeros(stop - start, np.float32))
        out = list(np.zeros((count, *avatar.picture.shape), np.uint8))
        return self._run(batch, avatar.picture, out)

    def _run(
        self,
        batch: Batch,
        picture: PictureFormat,
        out: Sequence[Picture],
        serial: int = 0,
        line: Line | None = None,
    ) -> float:
        began = time.monotonic()
        heard = self._engine.features(batch.sound, batch.key.first, batch.count, picture.fps)
        self._engine.render(batch, heard, out, lambda: bool(line and line.unwanted(serial)))
        return time.monotonic() - began


def work(line: Line, ring: Mapping) -> None:
    """Load, say so, and render until the pool hangs up."""
    bench = Workbench(line.begin(), ring)
    warm_s, pictures = bench.warm_up()
    line.send(Ready(bench.needs, warm_s, pictures))
    while True:
        order = line.next_order()
        try:
            render_s = 0.0 if line.unwanted(order.serial) else bench.render(order, line)
        except BatchRefused as refusal:
            line.send(Refused(order.serial, str(refusal)))
        else:
            line.send(Rendered(order.serial, render_s))


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
