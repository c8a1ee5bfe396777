"""Follows the parent that started the station, when that parent is ``make``.

GNU make hands a SIGTERM on to its recipe, but on a SIGINT sent to make alone it only waits for
the recipe to end: the terminal would have signalled the whole group. While it waits in its signal
handler the signal is blocked and no longer caught, and ``/proc`` shows that.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from broadcaster.processes import die_with_parent
from broadcaster.supervisor.role import Role

VARIABLE = "BROADCASTER_FOLLOW_PARENT"
"""Set by the Makefile."""

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class ParentWatch:
    """Asks for a stop when the parent is ending or gone.

    Args:
        request_stop: called with the reason.
    """

    hurried = False

    def __init__(self, request_stop: Callable[[str], None]) -> None:
        self._request_stop = request_stop
        self._parent = os.getppid()
        die_with_parent(signal.SIGTERM, self._parent)

    def attend(self, _now: float, _roles: Sequence[Role]) -> None:
        """One look at the parent."""
        if os.getppid() != self._parent:
            self._request_stop("its parent is gone")
        elif is_ending(_status_of(self._parent)):
            self._request_stop("its parent was told to end")

    def role_ended(self, role: Role, reason: str) -> None:
        """Not our concern."""


def is_ending(status: str) -> bool:
    """Whether ``/proc/<pid>/status`` shows a process inside its handler of a deadly signal."""
    masks = {
        line[:6]: int(line.split()[1], 16)
        for line in status.splitlines()
        if line.startswith(("SigBlk:", "SigIgn:", "SigCgt:"))
    }
    waiting = masks.get("SigBlk", 0) & ~masks.get("SigCgt", 0) & ~masks.get("SigIgn", 0)
    return any(waiting & 1 << (sig - 1) for sig in _ENDING)


def _status_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return ""
