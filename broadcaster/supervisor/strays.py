"""Grandchildren whose parent died: the supervisor adopts, reaps and at the end kills them.

Every child dies with its parent by itself (``PR_SET_PDEATHSIG``); this is the second line, and it
keeps zombies away where the station runs without an init (a container).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Collection, Sequence
from pathlib import Path

from broadcaster.clock import Clock
from broadcaster.supervisor.role import Role

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_POLL_S = 0.02


class StrayReaper:
    """Reaps strays at every tick of the supervisor's loop."""

    hurried = False

    def attend(self, _now: float, roles: Sequence[Role]) -> None:
        """One pass."""
        reap_strays(frozenset(role.pid for role in roles if role.pid is not None))

    def role_ended(self, role: Role, reason: str) -> None:
        """The role's own children are strays from now on; the next pass sees to them."""


def adopt_orphans() -> None:
    """Make this process the parent of every descendant that loses its own.

    Raises:
        OSError: the kernel refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def reap_strays(roles: Collection[int]) -> None:
    """Reap ended children that are not ``roles``: those have owners who want their status."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in roles:
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(ended.si_pid, os.WNOHANG)


def kill_strays(until: float, clock: Clock) -> None:
    """Kill and reap every child that is left, for ``until`` (monotonic seconds) at most.

    Only for the end of the supervisor, when all roles have been reaped.
    """
    while children := children_of(os.getpid()):
        for pid in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        reap_strays(())
        if clock.now() >= until:
            return
        clock.sleep(_POLL_S)


def children_of(pid: int) -> list[int]:
    """The children of a process, zombies included; empty when it is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found.extend(int(child) for child in (task / "children").read_text().split())
    return found
