"""Rows of the task table: reading, inserting and changing them. No transactions, no decisions."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import fields
from typing import Any

from broadcaster.store.schema import translated
from broadcaster.store.task import ACTIVE_STATES, ENDED_STATES, Task, TaskState

_NAMES = tuple(field.name for field in fields(Task))
_COLUMNS = ", ".join(_NAMES)
_GIVEN = tuple(name for name in _NAMES if name != "place")
_MARKS = ", ".join("?" * len(_GIVEN))


def quoted(states: Collection[TaskState]) -> str:
    """States as a list for SQL's ``IN``."""
    return ", ".join(f"'{state}'" for state in sorted(states))


ACTIVE, ENDED = quoted(ACTIVE_STATES), quoted(ENDED_STATES)

TAKING_ORDER = "interrupts DESC, CASE WHEN interrupts THEN -place ELSE -priority END, place"
"""Who is said next: the newest of those that interrupt, then by priority, then who came first."""


def select(connection: sqlite3.Connection, clause: str, bound: tuple[Any, ...] = ()) -> list[Task]:
    """The tasks that ``clause`` chooses."""
    with translated():
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM tasks {clause}",  # noqa: S608 - clauses are ours, values are bound
            bound,
        ).fetchall()
    return [
        Task(
            **{
                **dict(row),
                "state": TaskState(row["state"]),
                "interrupts": bool(row["interrupts"]),
            }
        )
        for row in rows
    ]


def insert(connection: sqlite3.Connection, task: Task) -> None:
    """Add a task; its place in the order of arrival is given by the table."""
    connection.execute(
        f"INSERT INTO tasks ({', '.join(_GIVEN)}) VALUES ({_MARKS})",  # noqa: S608 - our own names
        tuple(getattr(task, name) for name in _GIVEN),
    )


def update(connection: sqlite3.Connection, task_id: str, changed: dict[str, Any]) -> None:
    """Change columns of a task."""
    columns = ", ".join(f"{name} = ?" for name in changed)
    connection.execute(
        f"UPDATE tasks SET {columns} WHERE id = ?",  # noqa: S608 - names are ours, values are bound
        (*changed.values(), task_id),
    )
