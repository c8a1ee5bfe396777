"""Boxes of the faces in a picture: by the BlazeFace network, or by OpenCV's frontal cascade.

At import of an avatar only. The network sees 128 x 128 pixels, and in a wide picture of two people
only one of them: so squares of it are looked at as well, small ones where nothing was found.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.face.values import FaceBox

Bgr = NDArray[np.uint8]

_SIDE = 128
_SURE = 0.6
"""Score from which on something is a face."""

_ALWAYS = 0.5
"""Squares of this part of the shorter side are looked at whatever was found: somebody beside."""

_CERTAIN = 0.9
"""Score from which on something beside a face is another one: people have .96, a mask .82."""

_SAME = 0.3
"""Share of overlap from which on two boxes are of one face."""


def _anchors() -> NDArray[np.float64]:
    """Middles (896, 2), 0 to 1, of the cells that answer: 2 per cell of 16 x 16, 6 of 8 x 8.

    From "BlazeFace", Bazarevsky et al. 2019, and the published graph of the short range model.
    """
    found = []
    for cells, each in ((16, 2), (8, 6)):
        at = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(at, at, indexing="ij")
        found.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), each, axis=0))
    return np.concatenate(found)


_ANCHORS = _anchors()


def find_faces(net: cv2.dnn.Net, bgr: Bgr, thorough: bool = True) -> list[FaceBox]:
    """Every face that the network sees, the largest first.

    Unless ``thorough``, only the picture as a whole is looked at.
    """
    height, width = bgr.shape[:2]
    found = _in_square(net, bgr, 0, 0, max(height, width))
    for part in (1.0, 0.5, 0.25):
        if not thorough or (found and part < _ALWAYS):
            break
        more: list[FaceBox] = []
        for left, top, side in _squares(width, height, part):
            more += _in_square(net, bgr, left, top, side)
        found += [each for each in more if each.score >= _CERTAIN] if found else more
    return _distinct(found)


def _squares(width: int, height: int, part: float) -> Iterator[tuple[int, int, int]]:
    side = max(_SIDE, round(min(width, height) * part))

    def steps(length: int) -> list[int]:
        count = 1 + math.ceil(max(0, length - side) / (side / 2))
        return [round(at) for at in np.linspace(0, max(0, length - side), count)]

    for top in steps(height):
        for left in steps(width):
            yield left, top, side


def _in_square(net: cv2.dnn.Net, bgr: Bgr, left: int, top: int, side: int) -> list[FaceBox]:
    cut = bgr[top : top + side, left : left + side]
    scale = _SIDE / side
    size = max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale))
    small = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    small[: size[1], : size[0]] = cv2.resize(cut, size, interpolation=cv2.INTER_AREA)
    net.setInput(cv2.dnn.blobFromImage(small, 1 / 127.5, mean=(127.5,) * 3, swapRB=True))
    boxes, scores = net.forward(("regressors", "classificators"))
    sure = 1 / (1 + np.exp(-np.clip(scores.reshape(-1).astype(np.float64), -80, 80)))
    told = boxes.reshape(-1, 8, 2).astype(np.float64) / _SIDE
    found = []
    for index in np.flatnonzero(sure >= _SURE):
        (x, y), (w, h) = told[index, 0] + _ANCHORS[index], told[index, 1]
        eyes = told[index, 3] - told[index, 2]
        x, y, w, h = (float(value) * side for value in (x, y, w, h))
        tilt = math.atan2(eyes[1], eyes[0])
        found.append(FaceBox(left + x - w / 2, top + y - h / 2, w, h, tilt, float(sure[index])))
    return found


def _distinct(found: list[FaceBox]) -> list[FaceBox]:
    kept: list[FaceBox] = []
    for each in sorted(found, key=lambda box: -box.score):
        if all(_overlap(each, other) < _SAME for other in kept):
            kept.append(each)
    return sorted(kept, key=lambda box: -box.width)


def _overlap(one: FaceBox, other: FaceBox) -> float:
    """Of the smaller box, the part that the other covers."""
    across = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    down = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    smaller = min(one.width * one.height, other.width * other.height)
    return max(0.0, across) * max(0.0, down) / max(smaller, 1e-9)


_CASCADE_SIDE = 640
"""Pictures are made this small for the cascade: it takes seconds otherwise."""

_CASCADE_HITS = 6
"""Overlapping hits of the cascade that make a face; fewer find faces in curtains."""


def find_faces_by_cascade(bgr: Bgr) -> list[FaceBox]:
    """Frontal faces by OpenCV's Haar cascade (Viola and Jones 2001), the largest first."""
    scale = min(1.0, _CASCADE_SIDE / max(bgr.shape[:2]))
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    folder = Path(cv2.__file__).parent / "data"
    cascade = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_default.xml"))
    hits = cascade.detectMultiScale(cv2.equalizeHist(grey), 1.08, _CASCADE_HITS, minSize=(24, 24))
    boxes = [FaceBox(*(float(value) / scale for value in hit)) for hit in hits]
    return _distinct(boxes)
