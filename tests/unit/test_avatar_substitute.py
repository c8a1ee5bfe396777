"""A channel whose avatar is not there is on air with another one, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from broadcaster.avatars.making import Order, make_avatar, making_settings
from broadcaster.avatars.neural import engine_fault
from broadcaster.avatars.shelf import Shelf
from broadcaster.avatars.substitute import with_avatars_that_exist
from broadcaster.avatars.usage import Usage, named_by, shown_by
from broadcaster.checks.avatars import check_avatars
from broadcaster.checks.finding import Finding
from broadcaster.settings.model import SettingsModel
from broadcaster.store import ChannelAvatar, WishState
from gpu_pool.engines.checkpoint import layout
from tests.doubles.avatar_files import HANDLES, portrait
from tests.doubles.weight_files import zero_weights


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


def test_check_tells_what_a_neural_engine_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "h.jpg").write_bytes(portrait())
    order = Order("bob", tmp_path / "h.jpg", "wav2lip", "h.jpg", HANDLES)
    asked = settings(tmp_path, "bob")
    make_avatar(Shelf(tmp_path / "avatars"), order, making_settings(asked))

    def found(**options: str) -> Finding:
        pool = asked.pool.model_copy(update={"engines": {"wav2lip": options}})
        told = check_avatars(asked.model_copy(update={"pool": pool}))
        return next(each for each in told if each.what == "avatar bob")

    assert "no weights" in found().detail
    monkeypatch.setattr("broadcaster.avatars.neural.find_spec", lambda _name: None)
    assert found(weights="w.pth").remedy == "requirements/setup.sh gpu"
    monkeypatch.setattr("broadcaster.avatars.neural.find_spec", lambda name: name)
    other = zero_weights(tmp_path / "x.pth", layout("s3fd"), "F16")
    assert "this is S3FD face detector" in found(weights=str(other)).detail
    with_several = settings(tmp_path, "bob").pool.model_copy(
        update={"engines": {"musetalk": dict.fromkeys(("unet", "vae", "whisper"), str(other))}}
    )
    several = asked.model_copy(update={"pool": with_several})
    assert "this is S3FD face detector, not MuseTalk UNet" in engine_fault("musetalk", several)[0]
    assert "pool.engines.latentsync.unet" in engine_fault("latentsync", several)[1]
    right = zero_weights(tmp_path / "w.pth", layout("wav2lip96"), "F16")
    assert (found(weights=str(right)).level, found(weights=str(right)).remedy) == ("ok", "")


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
