"""``broadcaster avatar`` as a person runs it: made, listed, looked at, removed."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from broadcaster.avatars.shelf import Shelf
from broadcaster.store import ChannelAvatars
from broadcaster.store.avatars import AvatarJournal, AvatarRow
from tests.doubles import plaster_maker as plaster
from tests.doubles.avatar_files import HANDLES, no_face, portrait
from tests.doubles.avatar_station import until
from tests.doubles.fake_playout import FakePlayout

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "my.yaml"
    file.write_text(
        f"station: {{state_dir: {tmp_path}/var}}\navatars: {{models: {tmp_path}/no-models}}\n"
        "channels: [{name: main, avatar: leon}]\n"
    )
    (tmp_path / "me.jpg").write_bytes(portrait())
    return file


def command(config: Path, *arguments: str) -> list[str]:
    verb, *others = arguments
    head = [sys.executable, "-m", "broadcaster", "avatar", verb]
    return [*head, "--config", str(config), *others]


def avatar(config: Path, *arguments: str) -> Done:
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    return subprocess.run(
        command(config, *arguments),
        cwd=Path.cwd(), env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def shelf(config: Path) -> Shelf:
    return Shelf(config.parent / "var" / "avatars")


def clean(config: Path) -> bool:
    drafts = shelf(config).root / ".drafts"
    return not drafts.is_dir() or list(drafts.iterdir()) == []


def test_a_picture_is_made_shown_previewed_and_removed(config: Path, tmp_path: Path) -> None:
    (tmp_path / "h.json").write_text(json.dumps(HANDLES))
    made = avatar(config, "create", str(tmp_path / "me.jpg"), "--handles", str(tmp_path / "h.json"))
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("me ")
    assert "picture  1280x720" in made.stdout
    assert made.stderr.splitlines()[-1] == "done", "a line per step where there is no terminal"
    listed = avatar(config, "list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["anna", "leon", "me"]
    shown = json.loads(avatar(config, "show", "me", "--json").stdout)
    assert (shown["kind"], shown["state"], shown["file_name"]) == ("picture", "ready", "me.jpg")
    assert "chin" in avatar(config, "show", "me").stdout
    for out in ("sheet.png", "sheet.webp"):
        drawn = avatar(config, "preview", "me", "--out", str(tmp_path / out))
        assert drawn.returncode == 0, drawn.stderr
        assert (tmp_path / out).stat().st_size > 100_000
    (tmp_path / "leon.jpg").write_bytes(portrait("leon"))
    taken = avatar(config, "create", str(tmp_path / "leon.jpg")).stdout
    assert taken.startswith("leon-2 "), "the station's own keeps its name"
    again = avatar(config, "create", str(tmp_path / "me.jpg"))
    assert (again.returncode, "--replace" in again.stderr) == (1, True)
    assert avatar(config, "create", str(tmp_path / "me.jpg"), "--replace").returncode == 0
    assert len(shelf(config).versions("me")) == 2
    assert avatar(config, "remove", "me").stdout == "me: removed\n"
    assert avatar(config, "remove", "me").returncode == 1
    assert shelf(config).names() == ["leon-2"]


def test_refusals_are_a_sentence_and_leave_nothing(config: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(no_face())
    (tmp_path / "h.json").write_text("[")
    tried = {
        ("create", str(tmp_path / "empty.jpg")): "no face",
        ("create", str(tmp_path / "gone.jpg")): "no such file",
        ("create", str(tmp_path / "me.jpg"), "--name", "../x"): "--name",
        ("create", str(tmp_path / "me.jpg"), "--name", "anna"): "taken",
        ("create", str(tmp_path / "me.jpg"), "--engine", "nothing"): "engine 'nothing'",
        ("create", str(tmp_path / "me.jpg"), "--handles", str(tmp_path / "h.json")): "not JSON",
        ("show", "nobody"): "no avatar is called",
        ("preview", "leon", "--out", str(tmp_path / "x.gif")): ".png",
        ("remove", "leon"): "comes with the station",
    }
    for arguments, says in tried.items():
        answer = avatar(config, *arguments)
        assert answer.returncode == 1, arguments
        assert says in answer.stderr.splitlines()[-1]
        assert answer.stderr.splitlines()[-1].startswith("broadcaster: ")
        assert "Traceback" not in answer.stderr
    assert clean(config)
    assert shelf(config).names() == []
    assert avatar(tmp_path / "no.yaml", "list").returncode == 2


def test_an_avatar_that_is_wanted_is_not_removed_by_mistake(config: Path, tmp_path: Path) -> None:
    for name in ("bob", "eve"):
        with shelf(config).draft() as draft:
            shelf(config).put(draft, name, "photo", "x")
    config.write_text(config.read_text().replace("leon", "bob"))
    for force in ([], ["--force"]):
        answer = avatar(config, "remove", "bob", *force)
        assert (answer.returncode, "the settings give" in answer.stderr) == (1, True)
    (tmp_path / "var" / "run").mkdir()
    with FakePlayout(tmp_path / "var" / "run" / "playout.sock") as playout:
        playout.avatars["main"] = "eve"
        answer = avatar(config, "remove", "eve")
        assert (answer.returncode, "--force" in answer.stderr) == (1, True)
    wishes = ChannelAvatars(tmp_path / "var" / "store.sqlite3")
    wishes.wish("main", "eve")
    wishes.close()
    answer = avatar(config, "remove", "eve")
    assert (answer.returncode, "wished on main" in answer.stderr) == (1, True)
    assert avatar(config, "remove", "eve", "--force").returncode == 0
    assert shelf(config).names() == ["bob"]


def test_what_the_station_makes_is_listed_and_can_be_called_off(
    config: Path, tmp_path: Path
) -> None:
    (tmp_path / "var").mkdir()
    journal = AvatarJournal(tmp_path / "var" / "store.sqlite3", 4)
    row = journal.ask(AvatarRow("slow", "0" * 32, "photo"), lambda: None, on_shelf=False)
    journal.note(row.place, 0.4, "drawing")
    assert "making 40 %" in avatar(config, "list").stdout
    assert avatar(config, "remove", "slow").returncode == 0
    assert journal.all() == []
    journal.close()


def test_ctrl_c_keeps_nothing(config: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    source = plaster.source(tmp_path, begun=str(begun), fault="hang")
    arguments = command(config, "create", str(source), "--engine", plaster.ENGINE)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True)
    until(begun.exists, "it is being made")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "broadcaster: interrupted; nothing was kept"
    assert clean(config)


def test_a_terminal_gets_a_bar(config: Path, tmp_path: Path) -> None:
    source = plaster.source(tmp_path, steps=5)
    arguments = command(config, "create", str(source), "--engine", plaster.ENGINE, "--name", "p")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen(
        arguments, env=environment, stderr=theirs, stdout=subprocess.PIPE, text=True
    )
    os.close(theirs)
    said, deadline = b"", time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            data = os.read(ours, 4096)
        except OSError:  # the terminal's other side is closed
            break
        said += data
    os.close(ours)
    out, _ = process.communicate(timeout=20)
    assert b"[####" in said
    assert b" 40 % step 4" in said
    assert out.startswith("p ")


@pytest.mark.parametrize("engine", ["wav2lip", "musetalk", "latentsync"])
def test_an_avatar_of_another_engine_shows_where_its_face_is_drawn(
    config: Path, tmp_path: Path, engine: str
) -> None:
    (tmp_path / "h.json").write_text(json.dumps(HANDLES))
    asked = "--engine", engine, "--handles", str(tmp_path / "h.json")
    made = avatar(config, "create", str(tmp_path / "me.jpg"), *asked)
    assert made.returncode == 0, made.stderr
    assert json.loads(avatar(config, "show", "me", "--json").stdout)["engine"] == engine
    drawn = avatar(config, "preview", "me", "--out", str(tmp_path / "sheet.png"))
    assert drawn.returncode == 0, drawn.stderr
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    green = (np.abs(sheet.astype(np.int16) - (64, 220, 64)) < 8).all(axis=2)
    assert green.sum() > 2000, "the boxes"
