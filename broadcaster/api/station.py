"""What the routes know of the station: settings, store, and a fresh enough view of the air.

Asking the playout and the relay is cached for a moment, so that a flood of requests asks no more
often than one patient client.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from flask import current_app
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from broadcaster.callbacks.target import Allowed
from broadcaster.clock import Clock, wall_time_s
from broadcaster.errors import StoreError
from broadcaster.metrics import OLDEST_QUEUED, QUEUE_LIMIT, TASKS_QUEUED
from broadcaster.paths import StatePaths
from broadcaster.relay.stat import RelayStat, fetch_stat
from broadcaster.settings.model import Channel, SettingsModel
from broadcaster.speech.decoder import decode_settings
from broadcaster.store import ChannelAvatars, Spool, TaskStore
from broadcaster.wire import Message, ask

FRESH_S = 0.3
"""Age up to which an answer of playout or relay is used again."""

ASK_TIMEOUT_S = 0.5
"""The playout answers within a tick (40 ms), the relay within a few."""

EXTENSION = "broadcaster"

T = TypeVar("T")


class Remembered(Generic[T]):
    """Calls ``fetch`` at most once per ``FRESH_S``, in one thread at a time."""

    def __init__(self, fetch: Callable[[], T], clock: Clock) -> None:
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._value: tuple[float, T] | None = None

    def get(self) -> T:
        """The value, ``FRESH_S`` old at most; waits for a fetch under way."""
        with self._lock:
            if self._value is None or self._clock.now() - self._value[0] > FRESH_S:
                value = self._fetch()
                self._value = (self._clock.now(), value)
            return self._value[1]


@dataclass(frozen=True, slots=True)
class Air:
    """One look at the station; what does not answer is None."""

    playout: Message | None
    relay: RelayStat | None
    relay_error: str
    preview: Message | None


class StationView:
    """Shared by all routes and threads."""

    def __init__(self, settings: SettingsModel, paths: StatePaths, clock: Clock) -> None:
        self.settings, self.paths, self.clock = settings, paths, clock
        self.store = TaskStore(paths.database, Spool(paths.spool), settings.api.queue_limit)
        self.avatars = ChannelAvatars(paths.database)
        self.channels: Mapping[str, Channel] = {c.name: c for c in settings.channels}
        self.decoding = decode_settings(settings)
        self.callbacks_allowed = Allowed(settings.callbacks.allow)
        self.uploads = threading.BoundedSemaphore(max(1, settings.api.threads // 2))
        self.offers = threading.BoundedSemaphore(max(1, settings.api.threads // 4))
        self.metrics = Remembered(self._collect, clock)
        self._air = Remembered(self._look, clock)

    def air(self) -> Air:
        """How things are, ``FRESH_S`` old at most."""
        return self._air.get()

    def ask_playout(self, request: Message) -> Message:
        """Send the playout a request of its own.

        Raises:
            OSError: it does not answer.
        """
        return ask(self.paths.playout_socket, request, ASK_TIMEOUT_S)

    def roles(self) -> list[dict[str, Any]]:
        """What the supervisor last wrote about its roles; empty without a supervisor."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            text = (self.paths.run / "roles.json").read_text(encoding="utf-8")
            return [role for role in json.loads(text)["roles"] if isinstance(role, dict)]
        return []

    def _collect(self) -> bytes:
        """The text of ``/metrics``: what every process counted, and the queues as they are."""
        QUEUE_LIMIT.set(self.settings.api.queue_limit)
        with contextlib.suppress(StoreError):
            counts, oldest = self.store.counts(), self.store.oldest_queued()
            now_s = wall_time_s()
            for name in self.channels:
                TASKS_QUEUED.labels(name).set(counts.get(name, {}).get("queued", 0))
                OLDEST_QUEUED.labels(name).set(max(0.0, now_s - oldest.get(name, now_s)))
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(REGISTRY)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _look(self) -> Air:
        playout = _answer_of(self.paths.playout_socket)
        has_preview = self.settings.has_preview
        preview = _answer_of(self.paths.preview_socket) if has_preview else None
        url = stat_url(self.settings)
        if not url:
            return Air(playout, None, "", preview)
        try:
            return Air(playout, fetch_stat(url, ASK_TIMEOUT_S), "", preview)
        except (OSError, ValueError) as error:
            return Air(playout, None, str(error), preview)


def _answer_of(socket: Path) -> Message | None:
    """A process's own status, or None when it does not answer."""
    try:
        return ask(socket, {"op": "status"}, ASK_TIMEOUT_S)
    except (OSError, ValueError):
        return None


def station_view() -> StationView:
    """The view of the application that serves the current request."""
    view: StationView = current_app.extensions[EXTENSION]
    return view


def stat_url(settings: SettingsModel) -> str:
    """Where the relay's health page is; empty when there is none to ask."""
    relay = settings.relay
    if relay.mode == "embedded":
        return f"http://127.0.0.1:{relay.stat_port}/stat"
    return relay.stat_url if relay.mode == "external" else ""
