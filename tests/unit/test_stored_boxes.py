"""Boxes and masks beside a clip: kept as they are; tampered with, they are refused."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_pool.engines.face import AvatarRefused
from gpu_pool.engines.livetalking import Import, import_avatar
from gpu_pool.engines.photo import read_avatar
from gpu_pool.engines.photo.stored_boxes import BOXES, MASK_SIDE
from tests.doubles import brought_avatar

COUNT = 3


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    source = brought_avatar.musetalk(folder / "brought", COUNT)
    wanted = Import(source, "anna", "musetalk", models=folder / "none")
    import_avatar(wanted, folder / "ours", lambda _part, _step: None)
    return folder / "ours"


@pytest.fixture
def avatar(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "avatar"))


def swap(folder: Path, data: bytes) -> None:
    """Another file, with a table that describes it truly."""
    (folder / BOXES).write_bytes(data)
    table = json.loads((folder / "avatar.json").read_text())
    table["files"][BOXES] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "avatar.json").write_text(json.dumps(table))


def arrays(folder: Path) -> dict[str, Any]:
    with np.load(folder / BOXES) as found:
        return dict(found)


def packed(**found: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **found)
    return out.getvalue()


def test_a_file_with_boxes_alone_is_read(avatar: Path) -> None:
    boxes = arrays(avatar)["boxes"]
    swap(avatar, packed(boxes=boxes))
    stored = read_avatar(avatar).boxes
    assert stored is not None
    assert stored.masks is None
    np.testing.assert_array_equal(stored.boxes, boxes)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("boxes", np.zeros((COUNT, 4), np.float32), "some are empty"),
        ("boxes", np.full((COUNT, 4), np.nan, np.float32), "boxes: some lie outside"),
        ("boxes", np.full((COUNT, 4), np.inf, np.float32), "boxes: some lie outside"),
        ("boxes", np.tile(np.float32([600, 9, 700, 99]), (COUNT, 1)), "squares: each has to hold"),
        ("boxes", np.zeros((COUNT, 4)), "boxes: float32 of"),
        ("boxes", np.zeros((COUNT + 1, 4), np.float32), "boxes: float32 of"),
        ("boxes", np.array([None] * COUNT), "it cannot be read"),
        ("squares", np.tile(np.float32([0, 0, 9, 9]), (COUNT, 1)), "squares: each has to hold"),
        ("squares", np.tile(np.float32([-1e9, 0, 9, 9]), (COUNT, 1)), "squares: some lie outside"),
        ("masks", np.zeros((COUNT, 8, 8), np.uint8), "masks: uint8 of"),
        ("masks", np.zeros((COUNT, MASK_SIDE, MASK_SIDE), np.float32), "too large|masks: uint8"),
        ("masks", np.zeros((40 * COUNT, MASK_SIDE, MASK_SIDE), np.uint8), "too large"),
        ("more", np.zeros(3), "it has to hold boxes"),
    ],
)
def test_an_array_that_cannot_be_is_named(avatar: Path, name: str, value: Any, said: str) -> None:
    swap(avatar, packed(**{**arrays(avatar), name: value}))
    with pytest.raises(AvatarRefused, match=rf"boxes\.npz: .*({said})"):
        read_avatar(avatar)


def test_boxes_outside_the_picture_are_refused(avatar: Path) -> None:
    boxes = np.tile(np.float32([600, 9, 700, 99]), (COUNT, 1))
    swap(avatar, packed(boxes=boxes))
    with pytest.raises(AvatarRefused, match=r"boxes\.npz: boxes: some lie outside the picture"):
        read_avatar(avatar)


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_none_is_refused(avatar: Path, data: bytes) -> None:
    swap(avatar, data)
    with pytest.raises(AvatarRefused, match=r"boxes\.npz"):
        read_avatar(avatar)


def test_an_archive_that_says_less_than_it_holds_is_refused(avatar: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("boxes.npy", bytes(8 << 20))
    swap(avatar, out.getvalue())
    with pytest.raises(AvatarRefused, match="it is too large"):
        read_avatar(avatar)


def test_a_changed_or_missing_file_is_named(avatar: Path) -> None:
    (avatar / BOXES).write_bytes((avatar / BOXES).read_bytes()[:-1])
    with pytest.raises(AvatarRefused, match=r"boxes\.npz: it is not the file that"):
        read_avatar(avatar)
    (avatar / BOXES).unlink()
    with pytest.raises(AvatarRefused, match=r"boxes\.npz: it cannot be read"):
        read_avatar(avatar)
