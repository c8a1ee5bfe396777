"""Whom a channel shows: both sides get ready first, what fails leaves the old avatar on air."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from broadcaster.avatars.carried import as_message, from_message, label
from broadcaster.avatars.shelf import find
from broadcaster.errors import AvatarNotFound
from broadcaster.settings.model import Channel, SettingsModel, Station
from broadcaster.store import ChannelAvatar, ChannelAvatars, WishState
from broadcaster.studio.backdrop import backdrops
from broadcaster.studio.casting import Casting, first_cast
from broadcaster.studio.playout_link import parse_event
from broadcaster.studio.wardrobe import Wardrobe
from broadcaster.wire import Message
from gpu_pool.contracts import EngineSpec

ANNA, LEON = find("anna", Path()), find("leon", Path())


class Studio:
    """A casting without workers (nothing to wait for there), and the playout's answers."""

    def __init__(self, folder: Path, wished: str = "") -> None:
        self.avatars = ChannelAvatars(folder / "store.sqlite3")
        if wished:
            self.avatars.wish("main", wished)
        self.settings = SettingsModel(
            station=Station(state_dir=folder), channels=(Channel(avatar="anna"),)
        )
        self.asked: list[Message] = []
        self.answers = {"avatar": "preparing"}
        cast = first_cast(self.settings, self.avatars)
        self.wardrobe = Wardrobe(backdrops(self.settings, cast), set, None, {})
        self.casting = Casting(
            self.settings, cast, self.avatars, self.wardrobe, self.ask, lambda: 1.0
        )
        self.casting.look()

    def ask(self, message: Message) -> Message:
        self.asked.append(message)
        return {"ok": True, "state": self.answers["avatar"]}

    def connected(self, on_air: str | None) -> None:
        shown = None if on_air is None else as_message(find(on_air, Path()))
        channel = {"name": "main", "avatar": {"on_air": shown}}
        self.casting.on_connected({"channels": [channel]})
        self.casting.bring_forward()

    def told(self, name: str, state: str, error: str = "") -> None:
        carried = as_message(find(name, Path()))
        event = parse_event(
            {"event": "avatar", "channel": "main", "avatar": carried, "state": state}
            | {"error": error}
        )
        assert event is not None
        self.casting.on_event(event)
        self.casting.bring_forward()

    def wish(self, name: str) -> None:
        self.avatars.wish("main", name)
        self.casting.look()
        self.casting.bring_forward()

    @property
    def record(self) -> ChannelAvatar:
        return self.avatars.of("main")

    @property
    def speaks(self) -> str:
        """Who is rendered in tasks that begin now."""
        return self.wardrobe.channels["main"].shown.name

    def last(self) -> tuple[str, str]:
        return self.asked[-1]["op"], self.asked[-1]["avatar"]["name"]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    made = Studio(tmp_path)
    made.connected("anna")
    yield made
    made.avatars.close()


def test_at_rest_the_avatar_of_the_settings_is_on_air(studio: Studio) -> None:
    studio.told("anna", "on_air")
    assert (studio.record.on_air, studio.record.state) == ("anna", WishState.SAME)
    assert studio.casting.may_send("main")


def test_tasks_are_held_back_from_the_order_to_show_until_it_is_seen(studio: Studio) -> None:
    studio.wish("leon")
    assert studio.last() == ("avatar", "leon")
    assert studio.casting.may_send("main"), "until then the old one speaks on"
    assert studio.speaks == "anna"
    studio.told("leon", "prepared")
    assert studio.last() == ("show_avatar", "leon")
    assert not studio.casting.may_send("main")
    studio.told("leon", "on_air")
    assert studio.casting.may_send("main")
    assert studio.speaks == "leon"
    assert (studio.record.on_air, studio.record.state) == ("leon", WishState.SAME)


def test_an_idle_loop_that_fails_leaves_the_old_avatar_and_says_why(studio: Studio) -> None:
    studio.wish("leon")
    studio.told("leon", "failed", "no pictures")
    record = studio.record
    assert (record.on_air, record.wished, record.state) == ("anna", "leon", WishState.FAILED)
    assert record.error == "its idle loop: no pictures"
    assert studio.last() == ("avatar", "anna"), "the playout forgets about it"
    assert studio.speaks == "anna"
    (condition,) = studio.casting.conditions()
    assert (condition.state, condition.last_error) == ("failed", record.error)


def test_an_avatar_that_was_removed_fails_by_its_name(studio: Studio) -> None:
    studio.wish("mia")
    assert studio.record.error == "no avatar is called 'mia'"
    assert studio.casting.may_send("main")


def test_a_failed_wish_is_tried_again_when_it_is_wished_again(studio: Studio) -> None:
    studio.wish("leon")
    studio.told("leon", "failed", "no pictures")
    studio.wish("leon")
    assert studio.record.state is WishState.PREPARING
    studio.told("leon", "prepared")
    studio.told("leon", "on_air")
    assert studio.record.state is WishState.SAME


def test_a_playout_that_came_back_is_told_the_wish_anew(studio: Studio) -> None:
    studio.wish("leon")
    studio.told("leon", "prepared")
    studio.asked.clear()
    studio.connected("anna")
    assert [message["op"] for message in studio.asked] == ["avatar"]
    assert studio.casting.may_send("main"), "it was never told to show"
    studio.told("leon", "prepared")
    assert studio.last() == ("show_avatar", "leon")


def test_a_wish_taken_back_while_it_is_prepared_changes_nothing(studio: Studio) -> None:
    studio.wish("leon")
    studio.answers["avatar"] = "on_air"
    studio.wish("")
    assert studio.record.state is WishState.SAME
    assert studio.speaks == "anna"


def test_a_change_that_happened_all_the_same_is_made_undone(studio: Studio) -> None:
    studio.wish("leon")
    studio.told("leon", "prepared")
    studio.wish("anna")
    studio.told("leon", "on_air")
    assert studio.speaks == "leon", "that is what is seen"
    assert studio.record.on_air == "leon"
    studio.told("anna", "prepared")
    assert studio.last() == ("show_avatar", "anna")


def test_the_next_studio_begins_with_who_was_on_air_and_goes_on_with_the_wish(
    tmp_path: Path, studio: Studio
) -> None:
    studio.wish("leon")
    studio.told("leon", "prepared")
    studio.told("leon", "on_air")
    again = Studio(tmp_path)
    assert again.speaks == "leon"
    again.wish("anna")
    crashed = Studio(tmp_path)
    assert crashed.speaks == "leon"
    crashed.connected("leon")
    assert crashed.last() == ("avatar", "anna")
    for each in (again, crashed):
        each.avatars.close()


def test_a_channel_whose_avatar_is_gone_comes_up_with_another(tmp_path: Path) -> None:
    studio = Studio(tmp_path, wished="mia")
    assert studio.speaks == "anna"
    studio.casting.bring_forward()
    assert studio.record.state is WishState.FAILED
    studio.avatars.close()


def test_an_avatar_arrives_as_it_was_sent() -> None:
    assert from_message(as_message(LEON)) == LEON
    assert label(LEON) == "leon.bundled"
    assert label(ANNA) != label(LEON)
    with pytest.raises(AvatarNotFound, match="nobody"):
        find("nobody", Path())
    with pytest.raises(LookupError):
        from_message({"name": "leon"})


def test_an_avatar_goes_to_the_workers_with_the_options_of_its_engine(tmp_path: Path) -> None:
    cast = {"main": replace(ANNA, engine="wav2lip")}
    channels = backdrops(SettingsModel(station=Station(state_dir=tmp_path)), cast)
    options = {"wav2lip": {"weights": "/w.pth", "threads": 2}, "photo": {"strange": True}}
    (first,) = Wardrobe(channels, set, None, options).first()
    assert (first.engine.name, first.engine.options) == ("wav2lip", options["wav2lip"])
    (drawn,) = Wardrobe(channels, set, EngineSpec("simulated"), options).first()
    assert drawn.engine == EngineSpec("simulated"), "a drill's engine goes as it is"
    (plain,) = Wardrobe(channels, set, None, {}).first()
    assert plain.engine.options == {}
