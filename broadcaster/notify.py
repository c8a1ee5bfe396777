"""Speaks systemd's notification protocol: readiness, status, watchdog, stopping.

One datagram per message to the socket that systemd names in the environment. It must never block
or fail the supervisor: a message that cannot be sent is lost, and silence is what systemd acts on.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Messages to the service manager; does nothing when there is none.

    Args:
        address: NOTIFY_SOCKET: a path, or ``@name`` for the abstract namespace; "" for none.
        watchdog_s: the watchdog's limit in seconds; None when no watchdog is asked for.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s if address else None
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if address:
            kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
            self._socket = socket.socket(socket.AF_UNIX, kind)

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Notifier:
        """Take systemd's variables out of ``environ``, so that no child speaks in our name."""
        values = {name: environ.pop(name, "") for name in _VARIABLES}
        meant_for_us = values["WATCHDOG_PID"] in ("", str(os.getpid()))
        microseconds = values["WATCHDOG_USEC"] if meant_for_us else ""
        watchdog_s = int(microseconds) / 1e6 if microseconds.isdecimal() else None
        return cls(values["NOTIFY_SOCKET"], watchdog_s or None)

    def ready(self, status: str) -> None:
        """The station is up."""
        self._send(f"READY=1\nSTATUS={_one_line(status)}")

    def status(self, status: str) -> None:
        """One sentence for ``systemctl status``."""
        self._send(f"STATUS={_one_line(status)}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """An ordered stop has begun."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def close(self) -> None:
        """Close the socket; later messages are dropped."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(message.encode(), self._address)


def _one_line(text: str) -> str:
    return " ".join(text.split())
