"""Settings file of gunicorn (``--config python:...``): what its worker does after the fork.

The API's worker is a grandchild of the supervisor; it must die with gunicorn's master and must
not leave live gauges behind.
"""

from __future__ import annotations

import contextlib
import os
from typing import Protocol

from broadcaster.processes import die_with_parent


class _Worker(Protocol):
    pid: int
    ppid: int


def post_fork(_arbiter: object, worker: _Worker) -> None:
    """Runs in the worker: follow the master into death."""
    die_with_parent(parent_pid=worker.ppid)


def child_exit(_arbiter: object, worker: _Worker) -> None:
    """Runs in the master: the dead worker's live gauges go."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 (slow, rare)

        with contextlib.suppress(OSError):
            mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
