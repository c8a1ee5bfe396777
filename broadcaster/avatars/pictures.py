"""Pictures for people: I420 back to BGR, files, thumbnails. Only where nothing is on air."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

import idle_media
from gpu_pool.engines.presenter import Presenter

Picture = NDArray[np.uint8]

THUMBNAIL_PX = 256
"""Of a square thumbnail: enough for a list on a sharp screen."""

_FACE_SIDE, _FACE_MIDDLE, _FACE_TOP = 0.62, 0.5, 0.14
"""Where the head of a drawn presenter is, in parts of the height of a landscape picture."""

_OPTIONS: dict[str, list[int]] = {
    ".png": [],
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 88],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 88],
}


def to_bgr(i420: Picture) -> Picture:
    """BT.709 limited range back to BGR."""
    frame = av.VideoFrame.from_ndarray(i420, format="yuv420p")
    converted = frame.reformat(format="bgr24", src_colorspace="ITU709", src_color_range="MPEG")
    return np.asarray(converted.to_ndarray(), np.uint8)


def write_picture(out: Path, picture: Picture) -> None:
    """Write a PNG, JPEG or WebP, whatever the name ends with.

    Raises:
        ValueError: the name ends with something else.
        OSError: it cannot be written.
    """
    if out.suffix not in _OPTIONS:
        raise ValueError(f"the name has to end with {' or '.join(_OPTIONS)}")
    _, encoded = cv2.imencode(out.suffix, picture, _OPTIONS[out.suffix])
    out.write_bytes(encoded.tobytes())


def write_bundled(name: str, folder: Path) -> None:
    """``picture.webp`` and ``thumbnail.webp`` of a presenter that comes with the station.

    Raises:
        KeyError: nobody there is called so.
        OSError: they cannot be written.
    """
    width, height = 1280, 720
    drawn = Presenter.load(idle_media.atlas(name, width, height), width, height)
    picture = to_bgr(drawn.picture(0, 25))
    side, left = round(_FACE_SIDE * height), round(width * _FACE_MIDDLE - _FACE_SIDE * height / 2)
    top = round(_FACE_TOP * height)
    face = picture[top : top + side, left : left + side]
    small = cv2.resize(face, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    write_picture(folder / "picture.webp", picture)
    write_picture(folder / "thumbnail.webp", np.asarray(small, np.uint8))
