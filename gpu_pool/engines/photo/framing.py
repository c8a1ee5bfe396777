"""Which part of a source becomes the avatar's picture, and which part of that the channel's.

At import, and when an avatar is prepared. The face always stays inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.face.points import CHIN, FOREHEAD, LEFT_CHEEK, RIGHT_CHEEK
from gpu_pool.engines.face.values import GOOD_MOUTH_PX, Points

LONGEST_SIDE, SHORTEST_SIDE = 1920, 1088
"""Stored pictures are no larger: every channel format fits."""

_WANTED_MOUTH_PX = 1.6 * GOOD_MOUTH_PX
"""A source is cropped, not only made smaller, where its mouth would get narrower than this."""

_FACE_AT = 0.40
"""Where the middle of the face goes, as a part of the height."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A rectangle of a source, and how large it becomes; output sides are even.

    A pixel (x, y) of the source goes to ((x - left + 0.5) * scale - 0.5, likewise).
    """

    left: float
    top: float
    scale: float
    width: int
    height: int

    def points(self, points: Points) -> Points:
        """Where points of the source lie in the output."""
        origin = np.array([self.left, self.top], np.float32)
        return ((points - origin + 0.5) * np.float32(self.scale) - 0.5).astype(np.float32)

    def edges(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Where boxes (n, 4) of the source lie in the output: left, top, right, bottom edges."""
        origin = np.array([self.left, self.top] * 2, np.float32)
        return ((boxes - origin) * np.float32(self.scale)).astype(np.float32)

    def picture(self, source: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The output's picture; beyond the source's border its last pixels go on."""
        width, height = self.width / self.scale, self.height / self.scale
        left, top = round(self.left), round(self.top)
        right, bottom = round(self.left + width), round(self.top + height)
        rows, columns = source.shape[:2]
        cut = source[max(0, top) : min(rows, bottom), max(0, left) : min(columns, right)]
        lack = (max(0, -top), max(0, bottom - rows), max(0, -left), max(0, right - columns))
        if any(lack):
            cut = np.asarray(cv2.copyMakeBorder(cut, *lack, cv2.BORDER_REPLICATE), np.uint8)
        if cut.shape[:2] == (self.height, self.width):
            return np.ascontiguousarray(cut)
        how = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(cut, (self.width, self.height), interpolation=how), np.uint8)


def face_rectangle(points: Points) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a face, hair and chin included; all pictures together."""
    every = points.reshape(-1, points.shape[-2], 2)
    chin, forehead = every[:, CHIN], every[:, FOREHEAD]
    height = float(np.linalg.norm(chin - forehead, axis=1).mean())
    left = float(every[:, LEFT_CHEEK, 0].min()) - 0.08 * height
    right = float(every[:, RIGHT_CHEEK, 0].max()) + 0.08 * height
    return (
        left,
        float(forehead[:, 1].min()) - 0.25 * height,
        right,
        float(chin[:, 1].max()) + (0.12 * height),
    )


def stored_cut(width: int, height: int, points: Points, mouth_px: float) -> Cut:
    """The part of a source that is stored.

    Args:
        width: of the source.
        height: of the source.
        points: (pictures, POINTS, 2) in it.
        mouth_px: the mouth's width in it.
    """
    most_w, most_h = (
        (LONGEST_SIDE, SHORTEST_SIDE) if width >= height else (SHORTEST_SIDE, LONGEST_SIDE)
    )
    whole = min(1.0, most_w / width, most_h / height)
    scale = min(1.0, max(whole, _WANTED_MOUTH_PX / mouth_px))
    out_w, out_h = (_even(min(most, side * scale)) for most, side in
                    ((most_w, width), (most_h, height)))  # fmt: skip
    left, top = _placed(width, height, points, out_w / scale, out_h / scale)
    return Cut(left, top, scale, out_w, out_h)


def shown_cut(
    width: int, height: int, points: Points, out_w: int, out_h: int
) -> tuple[Cut, tuple[int, int, int, int] | None]:
    """The part of a stored picture that a channel shows.

    Args:
        width: of the stored picture.
        height: of the stored picture.
        points: (pictures, POINTS, 2) in it.
        out_w: of the channel's pictures.
        out_h: likewise.

    Returns:
        The cut, and where in the channel's picture it goes (left, top, width, height) when the
        whole face does not fit otherwise; None when it fills the picture.
    """
    scale = max(out_w / width, out_h / height)
    left, top, right, bottom = face_rectangle(points)
    fits = (right - left) * scale <= out_w and (bottom - top) * scale <= out_h
    if fits:
        x, y = _placed(width, height, points, out_w / scale, out_h / scale)
        return Cut(x, y, scale, out_w, out_h), None
    scale = max(
        min(out_w / width, out_h / height), min(out_w / (right - left), out_h / (bottom - top))
    )
    part_w, part_h = _even(min(out_w, width * scale)), _even(min(out_h, height * scale))
    x, y = _placed(width, height, points, part_w / scale, part_h / scale)
    place = 2 * ((out_w - part_w) // 4), 2 * ((out_h - part_h) // 4), part_w, part_h
    return Cut(x, y, scale, part_w, part_h), place


def _placed(
    width: int, height: int, points: Points, part_w: float, part_h: float
) -> tuple[float, float]:
    """Left and top of a part with the face in its upper middle, within the whole."""
    left, top, right, bottom = face_rectangle(points)
    x = (left + right) / 2 - part_w / 2
    y = (top + bottom) / 2 - _FACE_AT * part_h
    y = min(y, top)
    return _kept(x, width - part_w), _kept(y, height - part_h)


def _kept(at: float, most: float) -> float:
    """A whole pixel, so that points and pictures are cut alike."""
    return float(round(min(max(0.0, at), max(0.0, most))))


def _even(length: float) -> int:
    return max(2, 2 * int(length / 2 + 1e-6))
