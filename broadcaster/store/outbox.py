"""Rows of callbacks: what is to be told to whom, and how often that was tried.

The schema's triggers write them with the task's own change; ``put`` is for whatever else there is
to tell. The row is there before anybody is called, so a crash loses none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, fields

from broadcaster.store.schema import translated, writing

READ_AT_ONCE = 2000
"""Of what is due: enough to find the next of every receiver behind one that is slow."""

_LATEST_NEXT_S = 86_400.0
"""A row that is further ahead than any pause was written before the clock was set back."""


@dataclass(frozen=True, slots=True)
class Callback:
    """One thing to tell; times are wall seconds since 1970.

    Attributes:
        event_id: the same in every attempt.
        event: what happened, such as ``task.done``.
        subject: whom it happened to: a task's id.
        details: JSON object, part of what is sent.
        state: pending, delivered or failed.
    """

    event_id: str
    event: str
    subject: str
    url: str
    details: str
    state: str
    attempts: int
    last_error: str
    created_s: float
    next_s: float
    ended_s: float | None


_COLUMNS = ", ".join(field.name for field in fields(Callback))


class Outbox:
    """The table of callbacks.

    Args:
        connection: gives the calling thread's connection.
    """

    def __init__(self, connection: Callable[[], sqlite3.Connection]) -> None:
        self._connection = connection

    def put(self, event: str, subject: str, url: str, details: str, now_s: float) -> None:
        """Add something to tell, at once.

        Raises:
            StoreError: it could not be written.
        """
        with translated():
            self._connection().execute(
                "INSERT INTO callbacks (event, subject, url, details, created_s, next_s) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (event, subject, url, details, now_s, now_s),
            )

    def due(self, now_s: float) -> list[Callback]:
        """What is to be tried now, what waits longest first.

        Raises:
            StoreError: the store cannot be used.
        """
        return self._select(
            "WHERE state = 'pending' AND (next_s <= ? OR next_s > ?) ORDER BY next_s LIMIT ?",
            (now_s, now_s + _LATEST_NEXT_S, READ_AT_ONCE),
        )

    def of(self, subject: str) -> list[Callback]:
        """Everything there is to tell, or was told, of one subject, the oldest first.

        Raises:
            StoreError: the store cannot be used.
        """
        return self._select("WHERE subject = ? ORDER BY place", (subject,))

    def pending(self) -> int:
        """How many wait.

        Raises:
            StoreError: the store cannot be used.
        """
        with translated():
            (number,) = (
                self._connection()
                .execute("SELECT count(*) FROM callbacks WHERE state = 'pending'")
                .fetchone()
            )
        return int(number)

    def delivered(self, event_id: str, now_s: float) -> None:
        """It was taken."""
        self._change(event_id, "state = 'delivered', last_error = '', ended_s = ?", (now_s,))

    def put_off(self, event_id: str, error: str, next_s: float) -> None:
        """It was not taken; another attempt follows."""
        self._change(event_id, "last_error = ?, next_s = ?", (error, next_s))

    def given_up(self, event_id: str, error: str, now_s: float) -> None:
        """It was not taken and will not be tried again."""
        self._change(event_id, "state = 'failed', last_error = ?, ended_s = ?", (error, now_s))

    def forget(self, ended_before_s: float, keep: int) -> int:
        """Forget what ended before, and the oldest beyond ``keep``; returns how many.

        Raises:
            StoreError: nothing was forgotten.
        """
        with writing(self._connection()):
            return (
                self._connection()
                .execute(
                    "DELETE FROM callbacks WHERE ended_s < ? OR place <= "
                    "(SELECT place FROM callbacks ORDER BY place DESC LIMIT 1 OFFSET ?)",
                    (ended_before_s, keep),
                )
                .rowcount
            )

    def _select(self, clause: str, bound: tuple[float | str, ...]) -> list[Callback]:
        with translated():
            rows = (
                self._connection()
                .execute(
                    f"SELECT {_COLUMNS} FROM callbacks {clause}",  # noqa: S608 - clauses are ours, values are bound
                    bound,
                )
                .fetchall()
            )
        return [Callback(**dict(row)) for row in rows]

    def _change(self, event_id: str, columns: str, bound: tuple[float | str, ...]) -> None:
        with translated():
            self._connection().execute(
                f"UPDATE callbacks SET attempts = attempts + 1, {columns} "  # noqa: S608 - columns are ours, values are bound
                "WHERE event_id = ? AND state = 'pending'",
                (*bound, event_id),
            )
