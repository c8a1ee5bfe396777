"""Portraits for tests: the drawn presenters as if photographed or filmed."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

import idle_media
from gpu_pool.engines.face import Handles
from gpu_pool.engines.face.models import DEFAULT_FOLDER, FaceModels
from gpu_pool.engines.presenter import REST, Mouth, Presenter

Bgr = NDArray[np.uint8]

FPS = 25
WIDTH, HEIGHT = 640, 360

HANDLES = Handles(
    (292, 151), (351, 151), (301, 206), (341, 207), (321, 209), (321, 210), (321, 243)
)
"""Of anna in ``photograph``, as the landmarks have them to two pixels."""


@functools.cache
def _presenter(name: str) -> Presenter:
    return Presenter.load(idle_media.atlas(name, WIDTH, HEIGHT), WIDTH, HEIGHT)


def photograph(name: str = "anna", tick: int = 0, mouth: Mouth = REST) -> Bgr:
    """A presenter at 640 x 360; the mouth is 40 pixels wide."""
    i420 = _presenter(name).picture(tick, FPS, mouth)
    return np.asarray(cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420), np.uint8)


def turned(bgr: Bgr, degrees: float) -> Bgr:
    """The face as if it lay on a cylinder, turned."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    across = (x - 321) / 75
    angle = np.arcsin(np.clip(across, -0.999, 0.999)) - math.radians(degrees)
    source = 321 + 75 * np.sin(np.clip(angle, -1.5, 1.5))
    at = np.where(np.abs(across) < 1, source, x).astype(np.float32)
    return np.asarray(cv2.remap(bgr, at, y, cv2.INTER_LINEAR), np.uint8)


def save(file: Path, bgr: Bgr) -> Path:
    """Write a picture in the format that the name says."""
    assert cv2.imwrite(str(file), bgr)
    return file


def film(
    file: Path, pictures: Iterable[Bgr], fps: int = FPS, codec: str = "libx264", **options: str
) -> Path:
    """Write a clip as a camera would."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=fps, options={"preset": "ultrafast", **options})
        for bgr in pictures:
            if not stream.codec_context.is_open:
                stream.height, stream.width = bgr.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(bgr, format="bgr24")))
        container.mux(stream.encode(None))
    return file


def talking(count: int) -> Iterable[Bgr]:
    """Anna on film, opening and closing her mouth five times a second."""
    for tick in range(count):
        opening = 0.5 - 0.5 * np.cos(2 * np.pi * tick / 5)
        yield photograph("anna", tick, Mouth(open=float(opening), wide=0.3))


@functools.cache
def face_models() -> FaceModels:
    """The two networks; a test that needs them fails where they are not."""
    models = FaceModels.load()
    assert models is not None, f"nothing in {DEFAULT_FOLDER}: run make avatars"
    return models
