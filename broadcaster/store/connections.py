"""The SQLite connections of one process: each thread has one of its own."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from broadcaster.store.schema import open_database


class Connections:
    """Opens them when they are first asked for.

    Args:
        database: the store's file, made when missing.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._of_thread = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def own(self) -> sqlite3.Connection:
        """The connection of the calling thread.

        Raises:
            StoreError: the file cannot be opened.
        """
        found: sqlite3.Connection | None = getattr(self._of_thread, "connection", None)
        if found is None:
            found = self._of_thread.connection = open_database(self._database)
            with self._lock:
                self._all.append(found)
        return found

    def close(self) -> None:
        """Close all of them, those of other threads too."""
        with self._lock:
            for connection in self._all:
                connection.close()
            self._all.clear()
        self._of_thread = threading.local()
