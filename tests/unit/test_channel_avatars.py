"""Wishes for avatars on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from broadcaster.store import ChannelAvatar, ChannelAvatars, WishState, schema
from broadcaster.store.schema import open_database


@pytest.fixture
def avatars(tmp_path: Path) -> Iterator[ChannelAvatars]:
    made = ChannelAvatars(tmp_path / "store.sqlite3")
    yield made
    made.close()


def test_a_channel_without_a_wish_has_an_empty_record(avatars: ChannelAvatars) -> None:
    assert avatars.of("main") == ChannelAvatar("main")
    assert avatars.all() == {}


@pytest.mark.parametrize(
    ("record", "coming"),
    [
        (ChannelAvatar("main"), "anna"),
        (ChannelAvatar("main", wished="leon", on_air="anna"), "leon"),
        (ChannelAvatar("main", wished="leon", on_air="leon", state=WishState.SAME), "leon"),
        (ChannelAvatar("main", wished="leon", on_air="mia", state=WishState.FAILED), "mia"),
        (ChannelAvatar("main", wished="leon", state=WishState.FAILED), "anna"),
        (ChannelAvatar("main", wished="", on_air="leon"), "anna"),
    ],
)
def test_what_begins_now_shows_whoever_is_wished_unless_that_failed(
    record: ChannelAvatar, coming: str
) -> None:
    assert record.coming("anna") == coming


def test_a_wish_outlives_its_process(avatars: ChannelAvatars, tmp_path: Path) -> None:
    assert avatars.wish("main", "leon").number == 1
    again = ChannelAvatars(tmp_path / "store.sqlite3")
    found = again.of("main")
    assert (found.wished, found.number, found.state) == ("leon", 1, WishState.PREPARING)
    again.close()


def test_what_became_of_an_older_wish_is_not_taken_for_the_newest(avatars: ChannelAvatars) -> None:
    first = avatars.wish("main", "leon")
    avatars.wish("main", "mia")
    avatars.became(replace(first, on_air="leon", state=WishState.FAILED, error="late news"))
    found = avatars.of("main")
    assert (found.on_air, found.wished) == ("leon", "mia")
    assert (found.state, found.error) == (WishState.PREPARING, "")


def test_a_channel_that_nobody_wished_for_tells_who_is_on_air(avatars: ChannelAvatars) -> None:
    avatars.became(ChannelAvatar("main", on_air="anna", state=WishState.SAME))
    found = avatars.of("main")
    assert (found.wished, found.on_air, found.state) == ("", "anna", WishState.SAME)


def test_a_store_of_the_version_before_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "old.sqlite3"
    with monkeypatch.context() as before:
        before.setattr(schema, "_MIGRATIONS", schema._MIGRATIONS[:2])
        open_database(file).close()
    with sqlite3.connect(file) as raw, pytest.raises(sqlite3.OperationalError, match="no such"):
        raw.execute("SELECT * FROM channel_avatars")
    raw.close()
    avatars = ChannelAvatars(file)
    assert avatars.wish("main", "leon").wished == "leon"
    avatars.close()
