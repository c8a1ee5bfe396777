"""The rows of callbacks, with real SQLite files: atomic with the task, kept across versions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from broadcaster.callbacks.courier import body_of
from broadcaster.errors import StoreError, TaskConflict
from broadcaster.store import Spool, Task, TaskState, TaskStore, schema
from broadcaster.store.task import ACTIVE_STATES

URL = "https://hooks.example.com/x"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TaskStore]:
    (tmp_path / "spool").mkdir()
    made = TaskStore(tmp_path / "store.sqlite3", Spool(tmp_path / "spool"), queue_limit=50)
    yield made
    made.close()


def accept(store: TaskStore, url: str = URL) -> Task:
    incoming = store.spool.begin()
    try:
        return store.accept(Task(incoming.task_id, "main", "a", 48_000, callback_url=url), incoming)
    finally:
        incoming.discard()


def move(store: TaskStore, task: Task, *states: TaskState) -> None:
    for state in states:
        store.move(task.id, ACTIVE_STATES, state)


def test_a_change_that_fails_tells_nothing(store: TaskStore) -> None:
    task = accept(store)
    store.cancel(task.id, "why")
    with pytest.raises(TaskConflict):
        store.cancel(task.id, "again")
    assert [each.event for each in store.outbox.of(task.id)] == ["task.cancelled"]


def test_a_task_that_is_resumed_starts_only_once(store: TaskStore) -> None:
    task = accept(store)
    move(store, task, TaskState.PREPARING, TaskState.BUFFERING, TaskState.ON_AIR)
    move(store, task, TaskState.BUFFERING, TaskState.ON_AIR)
    store.recover()
    move(store, task, TaskState.ON_AIR, TaskState.DONE)
    assert [each.event for each in store.outbox.of(task.id)] == ["task.started", "task.done"]


def test_what_is_told_does_not_change_with_the_task(store: TaskStore) -> None:
    task = accept(store)
    move(store, task, TaskState.PREPARING, TaskState.BUFFERING, TaskState.ON_AIR)
    (started,) = store.outbox.of(task.id)
    before = body_of(started)
    move(store, task, TaskState.DONE)
    store.forget_ended(-1)
    assert body_of(store.outbox.of(task.id)[0]) == before
    assert json.loads(before)["state"] == "on_air"


def test_only_what_is_pending_and_due_is_found(store: TaskStore) -> None:
    for number in range(4):
        store.outbox.put("avatar.ready", f"a{number}", URL, "{}", 100.0 + number)
    ids = [store.outbox.of(f"a{number}")[0].event_id for number in range(4)]
    assert [each.event_id for each in store.outbox.due(102.0)] == ids[:3]
    store.outbox.delivered(ids[0], 102.0)
    store.outbox.put_off(ids[1], "busy", 110.0)
    store.outbox.given_up(ids[2], "gone", 102.0)
    assert store.outbox.due(102.0) == []
    assert store.outbox.pending() == 2
    assert [each.event_id for each in store.outbox.due(110.0)] == [ids[3], ids[1]]
    store.outbox.given_up(ids[0], "late", 111.0)
    assert store.outbox.of("a0")[0].state == "delivered", "an end is an end"


def test_the_oldest_are_forgotten_beyond_the_limit_and_after_their_time(store: TaskStore) -> None:
    for number in range(10):
        store.outbox.put("x", f"a{number}", URL, "{}", float(number))
    for number in (7, 8):
        store.outbox.delivered(store.outbox.of(f"a{number}")[0].event_id, 50.0 + number)
    assert store.outbox.forget(58.0, keep=6) == 4 + 1
    left = [number for number in range(10) if store.outbox.of(f"a{number}")]
    assert left == [4, 5, 6, 8, 9]


def test_a_store_of_the_last_version_is_taken_over(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite3"
    with sqlite3.connect(file) as old:
        for script in schema._MIGRATIONS[:2]:
            old.executescript(script)
        old.execute(
            "INSERT INTO tasks (id, channel, state, source_name, sample_rate, created_s, updated_s)"
            " VALUES ('a', 'main', 'queued', 'voice.wav', 48000, 1, 1)"
        )
    old.close()
    store = TaskStore(file, Spool(tmp_path), 5)
    assert store.get("a").callback_url == ""
    store.cancel("a", "why")
    assert store.outbox.of("a") == []
    store.close()


def test_a_locked_store_is_our_error(store: TaskStore, tmp_path: Path) -> None:
    store.outbox.pending()
    connection = sqlite3.connect(tmp_path / "store.sqlite3")
    connection.execute("DROP TABLE callbacks")
    connection.close()
    with pytest.raises(StoreError):
        store.outbox.due(0.0)
