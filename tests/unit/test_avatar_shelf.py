"""The shelf of avatars: versions come whole or not at all, and nothing odd is ever followed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import idle_media
from broadcaster.avatars.found import NAME, bundled, name_fault, name_from
from broadcaster.avatars.shelf import Shelf, Version, find
from broadcaster.errors import AvatarConflict, AvatarError, AvatarNotFound
from broadcaster.store import Spool


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "avatars")


def put(shelf: Shelf, name: str, content: str = "x", over: bool | None = False) -> Version:
    with shelf.draft() as draft:
        (draft.files / "avatar.json").write_text(content)
        draft.picture.write_bytes(b"RIFF")
        return shelf.put(draft, name, "photo", f"{name}.jpg", over)


def left(shelf: Shelf) -> list[str]:
    return sorted(each.name for each in shelf.root.rglob("*") if each.parent.name == ".drafts")


def test_what_is_put_up_is_found_with_its_engine_and_files(shelf: Shelf, tmp_path: Path) -> None:
    version = put(shelf, "bob", "first")
    found = find("bob", tmp_path)
    assert (found.name, found.engine, found.version) == ("bob", "photo", version.version)
    assert (found.source / "avatar.json").read_text() == "first"
    assert version.about().source_name == "bob.jpg"
    assert shelf.names() == ["bob"]
    assert left(shelf) == []


def test_a_new_version_leaves_the_one_before_it_alone_and_no_third(shelf: Shelf) -> None:
    versions = [put(shelf, "bob", str(number), over=None) for number in range(4)]
    assert [each.version for each in shelf.versions("bob")] == [
        versions[3].version,
        versions[2].version,
    ]
    assert (versions[2].files / "avatar.json").read_text() == "2"
    assert not versions[1].folder.exists()


def test_an_avatar_made_again_after_it_was_removed_is_another_version(shelf: Shelf) -> None:
    first = put(shelf, "bob").version
    shelf.remove("bob")
    assert shelf.names() == []
    assert put(shelf, "bob").version != first


def test_ten_thousand_versions_are_still_in_order(shelf: Shelf) -> None:
    first = put(shelf, "bob")
    first.folder.rename(first.folder.with_name("9999-00000000"))
    newest = put(shelf, "bob", over=True)
    assert newest.version.startswith("10000-")
    assert shelf.newest("bob") == newest


def test_a_draft_that_is_not_put_up_is_gone(shelf: Shelf) -> None:
    with shelf.draft() as draft:
        (draft.files / "half").write_text("half")
    assert shelf.names() == []
    assert left(shelf) == []


def test_a_name_is_taken_once(shelf: Shelf) -> None:
    put(shelf, "bob")
    with pytest.raises(AvatarConflict, match="already"):
        put(shelf, "bob")
    with pytest.raises(AvatarNotFound):
        put(shelf, "eve", over=True)
    for name in ("anna", "auto", "none"):
        with pytest.raises(AvatarConflict, match="taken by the station"):
            put(shelf, name)
    assert shelf.names() == ["bob"]
    assert left(shelf) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../bob", "a/b", "/etc", "Bob", "bob\n", "b" * 33])
def test_a_name_that_is_none_is_never_looked_for(shelf: Shelf, tmp_path: Path, name: str) -> None:
    put(shelf, "bob")
    assert shelf.versions(name) == []
    with pytest.raises(AvatarNotFound):
        find(name, tmp_path)
    with pytest.raises(AvatarNotFound):
        shelf.remove(name)
    assert name_fault(name)


@pytest.mark.parametrize(
    "file_name",
    [
        "../../etc/passwd",
        "C:\\Users\\me\\Anna Smith.JPG",
        ".mp4",
        "...",
        "日本.png",
        "a" * 300 + ".png",
        "x\x00y\n.jpg",
        "-rf.jpg",
        "",
        "%2e%2e%2f.png",
    ],
)
def test_a_name_made_of_a_files_name_is_a_plain_word(file_name: str) -> None:
    assert NAME.fullmatch(name_from(file_name))


def test_names_made_of_files_are_what_one_expects() -> None:
    assert name_from("C:\\Users\\me\\Anna Smith.JPG") == "anna-smith"
    assert name_from("bob.mp4") == "bob"
    assert name_from("日本.png") == "avatar"


def test_those_of_the_station_are_found_without_a_shelf(tmp_path: Path) -> None:
    assert [each.name for each in bundled()] == list(idle_media.presenters())
    found = find("anna", tmp_path)
    assert (found.engine, found.version) == ("presenter", "bundled")
    assert (found.source / "landscape.webp").is_file()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"engine": "photo"}',
        '{"engine": "photo", "source_name": "", "created_s": "x", "format": 1}',
        '{"engine": "photo", "source_name": "", "created_s": 1, "format": 99}',
        "[" * 100_000,
        " " * 70_000,
    ],
)
def test_a_version_that_tells_nonsense_of_itself_is_an_error(
    shelf: Shelf, tmp_path: Path, text: str
) -> None:
    version = put(shelf, "bob")
    (version.folder / "about.json").write_text(text)
    with pytest.raises(AvatarError, match=r"about\.json"):
        find("bob", tmp_path)


def test_a_starting_studio_sweeps_what_nobody_works_at(shelf: Shelf, tmp_path: Path) -> None:
    old, new = (put(shelf, "bob", over=None) for _ in range(2))
    (shelf.root / ".drafts" / "dead" / "files").mkdir(parents=True)
    (shelf.root / "empty").mkdir()
    spool = Spool(tmp_path / "spool")
    ids = []
    for _ in range(2):
        incoming = spool.begin()
        incoming.sync()
        shelf.adopt(incoming)
        incoming.discard()
        ids.append(incoming.task_id)
    with shelf.draft() as at_work:
        assert shelf.sweep({ids[0]}) == 4
        assert at_work.folder.is_dir()
    assert shelf.upload(ids[0]).is_file()
    assert not shelf.upload(ids[1]).exists()
    assert shelf.versions("bob") == [new]
    assert not old.folder.exists()
    assert shelf.names() == ["bob"]


def test_what_is_told_of_a_version_is_json(shelf: Shelf) -> None:
    told = json.loads((put(shelf, "bob").folder / "about.json").read_text())
    assert told["engine"] == "photo"
    assert told["format"] == 1
