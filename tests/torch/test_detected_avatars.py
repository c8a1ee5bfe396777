"""Avatars whose boxes the authors' face detector finds, by weights that fire where told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from broadcaster.avatars.catalogue import Catalogue
from broadcaster.avatars.limited import Limits
from broadcaster.avatars.making import MakingSettings, Order, change_handles, make_avatar
from broadcaster.avatars.shelf import Shelf
from broadcaster.errors import AvatarError
from gpu_pool.engines.checkpoint import layout
from gpu_pool.engines.face.points import NOSE_BASE, POINTS
from gpu_pool.engines.photo.box import Bgr
from gpu_pool.engines.photo.folder import read_avatar
from gpu_pool.engines.s3fd.detect import Found
from gpu_pool.engines.s3fd.follow import NAMES, FaceBoxes
from gpu_pool.engines.wav2lip.face import smoothed
from gpu_pool.engines.wav2lip.faces_file import FILE, MISSED, NOT_LOOKED_AT, read_faces
from tests.doubles.avatar_files import HANDLES, portrait

LIMITS = Limits(4096, 120.0)
CELL, SIDE = 128, 512 * math.exp(-0.6)
"""Of the coarsest map, and what its anchors are made into."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A network that sees a face in every cell of its coarsest map, surest away from the borders.

    All weights are zero, but that every cell there counts its neighbours.
    """
    made = {key: torch.zeros(shape) for key, shape in layout("s3fd").items()}
    for key, tensor in made.items():
        if key.endswith("_mbox_conf.bias"):
            tensor[:-1] = 9.0  # background
    made["conv7_2.bias"][0] = 1.0
    made["conv7_2_mbox_conf.bias"][0] = 0.0
    made["conv7_2_mbox_conf.weight"][1, 0] = 1.0
    made["conv7_2_mbox_loc.bias"][:] = torch.tensor([0.25, -0.25, -3.0, -3.0])
    folder = tmp_path_factory.mktemp("models")
    torch.save(made, folder / NAMES[0])
    yield folder
    (folder / NAMES[0]).unlink()


def plain_box(width: int, height: int, nose: tuple[float, float]) -> list[int]:
    """What that network sees around a point, worked out cell by cell as the authors do it."""
    rows, columns = -(-height // CELL), -(-width // CELL)
    found = []
    for row, column in product(range(rows), range(columns)):
        beside = (1 + (column > 0) + (column < columns - 1)) * (1 + (row > 0) + (row < rows - 1))
        x = (column + 0.5) * CELL + 0.25 * 0.1 * 512
        y = (row + 0.5) * CELL - 0.25 * 0.1 * 512
        found.append((beside, x - SIDE / 2, y - SIDE / 2, x + SIDE / 2, y + SIDE / 2))
    kept: list[tuple[float, ...]] = []
    for each in sorted(found, key=lambda one: -one[0]):
        area = (SIDE + 1) ** 2
        for other in kept:
            wide = min(each[3], other[3]) - max(each[1], other[1]) + 1
            high = min(each[4], other[4]) - max(each[2], other[2]) + 1
            both = max(0.0, wide) * max(0.0, high)
            if both / (2 * area - both) > 0.3:
                break
        else:
            kept.append(each)
    _, left, top, right, bottom = next(
        each for each in kept if each[1] <= nose[0] <= each[3] and each[2] <= nose[1] <= each[4]
    )
    return [round(max(0, side), 6) for side in (left, top, right, bottom)]  # type: ignore[misc]


def made(shelf: Shelf, models: Path, folder: Path) -> tuple[Path, list[str]]:
    (folder / "me.png").write_bytes(portrait())
    steps: list[str] = []

    def progress(_done: float, step: str) -> bool:
        steps.append(step)
        return True

    settings = MakingSettings(LIMITS, 10.0, models)
    order = Order("me", folder / "me.png", "wav2lip", handles=HANDLES)
    return make_avatar(shelf, order, settings, progress).files, steps


def test_the_box_is_the_detectors_with_the_authors_pads(models: Path, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "avatars")
    files, steps = made(shelf, models, tmp_path)
    assert "detecting the face, picture 1" in steps
    avatar = read_avatar(files)
    width, height = avatar.summary.width, avatar.summary.height
    scale = 640 / width
    x, y = (float(each) * scale for each in avatar.points[0, NOSE_BASE])
    left, top, right, bottom = (
        side / scale for side in plain_box(640, round(height * scale), (x, y))
    )
    faces = read_faces(files, 1, width, height)
    assert faces is not None
    expected = [left, top, min(width, right), min(height, bottom + 10)]
    assert faces.boxes[0] == pytest.approx(expected, abs=2)
    assert Catalogue(shelf, LIMITS).entries()[-1].usable
    moved = change_handles(shelf, "me", {**HANDLES}, MakingSettings(LIMITS, 10.0, models))
    assert not (moved.files / FILE).exists(), "what a person has set goes before it"


def test_without_the_weights_the_landmarks_say_where_it_is(tmp_path: Path) -> None:
    files, steps = made(Shelf(tmp_path / "avatars"), tmp_path, tmp_path)
    assert not (files / FILE).exists()
    assert steps[-1] == "done"


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / NAMES[1])
    with pytest.raises(AvatarError, match=r"s3fd-619a316812\.pth"):
        made(Shelf(tmp_path / "avatars"), tmp_path, tmp_path)
    assert Shelf(tmp_path / "avatars").versions("me") == []


# --- a clip ---------------------------------------------------------------------------------


def looked(count: int, unseen: set[int]) -> tuple[FaceBoxes, list[int]]:
    """A face that moves by ten pixels a picture, and is out of sight in some; another stands by."""
    points = np.zeros((count, POINTS, 2), np.float32)
    points[:, NOSE_BASE] = [[100 + 10 * n, 100] for n in range(count)]
    asked: list[int] = []

    def picture(number: int) -> Bgr:
        asked.append(number)
        return np.zeros((400, 10 * count + 300, 3), np.uint8)

    def detect(picture: Bgr) -> list[Found]:
        number = asked[-1]
        own = Found(50.9 + 10 * number, 60.9, 150.9 + 10 * number, 395.0, 0.8)
        return [Found(-5.0, 300.0, 20.0, 330.0, 0.9), *([] if number in unseen else [own])]

    return FaceBoxes(detect, picture, points), asked


def test_a_picture_without_the_face_has_its_neighbours_box_and_all_are_steadied() -> None:
    boxes, _ = looked(12, {0, 5})
    assert list(boxes.look())[-1] == (12, 12)
    faces = boxes.faces()
    plain = np.array([[50 + 10 * max(1, n), 60, 150 + 10 * max(1, n), 400] for n in range(12)])
    np.testing.assert_array_equal(faces.boxes, smoothed(plain))
    assert np.flatnonzero(faces.seen == MISSED).tolist() == [0, 5]
    assert "2 of 12" in faces.warning


def test_of_a_long_clip_every_few_pictures_are_looked_at() -> None:
    boxes, asked = looked(700, set())
    assert list(boxes.look())[-1] == (234, 234)
    assert asked == list(range(0, 700, 3))
    faces = boxes.faces()
    assert (faces.seen == NOT_LOOKED_AT).sum() == 700 - 234
    assert not faces.warning
    steps = np.diff(faces.boxes[: 3 * 220, 0])
    assert steps.min() >= 9, "in between it moves on"


def test_where_nobody_is_ever_seen_there_is_no_box() -> None:
    boxes, _ = looked(8, set(range(8)))
    list(boxes.look())
    assert not boxes.faces().found
