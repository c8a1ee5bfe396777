"""``broadcaster avatar import`` as a person runs it, on good folders and on hostile ones."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from broadcaster.avatars.shelf import Shelf
from tests.doubles import brought_avatar as brought
from tests.doubles.weight_files import Call, pickled

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "my.yaml"
    file.write_text(
        f"station: {{state_dir: {tmp_path}/var}}\navatars: {{models: {tmp_path}/no-models}}\n"
    )
    return file


def avatar(config: Path, *arguments: str) -> Done:
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    verb, *others = arguments
    return subprocess.run(
        [sys.executable, "-m", "broadcaster", "avatar", verb, "--config", str(config), *others],
        cwd=Path.cwd(), env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def clean(config: Path) -> bool:
    shelf = Shelf(config.parent / "var" / "avatars")
    drafts = shelf.root / ".drafts"
    return shelf.names() == [] and (not drafts.is_dir() or list(drafts.iterdir()) == [])


@pytest.mark.parametrize("engine", ["wav2lip", "musetalk"])
def test_a_folder_is_imported_and_its_preview_shows_the_boxes(
    config: Path, tmp_path: Path, engine: str
) -> None:
    source = getattr(brought, engine)(tmp_path / "Anna.v2")
    made = avatar(config, "import", str(source), "--fps", "30")
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[0].split() == ["anna-v2", "clip", "640x360", engine, "ready"]
    assert "  note: the mouth was guessed from the boxes: check the handles" in made.stdout
    assert made.stderr.splitlines()[-1] == "done"
    drawn = avatar(config, "preview", "anna-v2", "--out", str(tmp_path / "sheet.png"))
    assert drawn.returncode == 0, drawn.stderr
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    green = (np.abs(sheet.astype(np.int16) - (64, 220, 64)) < 8).all(axis=2)
    # The picture of 1280x720 begins at row 50, column 12; a brought box is twice as large in it.
    left, top, right, bottom = getattr(brought, f"{engine.upper()}_BOX")
    rows, columns = np.argwhere(green[50:770, 12:1292]).T
    assert (columns.min(), rows.min()) == pytest.approx((2 * left, 2 * top), abs=3)
    assert (columns.max(), rows.max()) == pytest.approx((2 * right, 2 * bottom), abs=3)


def test_an_imported_avatar_is_shown_replaced_and_removed(config: Path, tmp_path: Path) -> None:
    source = brought.wav2lip(tmp_path / "anna2", count=2)
    assert avatar(config, "import", str(source)).returncode == 0
    shown = json.loads(avatar(config, "show", "anna2", "--json").stdout)
    assert (shown["engine"], shown["kind"], shown["file_name"]) == ("wav2lip", "clip", "anna2")
    again = avatar(config, "import", str(source))
    assert (again.returncode, "--replace" in again.stderr) == (1, True)
    photo = avatar(config, "import", str(source), "--replace", "--engine", "photo")
    assert photo.returncode == 0
    assert "the boxes were made for wav2lip: photo lays its own" in photo.stdout
    assert avatar(config, "remove", "anna2").stdout == "anna2: removed\n"


def test_a_hostile_folder_executes_nothing_and_leaves_nothing(config: Path, tmp_path: Path) -> None:
    source, trace = brought.wav2lip(tmp_path / "evil"), tmp_path / "trace"
    rows = pickle.loads((source / "coords.pkl").read_bytes())
    hostile = pickled([*rows[:-1], Call("posix", "system", f"touch {trace}")])
    (source / "coords.pkl").write_bytes(hostile)
    answer = avatar(config, "import", str(source))
    assert answer.returncode == 1
    assert answer.stdout == ""
    said = answer.stderr.splitlines()[-1]
    refusal = "coords.pkl: refused: wants to call posix.system, which no boxes need"
    assert said == f"broadcaster: {refusal}"
    assert "Traceback" not in answer.stderr
    assert not trace.exists()
    assert clean(config)
    pickle.loads(hostile)
    assert trace.exists(), "it would have"


def test_what_is_asked_for_wrongly_is_a_sentence(config: Path, tmp_path: Path) -> None:
    source = brought.wav2lip(tmp_path / "good")
    with tarfile.open(tmp_path / "good.tar", "w") as archive:
        archive.add(source, "good")
    tried = {
        (str(tmp_path / "good.tar"),): "it is no folder; unpack an archive first",
        (str(tmp_path),): "full_imgs is missing",
        (str(source), "--name", "../x"): "--name",
        (str(source), "--engine", "nothing"): "the engine 'nothing'",
        (str(source), "--fps", "nan"): "fps has to be from 4 to 60",
    }
    for arguments, says in tried.items():
        answer = avatar(config, "import", *arguments)
        assert answer.returncode == 1, arguments
        assert says in answer.stderr.splitlines()[-1], answer.stderr
        assert "Traceback" not in answer.stderr
    assert clean(config)
