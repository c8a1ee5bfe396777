"""Where LatentSync 1.0 sees a face: aligned by three anchors, 256 pixels square, and put back.

As in its published image code (Apache-2.0): landmarks in iBUG's order of 68, pictures RGB. The
alignment remembers the pictures before; it must be fed in order, once per clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

Landmarks = NDArray[np.float64]
"""(68, 2) x and y in pixels."""

Matrix = NDArray[np.float64]
"""(2, 3): from the picture to the aligned face."""

Rgb = NDArray[np.uint8]
"""(height, width, 3)."""

SIZE = 256
FACE_WIDTH, FACE_HEIGHT = 210, 280
"""The aligned face, before it is squeezed into a square."""

_ANCHORS = ((17, 22), (22, 27), (27, 36))
"""Brow, brow, nose: their means are what is aligned."""

_TEMPLATE = 2.8 * np.array([(17.0, 20.0), (58.0, 20.0), (37.5, 40.0)])
_OUTSIDE = (127, 127, 127)
_SMOOTHING = 0.3  # of the face's width
_KEPT_SHIFT = 0.2


class Resampling(Enum):
    """How pixels are come by in between: as LatentSync's authors do, or LatentsyncRealtime."""

    LANCZOS = "lanczos"
    BILINEAR = "bilinear"


_WARPS: Mapping[Resampling, int] = {
    Resampling.LANCZOS: cv2.INTER_LANCZOS4,
    Resampling.BILINEAR: cv2.INTER_LINEAR,
}
_SQUEEZES: Mapping[Resampling, int] = {
    Resampling.LANCZOS: cv2.INTER_LANCZOS4,
    Resampling.BILINEAR: cv2.INTER_CUBIC,
}


@dataclass(slots=True)
class Aligner:
    """The alignment of one clip, picture by picture."""

    _points: Landmarks | None = None
    _shift: NDArray[np.float64] | None = None

    def matrix(self, landmarks: Landmarks) -> Matrix:
        """How the next picture's face is aligned; landmarks are steadied first."""
        self._points = smoothed(landmarks, self._points)
        anchors = np.stack([self._points[a:b].mean(axis=0) for a, b in _ANCHORS])
        matrix, shift = similarity(anchors, _TEMPLATE)
        if self._shift is not None:
            shift = _KEPT_SHIFT * self._shift + (1.0 - _KEPT_SHIFT) * shift
        self._shift = shift
        matrix[:, 2] += shift
        return matrix

    @property
    def points(self) -> Landmarks:
        """The last landmarks, steadied."""
        assert self._points is not None, "matrix comes first"
        return self._points


def smoothed(new: Landmarks, old: Landmarks | None) -> Landmarks:
    """Landmarks that hardly moved stay nearly where they were."""
    if old is None:
        return new.copy()
    width = np.ptp(new[:, 0])
    moved = ((new - old) ** 2).sum(axis=1, keepdims=True)
    kept = np.exp(-moved / (_SMOOTHING * width))
    steady: Landmarks = old * kept + new * (1.0 - kept)
    return steady


def similarity(points: Landmarks, onto: Landmarks) -> tuple[Matrix, NDArray[np.float64]]:
    """The turn, scale and shift that lays points onto others, by least squares (Procrustes).

    Returns:
        The matrix, and how far apart the second of the normalised points are: the original adds
        that fraction of a pixel, steadied over time.
    """
    centres = points.mean(axis=0), onto.mean(axis=0)
    spreads = (points - centres[0]).std(), (onto - centres[1]).std()
    a, b = (points - centres[0]) / spreads[0], (onto - centres[1]) / spreads[1]
    u, _, vt = np.linalg.svd(a.T @ b)
    turn = (u @ vt).T
    scaled = spreads[1] / spreads[0] * turn
    shift = centres[1] - scaled @ centres[0]
    return np.column_stack([scaled, shift]), b[2] - a[2]


def aligned(picture: Rgb, matrix: Matrix, how: Resampling = Resampling.LANCZOS) -> Rgb:
    """The face, (256, 256, 3); its proportions are not kept."""
    size = (FACE_WIDTH, FACE_HEIGHT)
    face = cv2.warpAffine(picture, matrix, size, flags=_WARPS[how], borderValue=_OUTSIDE)
    squeezed: Rgb = np.asarray(
        cv2.resize(face, (SIZE, SIZE), interpolation=_SQUEEZES[how]), np.uint8
    )
    return squeezed


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a face goes back, made once per picture of an avatar.

    ``weight`` (height, width, 1) float32 is how much of the face is shown, ``inverse`` the way from
    the aligned face to the picture, ``how`` its pixels are resampled.
    """

    inverse: Matrix
    weight: NDArray[np.float32]
    mask: NDArray[np.float32]
    how: Resampling = Resampling.LANCZOS

    def laid(self, face: Rgb) -> Rgb:
        """A face (280, 210, 3) laid out over the whole picture, black elsewhere."""
        height, width = self.mask.shape
        return np.asarray(
            cv2.warpAffine(face, self.inverse, (width, height), flags=_WARPS[self.how]), np.uint8
        )


def seat(matrix: Matrix, width: int, height: int, how: Resampling = Resampling.LANCZOS) -> Seat:
    """Work out the seat of an aligned face in a picture of this size."""
    inverse = np.asarray(cv2.invertAffineTransform(matrix), np.float64)
    ones = np.ones((FACE_HEIGHT, FACE_WIDTH), np.float32)
    mask = cv2.warpAffine(ones, inverse, (width, height))
    mask = cv2.erode(mask, np.ones((2, 2), np.uint8))
    edge = int(np.sqrt(mask.sum())) // 20
    inner = cv2.erode(mask, np.ones((2 * edge, 2 * edge), np.uint8)) if edge else mask
    soft = cv2.GaussianBlur(inner, (2 * edge + 1, 2 * edge + 1), 0)
    return Seat(inverse, np.asarray(soft, np.float32), np.asarray(mask, np.float32), how)


def restored(picture: Rgb, face: Rgb, where: Seat) -> Rgb:
    """A picture with the face (280, 210, 3) put back."""
    weight = where.weight[:, :, None]
    mixed = weight * (where.mask[:, :, None] * where.laid(face)) + (1.0 - weight) * picture
    whole: Rgb = mixed.astype(np.uint8)
    return whole
