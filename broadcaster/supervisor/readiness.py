"""Finds out when the station is really on air, says so once, and feeds systemd's watchdog.

On air means that every channel's pictures reach somebody: the playout reports an IDR accepted by
the relay (without one: by any destination) within the last seconds. It only asks; it must never
hold up the loop for longer than one short question.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from broadcaster.heartbeat import read_heartbeat
from broadcaster.notify import Notifier
from broadcaster.supervisor.role import Role
from broadcaster.wire import Message, ask

logger = logging.getLogger(__name__)

FRESH_IDR_S = 3.0
"""Older news of an IDR does not count as on air (the same bound as ``/readyz``)."""

UNREACHED_AFTER_S = 30.0
"""With ticks running but no destination reached for so long, the service counts as started all
the same: a platform that is down at boot must not make systemd restart a healthy station."""

PULSE_FRESH_S = 3.0
"""A heartbeat older than this feeds no watchdog."""

_HURRY_FOR_S = 60.0
"""Once it has taken this long, half a second more does not matter."""

_ASK_TIMEOUT_S = 0.25


def is_on_air(status: Message) -> bool:
    """Whether a playout status shows every channel reaching its relay, or any destination."""
    channels = status.get("channels") or []
    return bool(channels) and all(_channel_on_air(channel) for channel in channels)


class Readiness:
    """Announces the first time on air.

    Args:
        playout_socket: the playout's control socket.
        heartbeat: the tick loop's pulse.
        notifier: systemd.
        announce: called once with the seconds it took.
        began: monotonic seconds of the start.
    """

    def __init__(
        self,
        playout_socket: Path,
        heartbeat: Path,
        notifier: Notifier,
        announce: Callable[[float], None],
        began: float,
    ) -> None:
        self._playout_socket = playout_socket
        self._heartbeat = heartbeat
        self._notifier = notifier
        self._announce = announce
        self._began = began
        self._now = began
        self._on_air = False
        self._told_systemd = False

    @property
    def hurried(self) -> bool:
        """Until on air, or until it is clear that this will take long."""
        waiting = not (self._on_air or self._told_systemd)
        return waiting and self._now - self._began < _HURRY_FOR_S

    def attend(self, now: float, _roles: Sequence[Role]) -> None:
        """Ask the playout, as long as the answer is awaited."""
        self._now = now
        if self._on_air:
            return
        if is_on_air(self._status()):
            self._on_air = True
            self._announce(now - self._began)
            self._tell_systemd("on air")
        elif not self._told_systemd and now - self._began > UNREACHED_AFTER_S:
            beat = read_heartbeat(self._heartbeat)
            if beat is not None and now - beat.at < PULSE_FRESH_S:
                logger.warning("the station runs, but no destination has been reached yet")
                self._tell_systemd("running, but no destination has been reached yet")

    def role_ended(self, role: Role, reason: str) -> None:
        """Not our concern: readiness in the sense of systemd is given once."""

    def _tell_systemd(self, status: str) -> None:
        if self._told_systemd:
            self._notifier.status(status)
        else:
            self._notifier.ready(status)
        self._told_systemd = True

    def _status(self) -> Message:
        if not self._playout_socket.exists():
            return {}
        try:
            return ask(self._playout_socket, {"op": "status"}, _ASK_TIMEOUT_S)
        except (OSError, ValueError):
            return {}


class WatchdogFeeder:
    """Feeds systemd's watchdog only while the tick loop itself moves."""

    hurried = False

    def __init__(self, heartbeat: Path, notifier: Notifier) -> None:
        self._heartbeat = heartbeat
        self._notifier = notifier
        self._next_at = 0.0
        self._ticks: int | None = None
        self._moved_at: float | None = None

    def attend(self, now: float, _roles: Sequence[Role]) -> None:
        """Look at the pulse; feed when a third of the limit has passed."""
        if self._notifier.watchdog_s is None:
            return
        beat = read_heartbeat(self._heartbeat)
        if beat is not None and beat.ticks != self._ticks:
            self._ticks, self._moved_at = beat.ticks, now
        alive = self._moved_at is not None and now - self._moved_at < PULSE_FRESH_S
        if alive and now >= self._next_at:
            self._next_at = now + self._notifier.watchdog_s / 3
            self._notifier.alive()

    def role_ended(self, role: Role, reason: str) -> None:
        """Not our concern."""


def _channel_on_air(channel: dict[str, Any]) -> bool:
    destinations = channel.get("destinations") or []
    relay = [each for each in destinations if each.get("name") == "relay"]
    return any(_is_fresh(each.get("last_idr_age_s")) for each in relay or destinations)


def _is_fresh(age_s: object) -> bool:
    return isinstance(age_s, int | float) and age_s < FRESH_IDR_S
