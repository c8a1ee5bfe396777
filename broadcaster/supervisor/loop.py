"""The supervisor's loop: one place that waits for signals, ended processes and the next tick.

Beside the signal path, above all roles. It must never block on a role, and when nothing happens
it wakes twice a second.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import select
import selectors
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from broadcaster.clock import Clock
from broadcaster.settings.model import Supervisor as SupervisorSettings
from broadcaster.supervisor.restart import RestartSchedule
from broadcaster.supervisor.role import Role, RoleSpec
from broadcaster.supervisor.roster import write_roster
from broadcaster.supervisor.signals import SignalInbox

logger = logging.getLogger(__name__)

TICK_S = 0.5
"""Verdicts are exact to this much, at two wake-ups a second."""

HURRIED_TICK_S = 0.1
"""Until the station is on air: readiness is announced this soon after it is true."""

SLEPT_S = 1.0
"""A tick later than this means that the supervisor itself was stopped, not its roles."""


class Attendant(Protocol):
    """Something that looks at the roles at every tick: readiness, watchdog, accounting."""

    @property
    def hurried(self) -> bool:
        """True while ticks should come faster."""
        ...

    def attend(self, now: float, roles: Sequence[Role]) -> None:
        """One look; must not block for long."""
        ...

    def role_ended(self, role: Role, reason: str) -> None:
        """A role's process was reaped unexpectedly; ``reason`` is exit, signal or hung."""
        ...


class SupervisorLoop:
    """Runs the roles from start to ordered stop.

    Args:
        specs: what to run, in starting order.
        env: environment of every role.
        settings: restarting and stopping times.
        roster: where the roles' states are written for ``/status``.
        attendants: called at every tick.
        clock: monotonic time.
    """

    def __init__(
        self,
        specs: Sequence[RoleSpec],
        *,
        env: Mapping[str, str],
        settings: SupervisorSettings,
        roster: Path,
        attendants: Sequence[Attendant],
        clock: Clock,
    ) -> None:
        schedule = RestartSchedule(settings.restart_min_s, settings.restart_max_s)
        self.roles = tuple(Role(spec, schedule, clock.now()) for spec in specs)
        self._env = env
        self._settings = settings
        self._roster = roster
        self._attendants = attendants
        self._clock = clock
        self._written: list[dict[str, object]] = []
        self._stop_reason = ""

    def request_stop(self, reason: str) -> None:
        """Leave the loop at its next pass."""
        self._stop_reason = self._stop_reason or reason

    def run(self, inbox: SignalInbox) -> str:
        """Start the roles and keep them up until a stop is asked for.

        Returns:
            Why it stopped. The roles still run: call ``stop``.
        """
        for role in self.roles:
            role.start(self._clock.now(), self._env)
        self._write_roster()
        with selectors.DefaultSelector() as selector:
            selector.register(inbox, selectors.EVENT_READ)
            self._watch_processes(selector)
            next_tick = self._clock.now()
            while not self._stop_reason:
                next_tick = self._pass(selector, inbox, next_tick)
        return self._stop_reason

    def stop(self) -> None:
        """End every role within ``stop_after_s``: asked first, in order, then killed."""
        began = self._clock.now()
        ranked = sorted(self.roles, key=lambda role: role.spec.stop_by)
        for share, group in itertools.groupby(ranked, key=lambda role: role.spec.stop_by):
            members = list(group)
            for role in members:
                role.terminate(self._clock.now())
            self._write_roster()
            until = began + share * self._settings.stop_after_s
            self._reap_until(members, until)
            for role in members:
                if role.pid is not None:
                    logger.warning("%s did not stop in time; killing it", role.spec.name)
                    role.kill()
        self._reap_until(self.roles, self._clock.now() + SLEPT_S)

    def _pass(
        self, selector: selectors.BaseSelector, inbox: SignalInbox, next_tick: float
    ) -> float:
        """One wait and what it brought; returns when the next tick is due."""
        due = min([next_tick, *(r.restart_at for r in self.roles if r.restart_at is not None)])
        ended = [
            key.data
            for key, _ in selector.select(max(0.0, due - self._clock.now()))
            if isinstance(key.data, Role)
        ]
        if sig := inbox.take():
            self.request_stop(sig.name)
            return next_tick
        for role in ended:
            self._role_ended(role, selector)
        now = self._clock.now()
        for role in self.roles:
            if role.restart_at is not None and role.restart_at <= now:
                role.start(now, self._env)
        if now >= next_tick:
            next_tick = self._tick(now, next_tick)
        self._watch_processes(selector)
        self._write_roster()
        return next_tick

    def _tick(self, now: float, due: float) -> float:
        if now - due > SLEPT_S:
            logger.warning("the supervisor slept %.1f s", now - due)
            for role in self.roles:
                role.excuse(now - due)
        for role in self.roles:
            role.look(now)
        for attendant in self._attendants:
            attendant.attend(now, self.roles)
        hurried = any(attendant.hurried for attendant in self._attendants)
        return max(due, now - SLEPT_S) + (HURRIED_TICK_S if hurried else TICK_S)

    def _role_ended(self, role: Role, selector: selectors.BaseSelector) -> None:
        if role.pidfd is not None:
            selector.unregister(role.pidfd)
        reason = role.reap(self._clock.now(), restart=True)
        for attendant in self._attendants:
            attendant.role_ended(role, reason)

    def _watch_processes(self, selector: selectors.BaseSelector) -> None:
        known = {key.fd for key in selector.get_map().values()}
        for role in self.roles:
            if role.pidfd is not None and role.pidfd not in known:
                selector.register(role.pidfd, selectors.EVENT_READ, role)

    def _reap_until(self, roles: Sequence[Role], until: float) -> None:
        """Wait for the roles' processes to end, reaping each, but not beyond ``until``."""
        while waiting := {r.pidfd: r for r in roles if r.pidfd is not None}:
            left_s = until - self._clock.now()
            poller = select.poll()
            for pidfd in waiting:
                poller.register(pidfd, select.POLLIN)
            ended = poller.poll(max(0.0, left_s) * 1000)
            for pidfd, _ in ended:
                waiting[pidfd].reap(self._clock.now(), restart=False)
            if not ended and left_s <= 0:
                return

    def _write_roster(self) -> None:
        entries = [role.report() for role in self.roles]
        if entries != self._written:
            self._written = entries
            with contextlib.suppress(OSError):  # a full disk must not end the supervisor
                write_roster(self._roster, entries)
