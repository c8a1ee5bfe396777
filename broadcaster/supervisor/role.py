"""One role: its process, its state, its restarts.

Owned by the supervisor's loop. Nothing here waits: the loop calls in when something is due.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import math
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from broadcaster.condition import Condition
from broadcaster.processes import kill_group, start_child
from broadcaster.supervisor.liveness import Liveness
from broadcaster.supervisor.restart import RestartSchedule
from broadcaster.supervisor.watch import Watch

logger = logging.getLogger(__name__)


END_REASONS = ("exit", "signal", "hung")
"""How a role's process can end, in the one word that ``Role.reap`` gives."""


class RoleState(enum.StrEnum):
    """What a role is doing, as ``/status`` shows it."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """What a role is started from.

    ``foreign`` programs cannot arm their own death signal. ``watch`` is None for a role that is
    alive as long as its process is. ``stop_by`` is the share of the stopping time by which the
    role must be gone: roles with a smaller share are told to stop first. ``longest_pause_s`` bounds
    the pause before a restart, however often the role has ended.
    """

    name: str
    argv: tuple[str, ...]
    foreign: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    watch: Watch | None = None
    stop_by: float = 0.5
    longest_pause_s: float = math.inf


class Role:
    """A supervised process; ``condition`` is its public state."""

    def __init__(self, spec: RoleSpec, schedule: RestartSchedule, now: float) -> None:
        self.spec = spec
        self.restarts = 0
        self.condition = Condition(spec.name, RoleState.STOPPED, "", now)
        self.restart_at: float | None = None
        self.pidfd: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._schedule = schedule
        self._failures = 0
        self._started_at = now
        limits = (spec.watch.limit_s, spec.watch.first_limit_s) if spec.watch else (0.0, 0.0)
        self._liveness = Liveness(*limits)
        self._verdict = ""

    @property
    def pid(self) -> int | None:
        """The running process, which also leads the role's process group."""
        return self._process.pid if self._process else None

    def start(self, now: float, env: Mapping[str, str]) -> None:
        """Start the process; a start that fails counts as a run that ended at once."""
        self.restart_at = None
        self._started_at = now
        self._liveness.begin(now)
        if self.spec.watch:
            self.spec.watch.begin()
        try:
            process = start_child(
                self.spec.argv, env={**env, **self.spec.env}, foreign=self.spec.foreign
            )
        except OSError as error:
            self._plan_restart(now, f"cannot be started: {error}")
            return
        self._process = process
        self.pidfd = os.pidfd_open(process.pid)
        self._enter(RoleState.STARTING if self.spec.watch else RoleState.RUNNING, now)
        logger.info("%s started, pid %d", self.spec.name, process.pid)

    def look(self, now: float) -> None:
        """Take proof of life; kill the process when it has been silent for too long."""
        watch = self.spec.watch
        if watch is None or self._process is None or self._verdict:
            return
        proof = watch.newest_proof(now)
        if proof is not None and proof >= self._started_at:
            self._liveness.prove(proof)
            self._enter(RoleState.RUNNING, now)
        elif self._liveness.is_hung(now):
            self._verdict = f"hung: no sign of life for {self._liveness.silence_s(now):.1f} s"
            logger.error("%s is %s; killing it", self.spec.name, self._verdict)
            self.kill()

    def excuse(self, seconds: float) -> None:
        """The supervisor slept so long: do not take it for the role's silence."""
        self._liveness.excuse(seconds)

    def reap(self, now: float, *, restart: bool) -> str:
        """The process has ended: clear up its group and, if wanted, plan the next start.

        Returns:
            The reason in one word: exit, signal or hung.
        """
        process, verdict = self._process, self._verdict
        assert process is not None
        kill_group(process.pid)  # its zombie still holds the group id, so no stranger is hit
        status = process.wait()
        self._forget_process()
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        if restart:
            self._plan_restart(now, verdict or how)
        else:
            self._enter(RoleState.STOPPED, now)
        if verdict:
            return "hung"
        return "signal" if status < 0 else "exit"

    def terminate(self, now: float) -> None:
        """Ask the process to end; a stopped one is woken so that it can."""
        self.restart_at = None
        if self._process is None:
            self._enter(RoleState.STOPPED, now)
            return
        self._enter(RoleState.STOPPING, now)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGTERM)
            os.kill(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill the whole process group; the loop reaps it."""
        if self._process is not None:
            kill_group(self._process.pid)

    def report(self) -> dict[str, Any]:
        """One entry of ``roles.json``; ``since`` is monotonic seconds."""
        return {
            "name": self.condition.name,
            "pid": self.pid,
            "state": str(self.condition.state),
            "last_error": self.condition.last_error,
            "since": self.condition.since,
            "restarts": self.restarts,
        }

    def _plan_restart(self, now: float, reason: str) -> None:
        self._failures = self._schedule.failures_after(self._failures, now - self._started_at)
        delay_s = min(self._schedule.delay_s(self._failures), self.spec.longest_pause_s)
        self.restart_at = now + delay_s
        self.restarts += 1
        self._enter(RoleState.RESTARTING, now, reason)
        logger.warning(
            "%s ended (%s); starting it again in %.1f s", self.spec.name, reason, delay_s
        )

    def _enter(self, state: RoleState, now: float, last_error: str | None = None) -> None:
        if state != self.condition.state or last_error is not None:
            self.condition = self.condition.entered(state, now, last_error)

    def _forget_process(self) -> None:
        if self.pidfd is not None:
            os.close(self.pidfd)
        if self.spec.watch:
            self.spec.watch.close()
        self._process, self.pidfd, self._verdict = None, None, ""
