"""A table that clients fill: a connection for each thread, and a bound on what may wait in it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import ClassVar

from broadcaster.errors import TaskRejected
from broadcaster.store.connections import Connections
from broadcaster.store.schema import translated


class Queue:
    """What the tables of tasks and of avatars have in common.

    Args:
        database: the SQLite file of the store, made when missing.
        queue_limit: rows that may wait at once.
    """

    WAITING: ClassVar[str]
    """SQL that counts what waits."""

    FULL: ClassVar[str]
    """What a refused client is told, after the number."""

    RETRY_AFTER_S: ClassVar[int]
    """And after how long it should come again."""

    def __init__(self, database: Path, queue_limit: int) -> None:
        self._connections = Connections(database)
        self._queue_limit = queue_limit

    def refuse_when_full(self) -> None:
        """Raise as for one too many, before an upload is read.

        Raises:
            TaskRejected: 429.
        """
        with translated():
            self._refuse_when_full()

    def close(self) -> None:
        """Close every connection, also those of other threads."""
        self._connections.close()

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._connections.own()

    def _refuse_when_full(self) -> None:
        (waiting,) = self._connection.execute(self.WAITING).fetchone()
        if waiting >= self._queue_limit:
            raise TaskRejected(429, f"{waiting} {self.FULL}", self.RETRY_AFTER_S)
