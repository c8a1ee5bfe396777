"""The journal of makings: what is asked twice is one, what is called off is not finished."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from broadcaster.clock import wall_time_s
from broadcaster.errors import AvatarConflict, AvatarNotFound, TaskRejected
from broadcaster.store import Spool, TaskStore
from broadcaster.store.avatars import MOST_ATTEMPTS, AvatarJournal, AvatarRow, AvatarState
from broadcaster.store.outbox import Callback

BOB = AvatarRow("bob", "1" * 32, "photo", fingerprint="abc", source_name="bob.jpg")


def nothing() -> None:
    """An upload that is where it should be already."""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[AvatarJournal]:
    made = AvatarJournal(tmp_path / "store.sqlite3", 3)
    yield made
    made.close()


def test_what_is_asked_is_made_in_order(journal: AvatarJournal) -> None:
    for name in ("bob", "eve"):
        journal.ask(replace(BOB, name=name), nothing, on_shelf=False)
    first = journal.next()
    assert first is not None
    assert first.name == "bob"
    journal.begin(first.place)
    assert journal.note(first.place, 0.5, "drawing")
    noted = journal.find("bob")
    assert noted is not None
    assert (noted.progress, noted.step, noted.attempts) == (0.5, "drawing", 1)
    assert journal.end(first.place)
    ended = journal.find("bob")
    assert ended is not None
    assert (ended.state, ended.progress, ended.error) == (AvatarState.READY, 1.0, "")
    following = journal.next()
    assert following is not None
    assert following.name == "eve"


def test_the_same_asked_twice_is_one_and_its_upload_is_not_taken(journal: AvatarJournal) -> None:
    first = journal.ask(BOB, nothing, on_shelf=False)

    def never() -> None:
        pytest.fail("the second upload was taken")

    again = replace(BOB, id="2" * 32)
    assert journal.ask(again, never, on_shelf=False) == first
    journal.end(first.place)
    assert journal.ask(again, never, on_shelf=True).id == BOB.id


def test_a_name_is_not_given_to_another_file(journal: AvatarJournal) -> None:
    journal.ask(BOB, nothing, on_shelf=False)
    with pytest.raises(AvatarConflict):
        journal.ask(replace(BOB, fingerprint="other"), nothing, on_shelf=False)
    with pytest.raises(AvatarConflict):
        journal.ask(replace(BOB, name="on-shelf"), nothing, on_shelf=True)


def test_what_failed_can_be_asked_again_with_the_same_and_with_another_file(
    journal: AvatarJournal,
) -> None:
    for fingerprint in ("abc", "other"):
        row = journal.ask(replace(BOB, fingerprint=fingerprint), nothing, on_shelf=False)
        assert row.state is AvatarState.MAKING
        assert row.error == ""
        journal.end(row.place, "no face")
    failed = journal.find("bob")
    assert failed is not None
    assert (failed.state, failed.error) == (AvatarState.FAILED, "no face")
    assert [each.name for each in journal.ended_since(0)] == ["bob"]


def test_too_many_are_refused_and_nothing_is_taken(journal: AvatarJournal) -> None:
    for number in range(3):
        journal.ask(replace(BOB, name=f"n{number}"), nothing, on_shelf=False)
    taken: list[int] = []
    with pytest.raises(TaskRejected) as refused:
        journal.ask(BOB, lambda: taken.append(1), on_shelf=False)
    assert refused.value.status == 429
    assert taken == []
    with pytest.raises(TaskRejected):
        journal.refuse_when_full()


def test_an_upload_that_cannot_be_taken_leaves_no_row(journal: AvatarJournal) -> None:
    def fail() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        journal.ask(BOB, fail, on_shelf=False)
    assert journal.find("bob") is None


def test_what_is_called_off_can_be_neither_noted_nor_ended(journal: AvatarJournal) -> None:
    row = journal.ask(BOB, nothing, on_shelf=False)
    journal.forget("bob")
    assert not journal.note(row.place, 0.5, "x")
    assert not journal.end(row.place)
    assert journal.find("bob") is None
    with pytest.raises(AvatarNotFound):
        journal.forget("bob")
    assert journal.ask(BOB, nothing, on_shelf=False).place != row.place


def test_a_change_of_handles_keeps_what_the_upload_was(journal: AvatarJournal) -> None:
    journal.end(journal.ask(BOB, nothing, on_shelf=False).place)
    change = AvatarRow("bob", "", "photo", handles="{}")
    changed = journal.ask_again(change)
    assert (changed.state, changed.fingerprint, changed.source_name) == (
        AvatarState.MAKING,
        "abc",
        "bob.jpg",
    )
    with pytest.raises(AvatarConflict):
        journal.ask_again(change)


def test_what_takes_its_studio_with_it_each_time_is_given_up(journal: AvatarJournal) -> None:
    row = journal.ask(BOB, nothing, on_shelf=False)
    for _ in range(MOST_ATTEMPTS):
        assert journal.give_up() == 0
        journal.begin(row.place)
    assert journal.give_up() == 1
    assert journal.next() is None


@pytest.mark.parametrize("error", ["", "there is no face in it"])
def test_how_it_ended_is_told_once_to_whom_it_was_to_be(
    journal: AvatarJournal, tmp_path: Path, error: str
) -> None:
    row = journal.ask(replace(BOB, callback_url="https://me.example/x"), nothing, on_shelf=False)
    journal.begin(row.place)
    journal.note(row.place, 0.5, "drawing")
    assert told(tmp_path) == []
    for _ in range(2):
        journal.end(row.place, error)
    (callback,) = told(tmp_path)
    ended = "failed" if error else "ready"
    assert (callback.event, callback.subject) == (f"avatar.{ended}", "avatar/bob")
    assert callback.url == "https://me.example/x"
    details = json.loads(callback.details)
    assert (details["avatar"], details["state"]) == ("bob", ended)
    assert (details["reason"] or "") == error


def test_nobody_is_told_of_what_names_nobody_or_is_called_off(
    journal: AvatarJournal, tmp_path: Path
) -> None:
    row = journal.ask(BOB, nothing, on_shelf=False)
    journal.end(row.place)
    eve = replace(BOB, name="eve", callback_url="https://me.example/x")
    row = journal.ask(eve, nothing, on_shelf=False)
    journal.forget("eve")
    journal.end(row.place)
    assert told(tmp_path) == []


def told(folder: Path) -> list[Callback]:
    store = TaskStore(folder / "store.sqlite3", Spool(folder / "spool"), 3)
    try:
        return store.outbox.due(wall_time_s())
    finally:
        store.close()


def test_only_so_many_failures_are_remembered(journal: AvatarJournal) -> None:
    for number in range(5):
        row = journal.ask(replace(BOB, name=f"n{number}"), nothing, on_shelf=False)
        journal.end(row.place, "no face")
    journal.keep_newest(2)
    assert [each.name for each in journal.all()] == ["n3", "n4"]


def test_a_store_of_an_earlier_version_gets_the_table(tmp_path: Path) -> None:
    database = tmp_path / "store.sqlite3"
    store = TaskStore(database, Spool(tmp_path / "spool"), 10)
    assert store.recent() == []
    store.close()
    journal = AvatarJournal(database, 3)
    assert journal.all() == []
    journal.close()
