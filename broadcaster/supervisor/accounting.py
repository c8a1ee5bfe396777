"""Puts the roles' states, their memory and the free disk into the metrics.

Import this only after ``PROMETHEUS_MULTIPROC_DIR`` is set: the client decides at its import where
its values live.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

from broadcaster.metrics import DISK_FREE, DISK_SIZE, PROCESS_PSS, ROLE_RESTARTS, ROLE_UP
from broadcaster.supervisor.role import END_REASONS, Role, RoleState
from broadcaster.supervisor.strays import children_of

ACCOUNT_EVERY_S = 15.0
"""Reading ``smaps_rollup`` makes the kernel walk every mapping (about 1 ms a process)."""


FIRST_ACCOUNT_S = 3.0
"""Before that the roles are still loading, and their size means nothing."""


class Accounting:
    """Keeps the supervisor's metrics; ``state_dir`` is where free space is measured."""

    hurried = False

    def __init__(self, state_dir: Path, metrics_dir: Path) -> None:
        self._state_dir = state_dir
        self._metrics_dir = metrics_dir
        self._next_at: float | None = None
        self._up: dict[str, bool] = {}

    def attend(self, now: float, roles: Sequence[Role]) -> None:
        """States when they change; memory and disk every 15 s."""
        for role in roles:
            if role.spec.name not in self._up:
                for reason in END_REASONS:
                    ROLE_RESTARTS.labels(role.spec.name, reason)  # there from the start, at 0
            up = role.condition.state == RoleState.RUNNING
            if self._up.get(role.spec.name) is not up:
                self._up[role.spec.name] = up
                ROLE_UP.labels(role.spec.name).set(up)
        if self._next_at is None:
            self._next_at = now + FIRST_ACCOUNT_S
        if now >= self._next_at:
            self._next_at = now + ACCOUNT_EVERY_S
            self._measure(roles)

    def role_ended(self, role: Role, reason: str) -> None:
        """Count the restart and drop the live gauges of processes that are gone."""
        ROLE_RESTARTS.labels(role.spec.name, reason).inc()
        forget_dead(self._metrics_dir)

    def _measure(self, roles: Sequence[Role]) -> None:
        PROCESS_PSS.labels("supervisor").set(pss_bytes(os.getpid()))
        for role in roles:
            total = sum(map(pss_bytes, family(role.pid))) if role.pid else 0
            PROCESS_PSS.labels(role.spec.name).set(total)
        with contextlib.suppress(OSError):
            disk = shutil.disk_usage(self._state_dir)
            DISK_FREE.labels(self._state_dir.name).set(disk.free)
            DISK_SIZE.labels(self._state_dir.name).set(disk.total)


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found, pending = [pid], [pid]
    while pending:
        children = children_of(pending.pop())
        found += children
        pending += children
    return found


def pss_bytes(pid: int) -> int:
    """Proportional set size; 0 when the process is gone or not ours to look at."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def forget_dead(metrics_dir: Path) -> None:
    """Remove the live gauges of ended processes, so that the sum shows living ones only."""
    pids = {file.stem.rpartition("_")[2] for file in metrics_dir.glob("gauge_live*.db")}
    for pid in pids:
        if not Path(f"/proc/{pid}").exists():
            with contextlib.suppress(OSError):
                mark_process_dead(int(pid), str(metrics_dir))  # type: ignore[no-untyped-call]
