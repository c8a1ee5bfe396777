"""Signals as readable events, so that the supervisor's loop waits in one place only."""

from __future__ import annotations

import contextlib
import signal
import socket
from types import FrameType
from typing import Self

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class SignalInbox:
    """Catches the stop signals while open; ``fileno`` is readable when one has come.

    SIGTERM and SIGINT are caught even where the caller ignored or blocked them (a shell starts
    background jobs with SIGINT ignored): a station that cannot be stopped is the worse fault. An
    ignored SIGHUP stays ignored: that is what ``nohup`` asks for.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._old_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        caught = [
            sig
            for sig in STOP_SIGNALS
            if sig != signal.SIGHUP or signal.getsignal(sig) != signal.SIG_IGN
        ]
        self._old = {sig: signal.signal(sig, _note) for sig in caught}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, caught)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sig, handler in self._old.items():
            signal.signal(sig, handler)
        signal.set_wakeup_fd(self._old_fd)
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        """For a selector."""
        return self._reader.fileno()

    def take(self) -> signal.Signals | None:
        """The first stop signal that has come, or None; later ones change nothing."""
        with contextlib.suppress(BlockingIOError):
            for number in self._reader.recv(64):
                if number in STOP_SIGNALS:
                    return signal.Signals(number)
        return None


def _note(_signal: int, _frame: FrameType | None) -> None:
    """The wake-up descriptor carries the news."""
