"""Drawn faces into I420 pictures: only the mouth's half, with soft edges, nothing else touched.

Between the network and the picture in the ring. Works on the box's pixels alone; the picture is
never converted as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.contracts import Picture
from gpu_pool.engines.photo.box import Bgr, Box
from gpu_pool.engines.presenter import colour

_TOP = (0.46, 0.58)
"""Where, from the box's top, the drawn face begins to show and is all there. The network is given
the upper half and draws it again, less sharp."""

_SIDE, _BOTTOM = 0.14, 0.08
"""Parts of the box over which the drawn face fades out at the other edges."""

_BLUE, _RED = 0.0722, 0.2126
_GREEN = 1 - _BLUE - _RED
_TO_BGR = np.array(
    [
        [255 / 219, (1 - _BLUE) * 255 / 112, 0],
        [
            255 / 219,
            -_BLUE * (1 - _BLUE) / _GREEN * 255 / 112,
            -_RED * (1 - _RED) / _GREEN * 255 / 112,
        ],
        [255 / 219, 0, (1 - _RED) * 255 / 112],
    ],
    np.float32,
)
"""The inverse of ``presenter.colour``: Y'CbCr of BT.709, limited range, less its offsets."""


@dataclass(frozen=True, slots=True)
class Patch:
    """What a box covers of a picture, on the chroma's grid, and how much of it is replaced.

    Attributes:
        box: the face.
        outer: the smallest box of even edges around it.
        luma: (height, width) 0 to 1, of the outer box.
        chroma: the same for the planes of half size.
    """

    box: Box
    outer: Box
    luma: NDArray[np.float32]
    chroma: NDArray[np.float32]

    @classmethod
    def of(cls, box: Box) -> Patch:
        """The patch of a box; its picture has even sides."""
        outer = Box(box.top & ~1, (box.bottom + 1) & ~1, box.left & ~1, (box.right + 1) & ~1)
        rows = _ramp(box.height, _TOP[0], _TOP[1]) * _ramp(box.height, 0, _BOTTOM)[::-1]
        side = _ramp(box.width, 0, _SIDE)
        luma = np.zeros((outer.height, outer.width), np.float32)
        down, across = box.top - outer.top, box.left - outer.left
        luma[down : down + box.height, across : across + box.width] = np.outer(
            rows, side * side[::-1]
        )
        half = (outer.width // 2, outer.height // 2)
        chroma = cv2.resize(luma, half, interpolation=cv2.INTER_AREA)
        return cls(box, outer, luma, np.asarray(chroma, np.float32))

    def paste(self, picture: Picture, face: Bgr, strength: float = 1.0) -> None:
        """Blend a drawn face (size, size, 3) into an I420 picture, ``strength`` 0 to 1 of it."""
        shares = self.luma, self.chroma, self.chroma
        planes = planes_of(picture, self.outer)
        for plane, fresh, share in zip(planes, self._drawn(face), shares, strict=True):
            way = (fresh - plane) * (share * np.float32(strength))
            plane[:] = plane + way + np.float32(0.5)

    def overwrite(self, picture: Picture, face: Bgr) -> None:
        """Put a drawn face over the whole box with hard edges, as the authors do."""
        box, outer = self.box, self.outer
        inner = np.zeros((outer.height, outer.width), np.float32)
        down, across = box.top - outer.top, box.left - outer.left
        inner[down : down + box.height, across : across + box.width] = 1
        half = cv2.resize(
            inner, (outer.width // 2, outer.height // 2), interpolation=cv2.INTER_AREA
        )
        drawn = self._drawn(face)
        for plane, fresh, share in zip(
            planes_of(picture, outer), drawn, (inner, half, half), strict=True
        ):
            plane[:] = plane + (fresh - plane) * share + np.float32(0.5)

    def _drawn(self, face: Bgr) -> colour.Planes:
        """A drawn face as the outer box's planes, float32; its edge goes on outside the box."""
        box, outer = self.box, self.outer
        drawn = cv2.resize(face, (box.width, box.height), interpolation=cv2.INTER_LINEAR)
        lack = (
            *(box.top - outer.top, outer.bottom - box.bottom),
            *(box.left - outer.left, outer.right - box.right),
        )
        if any(lack):
            drawn = cv2.copyMakeBorder(drawn, *lack, cv2.BORDER_REPLICATE)
        return colour.planes(np.asarray(drawn, np.float32))


def _ramp(length: int, begins: float, ends: float) -> NDArray[np.float32]:
    """(length,) from 0 to 1 between two parts of the length, smooth at both ends."""
    at = (np.arange(length) + 0.5) / length
    part = np.clip((at - begins) / (ends - begins), 0, 1)
    return (part * part * (3 - 2 * part)).astype(np.float32)


def planes_of(picture: Picture, box: Box) -> colour.Planes:
    """Views of a box of even edges in the three planes."""
    height, width = picture.shape[0] * 2 // 3, picture.shape[1]
    luma, u, v = colour.unpack(picture.reshape(-1), height, width)
    rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
    halves = slice(box.top // 2, box.bottom // 2), slice(box.left // 2, box.right // 2)
    return luma[rows, columns], u[halves], v[halves]


def repaint(picture: Picture, area: Box, change: Callable[[Bgr], Bgr]) -> None:
    """Change an area of even edges of an I420 picture as BGR; what stays the same is not touched.

    ``change`` takes a copy of the area's pixels and gives it changed. So the pictures of programs
    that work in BGR come out as theirs, but for the way to Y'CbCr.
    """
    before = bgr_of(picture, area)
    after = change(before.copy())
    luma = (after != before).any(axis=2)
    half = luma.reshape(area.height // 2, 2, area.width // 2, 2).any(axis=(1, 3))
    drawn = colour.planes(after.astype(np.float32))
    for plane, fresh, where in zip(
        planes_of(picture, area), drawn, (luma, half, half), strict=True
    ):
        plane[where] = np.clip(fresh[where] + np.float32(0.5), 0, 255)


def bgr_of(picture: Picture, box: Box) -> Bgr:
    """A box of an I420 picture as BGR, (height, width, 3)."""
    outer = Box(box.top & ~1, (box.bottom + 1) & ~1, box.left & ~1, (box.right + 1) & ~1)
    luma, u, v = planes_of(picture, outer)
    size = (outer.width, outer.height)
    yuv = np.empty((outer.height, outer.width, 3), np.float32)
    yuv[..., 0] = luma
    for channel, plane in ((1, u), (2, v)):
        yuv[..., channel] = cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)
    yuv -= np.array([16, 128, 128], np.float32)
    bgr = np.clip(cv2.transform(yuv, _TO_BGR) + 0.5, 0, 255).astype(np.uint8)
    down, across = box.top - outer.top, box.left - outer.left
    own = bgr[down : down + box.height, across : across + box.width]
    return np.asarray(own, np.uint8)
