"""A channel whose avatar is not there is on air with another one, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from broadcaster.avatars.shelf import Shelf
from broadcaster.avatars.substitute import with_avatars_that_exist
from broadcaster.avatars.usage import Usage, named_by, shown_by
from broadcaster.checks.avatars import check_avatars
from broadcaster.settings.model import SettingsModel
from broadcaster.store import ChannelAvatar, WishState


def settings(state_dir: Path, *avatars: str) -> SettingsModel:
    channels = [{"name": f"c{n}", "avatar": avatar} for n, avatar in enumerate(avatars)]
    return SettingsModel.model_validate(
        {
            "station": {"state_dir": str(state_dir)},
            "avatars": {"models": str(state_dir / "no-models")},
            "channels": channels,
        }
    )


def put(state_dir: Path, name: str, engine: str = "photo") -> None:
    shelf = Shelf(state_dir / "avatars")
    with shelf.draft() as draft:
        shelf.put(draft, name, engine, "x.jpg")


def test_avatars_that_are_there_stay(tmp_path: Path) -> None:
    put(tmp_path, "bob")
    asked = settings(tmp_path, "auto", "none", "leon", "bob")
    assert with_avatars_that_exist(asked) == (asked, {})


def test_one_that_is_not_there_is_replaced_by_the_default_one(tmp_path: Path) -> None:
    put(tmp_path, "old", engine="gone")
    asked = settings(tmp_path, "leon", "nobody", "old")
    shown, told = with_avatars_that_exist(asked)
    assert [each.avatar for each in shown.channels] == ["leon", "anna", "anna"]
    assert set(told) == {"c1", "c2"}
    assert "nobody" in told["c1"]
    assert "anna is shown instead" in told["c1"]
    assert "engine gone" in told["c2"]
    assert not (tmp_path / "run").exists(), "nothing is written"


def test_check_names_what_is_missing_and_what_is_broken(tmp_path: Path) -> None:
    put(tmp_path, "bob")
    found = {each.what: each for each in check_avatars(settings(tmp_path, "nobody"))}
    assert found["avatar of c0"].level == "fail"
    assert found["avatars"].detail == "anna, leon come with the station"
    assert found["avatar bob"].level == "warn"
    assert "avatar.json" in found["avatar bob"].detail
    assert found["face models"].remedy == "make avatars"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (None, False),
        ({"on_air": None, "next": None}, False),
        ({"on_air": {"name": "bob", "version": "1"}, "next": None}, True),
        ({"on_air": {"name": "eve"}, "next": {"name": "bob"}}, True),
        ({"on_air": {"name": "eve"}, "error": "bob"}, False),
    ],
)
def test_who_shows_an_avatar_is_read_from_the_playout(told: object, shown: bool) -> None:
    status = {"channels": [{"name": "main", "avatar": told}]}
    assert shown_by(status, "bob") == (["main"] if shown else [])


@pytest.mark.parametrize(
    ("record", "used"),
    [
        (ChannelAvatar("c0"), False),
        (ChannelAvatar("c0", wished="bob"), True),
        (ChannelAvatar("c0", wished="bob", state=WishState.FAILED), False),
        (ChannelAvatar("c0", on_air="bob", wished="eve", state=WishState.FAILED), True),
        (ChannelAvatar("c1", wished="bob"), False),
        (ChannelAvatar("gone", wished="bob"), False),
    ],
)
def test_a_wish_uses_an_avatar_where_it_may_come_true(
    record: ChannelAvatar, used: bool, tmp_path: Path
) -> None:
    known = settings(tmp_path, "auto", "none")
    assert Usage(known, None, {record.channel: record}).of("bob") == (["c0"] if used else [])


def test_who_names_an_avatar_is_read_from_the_settings(tmp_path: Path) -> None:
    assert named_by(settings(tmp_path, "auto", "bob", "bob"), "bob") == ["c1", "c2"]
    assert shown_by(None, "bob") == []
