"""One worker process from its owner's side: start, messages, what it prints, its end.

Everything here is non-blocking: a worker that is stopped, hung or flooding its stderr costs its
owner nothing. Must never fork a threaded owner without exec, never leave an orphan, and never let a
worker inherit a descriptor that is not its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from gpu_pool.devices import device_environment
from gpu_pool.messages import FrameReader, Message, encode

logger = logging.getLogger(__name__)

_PACKAGE_HOME = str(Path(__file__).resolve().parents[1])

_TAIL_LINES = 40
"""Kept of what a worker printed: room for a traceback, or for the stacks of a few threads."""

_LINE_CHARS = 500
_LOG_LINES_PER_LIFE = 400
"""A worker that prints per picture would drown the log; what it prints is read all the same."""

_READ_BYTES = 1 << 16
_SEND_BYTES = 1 << 20
"""Room for the sound of several batches, as far as the system gives it: else they go over in pieces
while the worker waits."""

_READS_AT_ONCE = 16
"""Then other workers have their turn."""

_THREADS: Mapping[str, str] = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
    ),
    "1",
)
"""One thread per worker: N workers with a pool of threads each would starve the playout."""


class WorkerProcess:
    """A running worker; ``close`` frees what it used, after ``reap``.

    Args:
        slot: number, for its name and its log lines.
        device: ``cpu`` or ``cuda:N``.
        ring: descriptor of the ring, inherited; closed here by the caller.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, slot: int, device: str, ring: int) -> None:
        self.slot = slot
        self.line, theirs = socket.socketpair()
        self.line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        errors, their_errors = os.pipe2(os.O_CLOEXEC)
        self.errors = errors
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "gpu_pool.worker"),
                    *(str(slot), str(os.getpid()), str(theirs.fileno()), str(ring)),
                ],
                env=_environment(device),
                stdin=subprocess.DEVNULL,
                stdout=their_errors,
                stderr=their_errors,
                pass_fds=(theirs.fileno(), ring),
                start_new_session=True,
            )
        except OSError:
            self.line.close()
            os.close(errors)
            raise
        finally:
            theirs.close()
            os.close(their_errors)
        self.pid = self._process.pid
        self.ended = os.pidfd_open(self.pid)
        self.line.setblocking(False)
        os.set_blocking(errors, False)
        _share_priority(self.pid)
        self._reader = FrameReader()
        self._unsent = bytearray()
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._half_line = b""
        self._logged = 0

    def send(self, *messages: Message) -> None:
        """Queue messages and send what the socket takes; ``has_unsent`` tells what is left."""
        for message in messages:
            self._unsent += encode(message)
        self.flush()

    @property
    def has_unsent(self) -> bool:
        """Whether ``flush`` has something to do once the socket is writable."""
        return bool(self._unsent)

    def flush(self) -> None:
        """Send on. A worker that is gone shows by its end, not here."""
        try:
            while self._unsent:
                del self._unsent[: self.line.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()

    def receive(self) -> tuple[list[Message], bool]:
        """What has arrived, and whether the worker still holds its end of the line.

        Raises:
            ValueError: it sent what is no message.
        """
        found: list[Message] = []
        for _ in range(_READS_AT_ONCE):
            try:
                data = self.line.recv(_READ_BYTES)
            except BlockingIOError:
                return found, True
            except OSError:
                return found, False
            if not data:
                return found, False
            found += self._reader.feed(data)
        return found, True

    def read_errors(self) -> bool:
        """Take what the worker printed; False once it has closed its end."""
        for _ in range(_READS_AT_ONCE):
            try:
                data = os.read(self.errors, _READ_BYTES)
            except BlockingIOError:
                return True
            if not data:
                return False
            *lines, self._half_line = (self._half_line + data).split(b"\n")
            self._half_line = self._half_line[-_LINE_CHARS:]
            for line in lines:
                self._print(line)
        return True

    def ask_for_stacks(self) -> None:
        """Its fault handler prints every thread's stack, whoever holds the interpreter's lock."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR1)

    def hang_up(self) -> None:
        """Close the line: a worker that is well ends by itself."""
        with contextlib.suppress(OSError):
            self.line.shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        """End the worker and whatever it started; works on a stopped one, too."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def reap(self) -> tuple[str, bool]:
        """Collect a process that has ended.

        Returns:
            How it ended, with its last words, and whether by a signal.
        """
        self.kill()  # the zombie still holds the group's number, so no stranger is hit
        status = self._process.wait()
        self.read_errors()
        if self._half_line:
            self._print(self._half_line)
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        words = next((line for line in reversed(self._tail) if line.strip()), "")
        return f"{how}: {words.strip()}" if words and status > 0 else how, status < 0

    def close(self) -> None:
        """Close the descriptors."""
        self.line.close()
        os.close(self.errors)
        os.close(self.ended)

    def _print(self, line: bytes) -> None:
        text = line[:_LINE_CHARS].decode(errors="replace").rstrip()
        self._tail.append(text)
        self._logged += 1
        if self._logged <= _LOG_LINES_PER_LIFE:
            logger.warning("worker %d: %s", self.slot, text)
        elif self._logged == _LOG_LINES_PER_LIFE + 1:
            logger.warning("worker %d prints too much; the rest of it is not logged", self.slot)


def _environment(device: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (_PACKAGE_HOME, os.environ.get("PYTHONPATH"))))
    own = device_environment(device, os.environ)
    return {**os.environ, **_THREADS, **own, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _share_priority(pid: int) -> None:
    """Where the kernel groups processes by session, a new session starts at priority 0."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    if own:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text(str(own))
