"""A photo avatar made of the drawn presenter: a face that every clone of the station has."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

import idle_media
from gpu_pool.engines.face import Handles
from gpu_pool.engines.photo.create import create_avatar
from gpu_pool.engines.photo.stored_clip import ClipWriter
from gpu_pool.engines.presenter import Presenter

WIDTH, HEIGHT, FPS = 640, 360, 25
FIRST_TICK = 3
"""Her eyes are open then."""

HANDLES = Handles(
    left_eye=(292.0, 150.0),
    right_eye=(349.0, 150.0),
    mouth_left=(298.0, 207.0),
    mouth_right=(343.0, 207.0),
    upper_lip=(320.5, 207.0),
    lower_lip=(320.5, 207.0),
    chin=(320.5, 242.0),
)
"""Where they are in Anna's picture of that size, read off it."""


def still_avatar(folder: Path) -> Path:
    """An avatar of one picture."""
    presenter = Presenter.load(idle_media.atlas("anna", WIDTH, HEIGHT), WIDTH, HEIGHT)
    picture = np.asarray(presenter.picture(FIRST_TICK, FPS), np.uint8)
    source = folder.with_suffix(".png")
    cv2.imwrite(str(source), cv2.cvtColor(picture, cv2.COLOR_YUV2BGR_I420))
    create_avatar(source, folder, name="still", handles=HANDLES)
    return folder


def clip_avatar(folder: Path, pictures: int = 14) -> Path:
    """An avatar of a clip in which she breathes and sways."""
    presenter = Presenter.load(idle_media.atlas("anna", WIDTH, HEIGHT), WIDTH, HEIGHT)
    source = folder.with_suffix(".mp4")
    writer = ClipWriter(source, WIDTH, HEIGHT, FPS)
    for tick in range(FIRST_TICK, FIRST_TICK + pictures):
        writer.write(np.asarray(presenter.picture(tick, FPS), np.uint8))
    writer.close()
    create_avatar(source, folder, name="clip", handles=HANDLES)
    return folder
