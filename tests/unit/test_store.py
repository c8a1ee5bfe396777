"""The task store by itself, with real SQLite files."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broadcaster.errors import StoreError, TaskConflict, TaskNotFound, TaskRejected
from broadcaster.store import Spool, Task, TaskState, TaskStore, schema
from broadcaster.store.schema import open_database
from broadcaster.store.task import ACTIVE_STATES, ENDED_STATES, FOLLOWERS


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TaskStore]:
    spool = tmp_path / "spool"
    spool.mkdir()
    made = TaskStore(tmp_path / "store.sqlite3", Spool(spool), queue_limit=5)
    yield made
    made.close()


def accept(
    store: TaskStore,
    content: bytes = b"sound",
    channel: str = "main",
    priority: int = 0,
    **more: Any,
) -> Task:
    incoming = store.spool.begin()
    incoming.file.write(content)
    task = Task(incoming.task_id, channel, "voice.wav", 48_000, priority=priority, **more)
    try:
        return store.accept(task, incoming)
    finally:
        incoming.discard()


def to_state(store: TaskStore, task: Task, *states: TaskState) -> Task:
    for state in states:
        task = store.move(task.id, ACTIVE_STATES, state)
    return task


def test_an_accepted_task_is_queued_and_its_upload_lies_in_the_spool(store: TaskStore) -> None:
    task = accept(store, b"abc")
    assert task.state is TaskState.QUEUED
    assert store.get(task.id) == task
    assert store.spool.upload(task.id).read_bytes() == b"abc"
    assert task.created_s > 0
    assert task.created_s == task.updated_s


def test_the_next_task_is_the_most_urgent_and_then_the_oldest(store: TaskStore) -> None:
    first, second = accept(store), accept(store)
    urgent = accept(store, priority=5)
    order = []
    for _ in range(3):
        task = store.next_queued("main")
        assert task is not None
        order.append(task.id)
        to_state(store, task, TaskState.PREPARING)
    assert order == [urgent.id, first.id, second.id]
    assert store.next_queued("main") is None


def test_channels_have_queues_of_their_own(store: TaskStore) -> None:
    other = accept(store, channel="other")
    assert store.next_queued("main") is None
    found = store.next_queued("other")
    assert found is not None
    assert found.id == other.id


def test_a_full_queue_refuses_with_429_and_leaves_no_file(store: TaskStore) -> None:
    for _ in range(5):
        accept(store)
    before = store.spool.task_ids()
    with pytest.raises(TaskRejected) as refused:
        accept(store)
    assert refused.value.status == 429
    assert refused.value.retry_after_s
    assert store.spool.task_ids() == before
    with pytest.raises(TaskRejected):
        store.refuse_when_full()


def test_a_task_cannot_leave_a_state_it_is_not_in(store: TaskStore) -> None:
    task = accept(store)
    with pytest.raises(TaskConflict):
        store.move(task.id, {TaskState.ON_AIR}, TaskState.DONE)
    assert store.get(task.id).state is TaskState.QUEUED


def test_only_one_of_many_takers_gets_a_task(store: TaskStore) -> None:
    task = accept(store)
    won: list[int] = []

    def take(number: int) -> None:
        try:
            store.move(task.id, {TaskState.QUEUED}, TaskState.PREPARING)
        except TaskConflict:
            return
        won.append(number)

    takers = [threading.Thread(target=take, args=(n,)) for n in range(8)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join(10)
    assert len(won) == 1


@pytest.mark.parametrize("ended", sorted(ENDED_STATES))
def test_an_ended_task_never_changes_again(ended: TaskState) -> None:
    assert FOLLOWERS[ended] == frozenset()


@pytest.mark.parametrize("active", sorted(ACTIVE_STATES))
def test_every_active_task_can_fail_and_be_cancelled(active: TaskState) -> None:
    assert FOLLOWERS[active] >= {TaskState.FAILED, TaskState.CANCELLED}


def test_cancelling_an_ended_task_is_a_conflict(store: TaskStore) -> None:
    task = accept(store)
    cancelled = store.cancel(task.id, "asked")
    assert (cancelled.state, cancelled.reason) == (TaskState.CANCELLED, "asked")
    assert cancelled.ended_s is not None
    with pytest.raises(TaskConflict):
        store.cancel(task.id, "again")


def test_an_unknown_task_is_not_found(store: TaskStore) -> None:
    with pytest.raises(TaskNotFound):
        store.get("0" * 32)
    with pytest.raises(TaskNotFound):
        store.cancel("../../etc", "x")


def test_the_journal_never_goes_back(store: TaskStore) -> None:
    task = accept(store)
    store.journal(task.id, 48_000)
    store.journal(task.id, 10)
    assert store.get(task.id).played_samples == 48_000


def test_recovery_queues_what_was_held_with_its_progress(store: TaskStore) -> None:
    held, done = accept(store), accept(store)
    to_state(store, held, TaskState.PREPARING)
    store.move(held.id, ACTIVE_STATES, TaskState.BUFFERING, samples=96_000)
    to_state(store, held, TaskState.ON_AIR)
    store.journal(held.id, 48_000)
    to_state(store, done, TaskState.DONE)
    assert store.recover() == 1
    again = store.get(held.id)
    assert (again.state, again.samples, again.played_samples) == (
        TaskState.QUEUED,
        96_000,
        48_000,
    )
    assert again.started_s is not None
    assert store.get(done.id).state is TaskState.DONE


def test_the_sweep_deletes_orphans_and_fails_tasks_without_files(store: TaskStore) -> None:
    kept, lost = accept(store), accept(store)
    store.spool.remove(lost.id)
    orphan = store.spool.folder("f" * 32)
    orphan.mkdir()
    assert store.sweep() == (1, 1)
    assert not orphan.exists()
    assert store.get(kept.id).state is TaskState.QUEUED
    failed = store.get(lost.id)
    assert failed.state is TaskState.FAILED
    assert "gone" in failed.error


def test_the_incoming_sweep_spares_uploads_in_progress(store: TaskStore) -> None:
    arriving = store.spool.begin()
    dead = store.spool.begin()
    dead.file.close()  # as when its process was killed: the lock goes with it
    assert store.spool.sweep_incoming() == 1
    assert arriving.path.exists()
    assert not dead.folder.exists()
    arriving.discard()
    assert not arriving.folder.exists()


def test_files_of_ended_tasks_are_cleared_once(store: TaskStore) -> None:
    ended, active = accept(store), accept(store)
    store.cancel(ended.id, "x")
    assert store.clear_ended() == 1
    assert store.clear_ended() == 0
    assert store.spool.task_ids() == {active.id}


def test_history_is_bounded_by_age_and_by_number(store: TaskStore) -> None:
    tasks = [accept(store) for _ in range(4)]
    for task in tasks[:3]:
        store.cancel(task.id, "x")
    assert store.forget_ended(older_than_s=3600) == 0
    assert store.forget_ended(older_than_s=3600, keep=2) == 1
    with pytest.raises(TaskNotFound):
        store.get(tasks[0].id)
    assert store.forget_ended(older_than_s=-1) == 2
    assert [task.id for task in store.recent()] == [tasks[3].id]


def test_the_list_is_newest_first_and_bounded(store: TaskStore) -> None:
    tasks = [accept(store) for _ in range(4)]
    assert [t.id for t in store.recent(limit=2)] == [tasks[3].id, tasks[2].id]
    assert store.recent(limit=0) == []
    assert store.recent(channel="other") == []


def test_counts_are_per_channel_and_state(store: TaskStore) -> None:
    accept(store)
    store.cancel(accept(store).id, "x")
    accept(store, channel="other")
    assert store.counts() == {
        "main": {"queued": 1, "cancelled": 1},
        "other": {"queued": 1},
    }


def test_the_oldest_waiting_task_of_each_channel_is_known(store: TaskStore) -> None:
    taken, first = accept(store), accept(store)
    accept(store)
    to_state(store, accept(store, channel="second"), TaskState.CANCELLED)
    to_state(store, taken, TaskState.PREPARING)
    assert store.oldest_queued() == {"main": first.created_s}


def test_only_known_columns_can_be_changed(store: TaskStore) -> None:
    task = accept(store)
    with pytest.raises(ValueError, match="id"):
        store.move(task.id, ACTIVE_STATES, TaskState.PREPARING, id="x")


def test_a_path_as_task_id_never_reaches_the_spool(store: TaskStore) -> None:
    with pytest.raises(ValueError, match="task id"):
        store.spool.folder("../../etc")


def test_the_file_is_durable_by_its_settings(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "x.sqlite3")
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    connection.close()


def test_a_file_of_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    file = tmp_path / "x.sqlite3"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="newer"):
        open_database(file)


def test_a_locked_store_says_so_in_bounded_time(
    store: TaskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(store)
    monkeypatch.setattr("broadcaster.store.schema.BUSY_TIMEOUT_MS", 50)
    store.close()
    other = sqlite3.connect(tmp_path / "store.sqlite3", isolation_level=None)
    task = store.recent()[0]
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        store.journal(task.id, 1)
    other.execute("ROLLBACK")
    store.journal(task.id, 1)
    other.close()


def test_what_a_client_asked_for_is_kept(store: TaskStore) -> None:
    asked: dict[str, Any] = {
        "text": "Guten Tag, 世界", "voice": "espeak:de", "options": '{"guidance_scale": 1.5}',
        "interrupts": True, "expected_s": 1.5, "idempotency_key": "k", "fingerprint": "f",
    }  # fmt: skip
    task = store.get(accept(store, **asked).id)
    assert {name: getattr(task, name) for name in asked} == asked
    assert task.gain_db is None
    moved = store.move(task.id, ACTIVE_STATES, TaskState.PREPARING, gain_db=-3.5)
    assert moved.gain_db == -3.5


def test_the_newest_task_that_interrupts_is_taken_first(store: TaskStore) -> None:
    accept(store, priority=100)
    older, newer = accept(store, interrupts=True), accept(store, interrupts=True)
    for expected in (newer, older):
        found = store.next_queued("main")
        assert found is not None
        assert found.id == expected.id
        store.cancel(found.id, "")


def test_the_same_key_with_the_same_request_is_the_same_task(store: TaskStore) -> None:
    first = accept(store, idempotency_key="k", fingerprint="f")
    again = accept(store, idempotency_key="k", fingerprint="f")
    assert again == first
    assert store.spool.task_ids() == {first.id}, "the second upload is gone"
    assert accept(store).id != accept(store).id, "without a key every request is a new one"


def test_the_same_key_with_another_request_is_a_conflict(store: TaskStore) -> None:
    first = accept(store, idempotency_key="k", fingerprint="f")
    with pytest.raises(TaskConflict, match="another request"):
        accept(store, idempotency_key="k", fingerprint="g")
    assert store.spool.task_ids() == {first.id}


def test_a_full_queue_does_not_matter_to_a_request_that_was_accepted(store: TaskStore) -> None:
    first = accept(store, idempotency_key="k", fingerprint="f")
    for _ in range(4):
        accept(store)
    assert accept(store, idempotency_key="k", fingerprint="f") == first


def test_a_key_is_free_again_once_its_task_is_forgotten(store: TaskStore) -> None:
    first = accept(store, idempotency_key="k", fingerprint="f")
    store.cancel(first.id, "")
    assert accept(store, idempotency_key="k", fingerprint="f").state is TaskState.CANCELLED
    store.forget_ended(-1)
    assert accept(store, idempotency_key="k", fingerprint="g").id != first.id


def test_of_many_requests_with_one_key_at_once_one_becomes_a_task(store: TaskStore) -> None:
    found: list[str] = []
    at_once = threading.Barrier(8)

    def post() -> None:
        at_once.wait(10)
        found.append(accept(store, idempotency_key="k", fingerprint="f").id)

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert store.counts() == {"main": {"queued": 1}}
    assert store.spool.task_ids() == set(found)


def test_a_store_of_the_first_version_is_brought_up_to_date_with_its_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spool").mkdir()
    file, task_id = tmp_path / "store.sqlite3", "a" * 32
    monkeypatch.setattr("broadcaster.store.schema._MIGRATIONS", schema._MIGRATIONS[:1])
    old = open_database(file)
    old.execute(
        "INSERT INTO tasks (id, channel, state, source_name, sample_rate, samples, "
        "played_samples, created_s, updated_s) "
        "VALUES (?, 'main', 'on_air', 'x', 48000, 9, 4, 1, 1)",
        (task_id,),
    )
    old.close()
    monkeypatch.undo()
    store = TaskStore(file, Spool(tmp_path / "spool"), 5)
    assert store.recover() == 1
    task = store.get(task_id)
    assert (task.samples, task.played_samples, task.state) == (9, 4, TaskState.QUEUED)
    assert (task.text, task.interrupts, task.idempotency_key) == ("", False, None)
    assert [each.id for each in store.active("main")] == [task_id]
    store.close()


def test_ends_can_be_followed_in_their_order(store: TaskStore) -> None:
    first, second, third = (accept(store) for _ in range(3))
    store.cancel(second.id, "")
    store.cancel(first.id, "")
    ended = store.ended_since(0)
    assert [task.id for task in ended] == [second.id, first.id]
    assert ended[0].ended_s is not None
    assert [task.id for task in store.active("main")] == [third.id]
    assert store.ended_since(ended[1].ended_s or 0.0)[-1].id == first.id


def test_what_a_killed_studio_left_half_made_goes_and_the_rest_stays(store: TaskStore) -> None:
    """Half a decoded sound can be large; each life of the studio would leave another one."""
    task = accept(store)
    folder = store.spool.folder(task.id)
    kept = {"upload", "sound.s16", "sound16k.f32", "phonemes.json"}
    for name in {*kept, "decoded-1.part", "decoded-2.part", "sound.s16.x.new", "spoken.wav"}:
        (folder / name).write_bytes(b"x")
    store.sweep()
    assert {each.name for each in folder.iterdir()} == kept
