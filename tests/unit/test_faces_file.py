"""Boxes that a detector found, stored in an avatar's folder and read suspiciously."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_pool.contracts import AvatarRefused, PictureFormat
from gpu_pool.engines.photo.looped import LoopedPictures
from gpu_pool.engines.wav2lip.boxes import boxes_in
from gpu_pool.engines.wav2lip.faces_file import FILE, Faces, read_faces, write_faces
from tests.doubles.drawn_avatar import still_avatar

GOOD = Faces(np.array([[250, 90, 390, 260]], np.int32), np.array([1], np.int8))


def saved(folder: Path, **arrays: Any) -> None:
    np.savez(folder / FILE, **{"boxes": GOOD.boxes, "seen": GOOD.seen, **arrays})


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: (f / FILE).write_bytes(b"PK"), "cannot be read"),
        (lambda f: saved(f, seen=np.array([print], object)), "cannot be read"),
        (lambda f: np.savez(f / FILE, boxes=GOOD.boxes), "cannot be read"),
        (lambda f: saved(f, boxes=np.zeros((2, 4), np.int32)), "a box for each of 1"),
        (lambda f: saved(f, boxes=GOOD.boxes.astype(float)), "int32"),
        (lambda f: saved(f, boxes=np.array([[0, 0, 641, 9]], np.int32)), "outside"),
        (lambda f: saved(f, boxes=np.array([[9, 0, 3, 9]], np.int32)), "outside"),
        (lambda f: saved(f, more=np.zeros(1 << 21, np.uint8)), "too large"),
    ],
)
def test_a_file_of_something_else_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object], says: str
) -> None:
    assert read_faces(tmp_path, 1, 640, 360) is None, "it need not be there"
    write_faces(tmp_path, GOOD)
    read = read_faces(tmp_path, 1, 640, 360)
    assert read is not None
    assert read.boxes.tolist() == GOOD.boxes.tolist()
    spoil(tmp_path)
    with pytest.raises(AvatarRefused, match=says):
        read_faces(tmp_path, 1, 640, 360)


def test_detected_boxes_go_before_the_landmarks(tmp_path: Path) -> None:
    folder = still_avatar(tmp_path / "still")
    wide = LoopedPictures(folder, PictureFormat(1280, 720, 25))
    stored = wide.stored
    by_landmarks = boxes_in(wide)
    write_faces(folder, GOOD)
    scale = 1280 / stored.width
    (box,) = boxes_in(wide)
    assert (box.left, box.right) == pytest.approx((250 * scale, 390 * scale), abs=1)
    assert (box.top, box.bottom) == pytest.approx((90 * scale, 260 * scale), abs=1)
    write_faces(folder, Faces(np.zeros((1, 4), np.int32), np.array([-1], np.int8)))
    assert boxes_in(wide) == by_landmarks, "nobody was detected"
    write_faces(folder, Faces(GOOD.boxes * 0 + 5, GOOD.seen))
    with pytest.raises(AvatarRefused, match="smaller than"):
        boxes_in(wide)


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        ([1, 0, 1], ""),
        ([1, 0, -1], "no face in 1 of 2 pictures: those around hold"),
        ([-1, 0, -1], "no face in 2 of 2 pictures: the landmarks say where it is"),
    ],
)
def test_a_person_is_told_of_pictures_without_a_face(seen: list[int], says: str) -> None:
    warning = Faces(np.zeros((3, 4), np.int32), np.array(seen, np.int8)).warning
    assert warning.endswith(says)
    assert bool(warning) is bool(says)
