"""Avatar folders as LiveTalking makes them, of the drawn presenter: a face that every clone has."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.musetalk.blend import square
from tests.doubles.portrait import photograph

FIXTURES = Path(__file__).parents[1] / "fixtures" / "livetalking"

WIDTH, HEIGHT, COUNT = 640, 360, 6
WAV2LIP_BOX = (257, 93, 384, 249)
"""Left, top, right and bottom of Anna's face in the first picture."""
MUSETALK_BOX = (260, 102, 381, 252)

SHIFT_PX = 2
"""So much each box lies farther to the right than the one before: nobody else would lay it so."""


def moved(box: Sequence[int], number: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    return left + SHIFT_PX * number, top, right + SHIFT_PX * number, bottom


def mask(side: tuple[int, int], number: int = 0) -> NDArray[np.uint8]:
    """White below the middle, blurred; ``number`` darkens it."""
    width, height = side
    white = np.zeros((height, width), np.uint8)
    white[height // 2 : height * 4 // 5, width // 4 : width * 3 // 4] = 255 - 10 * number
    return np.asarray(cv2.GaussianBlur(white, (21, 21), 0), np.uint8)


def write_pickle(file: Path, value: Any, protocol: int = 4) -> None:
    file.write_bytes(pickle.dumps(value, protocol))


def pictures(folder: Path, count: int = COUNT, suffix: str = ".png") -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        cv2.imwrite(str(folder / f"{number:08d}{suffix}"), photograph("anna", 3 + number))


def wav2lip(folder: Path, count: int = COUNT, suffix: str = ".png") -> Path:
    """As LiveTalking's generator of today: Python integers."""
    pictures(folder / "full_imgs", count, suffix)
    (folder / "face_imgs").mkdir()
    rows = []
    for number in range(count):
        left, top, right, bottom = moved(WAV2LIP_BOX, number)
        rows.append((top, bottom, left, right))
        face = photograph("anna", 3 + number)[top:bottom, left:right]
        cv2.imwrite(str(folder / f"face_imgs/{number:08d}.png"), cv2.resize(face, (96, 96)))
    write_pickle(folder / "coords.pkl", rows)
    return folder


def musetalk(folder: Path, count: int = COUNT) -> Path:
    """As its generator for MuseTalk: numpy's integers among others."""
    pictures(folder / "full_imgs", count)
    (folder / "mask").mkdir()
    boxes: list[Any] = []
    squares = []
    for number in range(count):
        box = moved(MUSETALK_BOX, number)
        boxes.append([np.int32(box[0]), box[1], np.int64(box[2]), float(box[3])])
        around = square(box)
        squares.append(list(around))
        side = around[2] - around[0], around[3] - around[1]
        cv2.imwrite(str(folder / f"mask/{number:08d}.png"), mask(side, number))
    write_pickle(folder / "coords.pkl", boxes)
    write_pickle(folder / "mask_coords.pkl", squares)
    (folder / "latents.pt").write_bytes(b"nobody reads this")
    told = {"avatar_id": "anna", "video_path": "/etc/passwd", "bbox_shift": 0}
    (folder / "avator_info.json").write_text(json.dumps(told))
    return folder
