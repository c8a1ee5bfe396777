"""The doorbell: the API rings it so that the studio wakes at once; polling is the fallback.

A ring carries nothing: the store says what there is to do. Ringing must never block or fail.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from broadcaster.wire import unix_address


class Doorbell:
    """The studio's end: a datagram socket at ``path``; a stale one is replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        path.unlink(missing_ok=True)
        with unix_address(path) as address:
            self._socket.bind(address)
        path.chmod(0o600)

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def clear(self) -> bool:
        """Take all rings that have come; whether there were any."""
        rung = False
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(16)
                rung = True
        return rung

    def close(self) -> None:
        """Take the bell down."""
        self._socket.close()
        self._path.unlink(missing_ok=True)


def ring(path: Path) -> None:
    """Wake the studio, if there is one."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.setblocking(False)
        with unix_address(path) as address:
            bell.sendto(b"!", address)
