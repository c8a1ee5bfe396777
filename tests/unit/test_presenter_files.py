"""The presenters' files: small enough, up to date with the art, and told by the command."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import idle_media
from broadcaster.cli import main
from gpu_pool.engines.presenter import Presenter
from idle_media.art import drawings, layout
from idle_media.art.layout import Composition
from idle_media.art.palette import LOOKS, Look
from tests.houserules.source_tree import imports_of, modules

REPO = Path(__file__).parents[2]
ATLASES = [
    (look, comp) for look in LOOKS for comp in (layout.LANDSCAPE, layout.PORTRAIT)
]  # fmt: skip
LARGEST_ATLAS_BYTES = 1_500_000
LARGEST_SHEET_BYTES = 400_000


def test_there_are_two_presenters_and_the_default_comes_first() -> None:
    names = idle_media.presenters()
    assert names[0] == idle_media.DEFAULT == "anna"
    assert set(names) == {look.name for look in LOOKS}
    assert len(names) >= 2


def test_the_shape_of_the_picture_chooses_the_orientation() -> None:
    assert idle_media.atlas("anna", 1280, 720).name == "landscape.webp"
    assert idle_media.atlas("anna", 720, 720).name == "landscape.webp"
    assert idle_media.atlas("anna", 720, 1280).name == "portrait.webp"


def test_an_unknown_presenter_is_refused_by_name() -> None:
    with pytest.raises(KeyError, match=r"nobody.*anna"):
        idle_media.atlas("nobody", 1280, 720)


@pytest.mark.parametrize(("look", "comp"), ATLASES, ids=lambda each: each.name)
def test_the_atlas_is_baked_from_the_art_as_it_is(look: Look, comp: Composition) -> None:
    atlas = idle_media.atlas(look.name, comp.width, comp.height)
    table = json.loads(atlas.with_suffix(".json").read_text())
    assert table["drawings"] == drawings.digest(look, comp), (
        "the drawings have changed since the bake; bake again and look at the result:\n"
        "  .venv/bin/pip install -r requirements/art.txt\n"
        f"  .venv/bin/broadcaster presenter bake {look.name}"
    )
    assert atlas.stat().st_size <= LARGEST_ATLAS_BYTES


def test_contact_sheets_are_small() -> None:
    for name in idle_media.presenters():
        sheet = REPO / "idle_media" / name / "contact_sheet.webp"
        assert 0 < sheet.stat().st_size <= LARGEST_SHEET_BYTES


def test_nothing_but_the_bake_imports_the_art() -> None:
    users = [
        line
        for line in imports_of(modules("broadcaster", "gpu_pool", "idle_media"), ["idle_media"])
        if "imports idle_media.art" in line and not line.startswith("idle_media/art/")
    ]
    assert users
    assert all(line.startswith("broadcaster/presenter/command.py ") for line in users)


def test_only_the_rasteriser_needs_packages_of_the_development() -> None:
    found = imports_of(modules("broadcaster", "gpu_pool", "idle_media"), ["resvg_py", "PIL"])
    assert {line.split(" ")[0] for line in found} == {
        "idle_media/art/bake.py",
        "idle_media/art/raster.py",
    }


def test_a_presenter_is_ready_within_a_second() -> None:
    """A limit for liveness, in CPU time: other processes may hold the cores."""
    atlas, spent = idle_media.atlas("anna", 1280, 720), []
    for _ in range(3):
        began = time.process_time()
        Presenter.load(atlas, 1280, 720).picture(0, 25)
        spent.append(time.process_time() - began)
    assert min(spent) < 1.0


def test_preview_writes_a_sheet_that_is_the_one_in_the_repository(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    assert main(["presenter", "preview", "--presenter", "leon", "--out", str(out)]) == 0
    sheet = cv2.imread(str(out))
    committed = cv2.imread(str(REPO / "idle_media" / "leon" / "contact_sheet.webp"))
    assert sheet is not None
    assert committed is not None
    assert sheet.shape == committed.shape
    assert np.abs(sheet.astype(np.int16) - committed).mean() < 3, (
        "preview again: broadcaster presenter preview --presenter leon "
        "--out idle_media/leon/contact_sheet.webp"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["preview", "--presenter", "nobody", "--out", "x.png"], "nobody"),
        (["preview", "--out", "sheet.txt"], "sheet.txt"),
        (["preview", "--out", "/no/such/folder/sheet.png"], "/no/such/folder"),
    ],
)
def test_the_command_says_what_is_wrong(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["presenter", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_bake_without_its_packages_says_how_to_get_them() -> None:
    blocked = "import sys; sys.modules['resvg_py'] = None; from broadcaster.cli import main; "
    answer = subprocess.run(
        [sys.executable, "-c", blocked + "sys.exit(main(['presenter', 'bake']))"],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 2
    assert "requirements/art.txt" in answer.stderr
