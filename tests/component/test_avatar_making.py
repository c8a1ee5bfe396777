"""Making avatars in the real limited child, with a maker whose faults are written in the file."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from broadcaster.avatars.catalogue import Catalogue
from broadcaster.avatars.limited import Limits, MakerBroken, NotWanted
from broadcaster.avatars.making import (
    MakingSettings,
    Order,
    change_handles,
    judge_source,
    make_avatar,
)
from broadcaster.avatars.shelf import Shelf, find
from broadcaster.errors import AvatarConflict, AvatarError, StoreFull
from tests.doubles import plaster_maker as plaster

SETTINGS = MakingSettings(Limits(2048, 30.0), 60.0)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "avatars")


def order(source: Path, name: str = "bob") -> Order:
    return Order(name, source, plaster.ENGINE, source.name)


def clean(shelf: Shelf) -> bool:
    """Nothing is half made, and nobody works any more."""
    drafts = shelf.root / ".drafts"
    return not drafts.is_dir() or list(drafts.iterdir()) == []


def children() -> set[str]:
    text = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children").read_text()
    return set(text.split())


def test_an_avatar_is_made_told_about_and_found(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROADCASTER_CHANNELS", "rtmp://a/b/secret-key")
    told: list[tuple[float, str]] = []

    def progress(done: float, step: str) -> bool:
        told.append((done, step))
        return True

    source = plaster.source(tmp_path, steps=3, warnings=["the mouth is small"])
    version = make_avatar(shelf, order(source), SETTINGS, progress)
    assert {"step 0", "step 1", "step 2"} & {step for _, step in told}
    assert find("bob", tmp_path).source == version.files
    assert version.picture.read_bytes()[:4] == b"RIFF"
    surroundings = json.loads((version.files / "plaster.json").read_text())["say"]
    assert surroundings["nice"] >= 10
    assert surroundings["secrets"] == []
    entry = Catalogue(shelf, SETTINGS.limits).entry("bob")
    assert entry is not None
    assert (entry.kind, entry.width, entry.height) == ("picture", *plaster.SIZE)
    assert entry.warnings == ("the mouth is small",)
    assert clean(shelf)


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        ("refuse", AvatarError, "no face in it"),
        ("crash", MakerBroken, "unexpectedly"),
        ("bug", MakerBroken, "unexpectedly"),
        ("full", StoreFull, "no space"),
        ("memory", AvatarError, "memory"),
        ("network", MakerBroken, "unexpectedly"),
        ("large", StoreFull, "no space"),
    ],
)
def test_a_making_that_fails_says_why_and_leaves_nothing(
    shelf: Shelf, tmp_path: Path, fault: str, error: type[Exception], says: str
) -> None:
    before = children()
    with pytest.raises(error, match=says):
        make_avatar(shelf, order(plaster.source(tmp_path, fault=fault)), SETTINGS)
    assert shelf.names() == []
    assert clean(shelf)
    assert children() == before


@pytest.mark.parametrize("fault", ["hang", "spin"])
def test_a_making_that_takes_too_long_is_ended(shelf: Shelf, tmp_path: Path, fault: str) -> None:
    before = children()
    brief = MakingSettings(Limits(2048, 2.0), 60.0)
    with pytest.raises(AvatarError, match="longer than 2 s"):
        make_avatar(shelf, order(plaster.source(tmp_path, fault=fault)), brief)
    assert clean(shelf)
    assert children() == before


def test_a_making_that_is_called_off_is_ended(shelf: Shelf, tmp_path: Path) -> None:
    before = children()
    source = plaster.source(tmp_path, until=str(tmp_path / "never"))
    with pytest.raises(NotWanted):
        make_avatar(shelf, order(source), SETTINGS, lambda done, _: done < 0.5)
    assert clean(shelf)
    assert children() == before


def test_a_name_taken_while_it_was_made_is_not_overwritten(shelf: Shelf, tmp_path: Path) -> None:
    source = plaster.source(tmp_path)
    first = make_avatar(shelf, order(source), SETTINGS)
    with pytest.raises(AvatarConflict):
        make_avatar(shelf, order(source), SETTINGS)
    assert shelf.versions("bob") == [first]
    assert clean(shelf)


def test_new_handles_make_a_new_version_and_refused_ones_none(shelf: Shelf, tmp_path: Path) -> None:
    first = make_avatar(shelf, order(plaster.source(tmp_path)), SETTINGS)
    moved = {"mouth_left": (11.0, 41.0), "mouth_right": (50.0, 40.0)}
    second = change_handles(shelf, "bob", moved, SETTINGS)
    catalogue = Catalogue(shelf, SETTINGS.limits)
    entry = catalogue.entry("bob")
    assert entry is not None
    assert (entry.version, dict(entry.handles)) == (second.version, moved)
    assert first.files.is_dir(), "a channel may still show it"
    with pytest.raises(AvatarError, match="no nose"):
        change_handles(shelf, "bob", {"nose": (1.0, 1.0)}, SETTINGS)
    assert shelf.newest("bob") == second
    assert clean(shelf)


def test_what_can_be_judged_in_a_moment_is(tmp_path: Path) -> None:
    judge_source(order(plaster.source(tmp_path)), SETTINGS)
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(AvatarError, match="no plaster"):
        judge_source(order(tmp_path / "junk"), SETTINGS)


def test_a_broken_avatar_is_listed_with_its_fault_beside_the_others(
    shelf: Shelf, tmp_path: Path
) -> None:
    source = plaster.source(tmp_path)
    for name in ("bob", "eve", "kim"):
        make_avatar(shelf, order(source, name), SETTINGS)
    (shelf.newest("eve").files / "plaster.json").write_text("{")
    (shelf.newest("kim").folder / "about.json").unlink()
    found = {each.name: each for each in Catalogue(shelf, SETTINGS.limits).entries()}
    assert list(found) == ["anna", "leon", "bob", "eve", "kim"]
    assert found["bob"].usable
    assert "plaster.json is broken" in found["eve"].error
    assert str(tmp_path) not in found["eve"].error
    assert "about.json" in found["kim"].error
    assert not found["eve"].usable
