"""How MuseTalk's face goes back into the picture: which parts of it, and how softly.

As in its published code (MIT): a face parser's labels (CelebAMask: 1 skin, 10 nose, 11 mouth, 12
and 13 lips, 14 neck) make a mask within a square about the face. Boxes are (x1, y1, x2, y2) pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
Mask = NDArray[np.uint8]
Bgr = NDArray[np.uint8]

EXPAND_1_0, EXPAND = 1.2, 1.5
"""The square's side in sizes of the box: in the code of 2024, and since."""

BLUR_1_0, BLUR_PREPARED, BLUR_OFFLINE = 0.1, 0.1, 0.05
"""The softness in widths of the square."""

LABELS_SIZE = 512
UPPER_HALF = 0.5
"""Above this part of the square nothing is replaced: the mouth is below."""

_SKIN, _NOSE, _NECK = 1, 10, 14
_LIPS = (11, 12, 13)
CHEEK = 90
"""Half the columns, of 512, in which the chin keeps its full growth; the published default."""


class Kept(Enum):
    """Which parts of the parsed face are taken from the network."""

    ALL_1_0 = "all"
    RAW = "raw"
    NECK = "neck"
    JAW = "jaw"


def square(box: Box, expand: float = EXPAND) -> Box:
    """The square about a face box; it may reach beyond the picture."""
    x1, y1, x2, y2 = box
    half = int(max(x2 - x1, y2 - y1) // 2 * expand)
    centre_x, centre_y = (x1 + x2) // 2, (y1 + y2) // 2
    return centre_x - half, centre_y - half, centre_x + half, centre_y + half


def parts(labels: NDArray[np.uint8], kept: Kept, cheek: int = CHEEK) -> Mask:
    """The parts that are kept, as 0 and 255: (512, 512) from labels of that size."""
    if kept is Kept.ALL_1_0:
        return _white((labels >= 1) & (labels <= 13))
    if kept is Kept.JAW:
        return _jaw(labels, cheek)
    wanted = (_SKIN, *_LIPS, *((_NECK,) if kept is Kept.NECK else ()))
    return _white(np.isin(labels, wanted))


def _jaw(labels: NDArray[np.uint8], cheek: int) -> Mask:
    """Skin that grows below the chin, where the network may lower the jaw; not the nose."""
    skin = _white(labels == _SKIN)
    grown = cv2.dilate(skin, _growth())
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (35, 3))
    narrowed = cv2.erode(grown, ellipse, iterations=2)
    middle = slice(LABELS_SIZE // 2 - cheek + 1, LABELS_SIZE // 2 + cheek)
    narrowed[:, middle] = grown[:, middle]
    chosen = narrowed > 0
    return _white((chosen & (labels != _NOSE)) | np.isin(labels, _LIPS))


@cache
def _growth() -> Mask:
    """A pixel grows up by 16 rows ten columns to each side, and down to a point: (33, 33)."""
    kernel = np.zeros((33, 33), np.uint8)
    for row in range(10, 33):
        reach = min(10, row - 10)
        kernel[row, 16 - reach : 17 + reach] = 1
    return kernel


def soft_mask(white: Mask, face: Box, around: Box, blur: float) -> Mask:
    """The mask within the square: parts inside the face box, lower half only, blurred.

    Args:
        white: ``parts``, (512, 512).
        face: the face box.
        around: ``square`` of it.
        blur: softness in widths of the square.
    """
    width, height = around[2] - around[0], around[3] - around[1]
    whole = bicubic(white, width, height)
    mask = np.zeros((height, width), np.uint8)
    left, top = face[0] - around[0], face[1] - around[1]
    right, bottom = face[2] - around[0], face[3] - around[1]
    mask[top:bottom, left:right] = whole[top:bottom, left:right]
    mask[: int(height * UPPER_HALF)] = 0
    size = int(blur * width // 2 * 2) + 1
    return np.asarray(cv2.GaussianBlur(mask, (size, size), 0), np.uint8)


def paste(picture: Bgr, face: Bgr, box: Box, around: Box, mask: Mask) -> None:
    """Blend a face of the box's size into a picture, in place, clipped at its borders.

    The integer arithmetic of Pillow's ``paste``, which the original uses.
    """
    height, width = picture.shape[:2]
    x1, y1 = max(0, box[0], around[0]), max(0, box[1], around[1])
    x2, y2 = min(width, box[2], around[2]), min(height, box[3], around[3])
    mask_rows = slice(y1 - around[1], y2 - around[1])
    weight = mask[mask_rows, x1 - around[0] : x2 - around[0], None].astype(np.uint32)
    new = face[y1 - box[1] : y2 - box[1], x1 - box[0] : x2 - box[0]]
    mixed = new * weight + picture[y1:y2, x1:x2] * (255 - weight) + 128
    picture[y1:y2, x1:x2] = ((mixed >> 8) + mixed) >> 8


def paste_1_0(picture: Bgr, face: Bgr, box: Box, around: Box, mask: Mask) -> None:
    """As ``paste``, in the arithmetic of OpenCV's ``blendLinear``, which the 1.0 code uses live."""
    height, width = picture.shape[:2]
    x1, y1 = max(0, box[0], around[0]), max(0, box[1], around[1])
    x2, y2 = min(width, box[2], around[2]), min(height, box[3], around[3])
    part = mask[y1 - around[1] : y2 - around[1], x1 - around[0] : x2 - around[0]]
    weight = np.ascontiguousarray(part).astype(np.float32) / np.float32(255)
    new = np.ascontiguousarray(face[y1 - box[1] : y2 - box[1], x1 - box[0] : x2 - box[0]])
    old = np.ascontiguousarray(picture[y1:y2, x1:x2])
    picture[y1:y2, x1:x2] = cv2.blendLinear(new, old, weight, 1 - weight)


def bicubic(picture: Mask, width: int, height: int) -> Mask:
    """Resize (h, w) as Pillow's bicubic does: wider filters when it shrinks, rounded in between."""
    across = _clip(picture.astype(np.float64) @ _weights(picture.shape[1], width).T)
    return _clip(_weights(picture.shape[0], height) @ across).astype(np.uint8)


def _clip(values: NDArray[np.float64]) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = np.clip(np.floor(values + 0.5), 0, 255)
    return rounded


@cache
def _weights(before: int, after: int) -> NDArray[np.float64]:
    """(after, before): Keys' cubic with a = -0.5, normalised in each row."""
    scale = before / after
    stretch = max(scale, 1.0)
    centres = (np.arange(after)[:, None] + 0.5) * scale
    x = np.abs((np.arange(before)[None, :] + 0.5 - centres) / stretch)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    cubic = np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))
    normal: NDArray[np.float64] = cubic / cubic.sum(axis=1, keepdims=True)
    return normal


def _white(chosen: NDArray[np.bool_] | Sequence[bool]) -> Mask:
    return np.where(chosen, np.uint8(255), np.uint8(0))
