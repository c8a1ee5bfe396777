"""The store's SQLite file: opening it, its schema, and what its errors mean.

Durability over speed: ``synchronous=FULL`` makes a commit return only once it is on the disk.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from broadcaster.errors import StoreError, StoreFull

BUSY_TIMEOUT_MS = 2000
"""Longest wait for another process's write; every write here takes a few milliseconds."""

_VERSION_1 = """
CREATE TABLE tasks (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    channel TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN
        ('queued', 'preparing', 'buffering', 'on_air', 'done', 'failed', 'cancelled')),
    priority INTEGER NOT NULL DEFAULT 0,
    source_name TEXT NOT NULL,
    sample_rate INTEGER NOT NULL,
    samples INTEGER NOT NULL DEFAULT 0,
    played_samples INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    created_s REAL NOT NULL,
    updated_s REAL NOT NULL,
    started_s REAL,
    ended_s REAL,
    spooled INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX tasks_waiting ON tasks (channel, state, priority DESC, place);
CREATE INDEX tasks_ended ON tasks (ended_s) WHERE ended_s IS NOT NULL;
PRAGMA user_version = 1;
"""

_VERSION_2 = """
ALTER TABLE tasks ADD COLUMN text TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN voice TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
ALTER TABLE tasks ADD COLUMN interrupts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN expected_s REAL NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN gain_db REAL;
ALTER TABLE tasks ADD COLUMN idempotency_key TEXT;
ALTER TABLE tasks ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX tasks_by_key ON tasks (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX tasks_active ON tasks (channel) WHERE ended_s IS NULL;
PRAGMA user_version = 2;
"""

_DETAILS = """json_object(
    'task_id', NEW.id, 'channel', NEW.channel, 'state', NEW.state,
    'reason', nullif(coalesce(nullif(NEW.reason, ''), NEW.error), ''),
    'duration_s', CASE WHEN NEW.samples > 0
        THEN round(NEW.samples * 1.0 / NEW.sample_rate, 3) END,
    'played_s', round(NEW.played_samples * 1.0 / NEW.sample_rate, 3),
    'created_at', strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created_s, 'unixepoch'),
    'started_at', strftime('%Y-%m-%dT%H:%M:%fZ', NEW.started_s, 'unixepoch'),
    'ended_at', strftime('%Y-%m-%dT%H:%M:%fZ', NEW.ended_s, 'unixepoch'))"""
"""What a callback tells of a task, as it was when it happened."""

_CALLBACKS = f"""
ALTER TABLE tasks ADD COLUMN callback_url TEXT NOT NULL DEFAULT '';
CREATE TABLE callbacks (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE DEFAULT (lower(hex(randomblob(16)))),
    event TEXT NOT NULL,
    subject TEXT NOT NULL,
    url TEXT NOT NULL,
    details TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    last_error TEXT NOT NULL DEFAULT '',
    created_s REAL NOT NULL,
    next_s REAL NOT NULL,
    ended_s REAL
) STRICT;
CREATE INDEX callbacks_due ON callbacks (next_s) WHERE state = 'pending';
CREATE INDEX callbacks_of ON callbacks (subject);
CREATE TRIGGER task_started AFTER UPDATE OF started_s ON tasks
WHEN NEW.callback_url <> '' AND OLD.started_s IS NULL AND NEW.started_s IS NOT NULL
BEGIN
    INSERT INTO callbacks (event, subject, url, details, created_s, next_s) VALUES
    ('task.started', NEW.id, NEW.callback_url, {_DETAILS}, NEW.updated_s, NEW.updated_s);
END;
CREATE TRIGGER task_ended AFTER UPDATE OF state ON tasks
WHEN NEW.callback_url <> '' AND OLD.state <> NEW.state
    AND NEW.state IN ('done', 'failed', 'cancelled')
BEGIN
    INSERT INTO callbacks (event, subject, url, details, created_s, next_s) VALUES
    ('task.' || NEW.state, NEW.id, NEW.callback_url, {_DETAILS}, NEW.updated_s, NEW.updated_s);
END;
"""  # noqa: S608 - built from our own constant
"""Callbacks arise in the transaction of the task's change, whoever makes it."""

_CHANNEL_AVATARS = """
CREATE TABLE channel_avatars (
    channel TEXT PRIMARY KEY,
    wished TEXT NOT NULL DEFAULT '',
    number INTEGER NOT NULL DEFAULT 0,
    on_air TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'preparing' CHECK (state IN ('same', 'preparing', 'failed')),
    error TEXT NOT NULL DEFAULT '',
    changed_s REAL NOT NULL
) STRICT;
"""

_AVATARS = """
CREATE TABLE avatars (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('making', 'ready', 'failed')),
    engine TEXT NOT NULL,
    source_name TEXT NOT NULL DEFAULT '',
    handles TEXT NOT NULL DEFAULT '',
    fingerprint TEXT NOT NULL DEFAULT '',
    callback_url TEXT NOT NULL DEFAULT '',
    progress REAL NOT NULL DEFAULT 0,
    step TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    created_s REAL NOT NULL,
    updated_s REAL NOT NULL,
    ended_s REAL
) STRICT;
CREATE INDEX avatars_ended ON avatars (ended_s) WHERE ended_s IS NOT NULL;
"""

_AVATAR_CALLBACKS = """
CREATE TRIGGER avatar_ended AFTER UPDATE OF state ON avatars
WHEN NEW.callback_url <> '' AND OLD.state = 'making' AND NEW.state IN ('ready', 'failed')
BEGIN
    INSERT INTO callbacks (event, subject, url, details, created_s, next_s) VALUES
    ('avatar.' || NEW.state, 'avatar/' || NEW.name, NEW.callback_url, json_object(
        'avatar', NEW.name,
        'state', NEW.state,
        'reason', nullif(NEW.error, ''),
        'file_name', NEW.source_name,
        'created_at', strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created_s, 'unixepoch'),
        'ended_at', strftime('%Y-%m-%dT%H:%M:%fZ', NEW.ended_s, 'unixepoch')
    ), NEW.updated_s, NEW.updated_s);
END;
"""
"""Told in the transaction that ends the making: a studio killed after it has told already."""

_MIGRATIONS = (_VERSION_1, _VERSION_2, _CALLBACKS, _CHANNEL_AVATARS, _AVATARS, _AVATAR_CALLBACKS)
"""One script per version; ``user_version`` counts how many have run."""

_NO_SPACE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_SHMOPEN,
    }
)
"""What SQLite says on a full disk, a quota or a file size limit."""


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn SQLite's errors into ours.

    Raises:
        StoreFull: no space is left.
        StoreError: locked for too long, read-only, damaged.
    """
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) in _NO_SPACE:
            raise StoreFull(f"no space left for the task store ({error})") from error
        raise StoreError(f"the task store cannot be used now ({error})") from error


def open_database(file: Path) -> sqlite3.Connection:
    """A connection in autocommit mode, with the schema brought up to date.

    Raises:
        StoreError: the file cannot be opened, or a newer version wrote it.
    """
    with translated():
        # Each connection is used by one thread; the flag lets ``TaskStore.close`` close them all.
        connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
    connection.row_factory = sqlite3.Row
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if _version(connection) == len(_MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)  # another process may have been first
        if version > len(_MIGRATIONS):
            raise StoreError(
                f"the task store was written by a newer version (schema {version}, "
                f"this one knows {len(_MIGRATIONS)})"
            )
        for script in _MIGRATIONS[version:]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; a trigger's own ones stay inside it."""
    statement = ""
    for piece in script.split(";"):
        statement += piece + ";"
        if sqlite3.complete_statement(statement):
            if statement.strip("; \n"):
                yield statement
            statement = ""


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


@contextlib.contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction: all of it, or nothing.

    Raises:
        StoreFull: no space is left; nothing was written.
        StoreError: as for ``translated``.
    """
    with translated():
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            # A full disk may have rolled back already; a second one is no error worth raising.
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
