"""Where the station keeps what it writes: one folder, ``var`` of the clone or STATE_DIRECTORY."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StatePaths:
    """The layout of the state directory."""

    root: Path

    @property
    def run(self) -> Path:
        """Sockets, lock, heartbeat, relay prefix: remade at every start."""
        return self.root / "run"

    @property
    def cache(self) -> Path:
        """Encoded idle loops: may be deleted while the station is stopped."""
        return self.root / "cache"

    @property
    def spool(self) -> Path:
        """Uploads and decoded sound of accepted tasks."""
        return self.root / "spool"

    @property
    def avatars(self) -> Path:
        """The shelf of avatars made here, and what is being made."""
        return self.root / "avatars"

    @property
    def database(self) -> Path:
        """The task store (SQLite, WAL)."""
        return self.root / "store.sqlite3"

    @property
    def resolved_settings(self) -> Path:
        """The settings of this run as JSON (mode 0600, holds stream keys), read by every role."""
        return self.run / "settings.json"

    @property
    def tokens(self) -> Path:
        """Who may use the API (mode 0600, hashes only); written by ``broadcaster token``."""
        return self.root / "tokens.json"

    @property
    def callback_secret(self) -> Path:
        """The key that callbacks are signed with, where the settings name none (mode 0600)."""
        return self.root / "callback_secret"

    @property
    def lock(self) -> Path:
        """Held by the supervisor while it lives: one station per state directory."""
        return self.root / "station.lock"

    @property
    def playout_socket(self) -> Path:
        """Control socket of the playout (Unix stream, JSON lines)."""
        return self.run / "playout.sock"

    @property
    def preview_socket(self) -> Path:
        """Control socket of the preview (Unix stream, JSON lines)."""
        return self.run / "preview.sock"

    @property
    def doorbell(self) -> Path:
        """Datagram socket on which the API wakes the studio."""
        return self.run / "doorbell.sock"

    @property
    def memory(self) -> Path:
        """What is written at every tick: a folder in memory, linked here by the supervisor.

        On a disk such a file can stall the tick loop while it is written back, and a full disk
        would kill its writer (SIGBUS).
        """
        return self.run / "memory"

    @property
    def heartbeat(self) -> Path:
        """Tick counter that the playout writes and the supervisor reads."""
        return self.memory / "heartbeat"

    @property
    def preview_heartbeat(self) -> Path:
        """Pulse of the preview's event loop."""
        return self.memory / "preview-heartbeat"

    @property
    def metrics(self) -> Path:
        """prometheus-client's multiprocess directory."""
        return self.memory / "metrics"

    @property
    def relay(self) -> Path:
        """Prefix of the embedded relay."""
        return self.run / "relay"

    def make(self) -> None:
        """Create the folders, private to the user."""
        for folder in (
            self.root, self.run, self.cache, self.spool, self.avatars, self.metrics, self.relay
        ):  # fmt: skip
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
