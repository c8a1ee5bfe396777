"""A face's pixels where the picture has its own: OpenCV's resize and warp on the network's device.

Between the drawn faces and the colours of the picture. Positions are those of OpenCV 4: the centres
of pixels for a resize with ``INTER_LINEAR``; for ``warpAffine`` sums of whole 1/1024 of a pixel,
cut to 1/32. The result is rounded to whole levels and differs from OpenCV's by one at most, because
its weights are fixed-point numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as fn

from gpu_pool.engines.photo.box import Box


class How(Enum):
    """How pixels are come by in between, and what lies beside the face."""

    STRETCHED = "stretched"
    """Bilinear; the face's edge goes on."""
    BILINEAR = "bilinear"
    """Black beside it."""
    LANCZOS = "lanczos"
    """8 x 8 pixels; black beside it."""


@dataclass(frozen=True, slots=True)
class Positions:
    """Where in the face a rectangle's pixels lie, in pixels of the face.

    The pixel in row r and column c lies at ``column_x[c] + row_x[r]`` and
    ``column_y[c] + row_y[r]``; all float32.
    """

    column_x: NDArray[np.float32]
    column_y: NDArray[np.float32]
    row_x: NDArray[np.float32]
    row_y: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A square face of ``size`` resized to its box, its edge going on outside."""

    box: Box
    size: int
    how: How = How.STRETCHED

    def positions(self, part: Box) -> Positions:
        """Of a part of the picture."""
        box, size = self.box, self.size
        across = _resized(np.arange(part.left, part.right) - box.left, box.width, size)
        down = _resized(np.arange(part.top, part.bottom) - box.top, box.height, size)
        return Positions(across, np.zeros_like(across), np.zeros_like(down), down)


@dataclass(frozen=True, slots=True)
class Warp:
    """A face laid out by an affine matrix (2, 3), from its pixels to those of ``box``."""

    box: Box
    matrix: NDArray[np.float64]
    how: How

    def positions(self, part: Box) -> Positions:
        """Of a part of the picture."""
        back = np.asarray(cv2.invertAffineTransform(self.matrix), np.float64)
        columns = np.arange(part.left, part.right, dtype=np.float64) - self.box.left
        rows = np.arange(part.top, part.bottom, dtype=np.float64) - self.box.top
        steps = [back[axis, 0] * columns for axis in (0, 1)]
        begins = [back[axis, 1] * rows + back[axis, 2] for axis in (0, 1)]
        return Positions(*map(_cut, steps), *(_cut(each) + _HALF for each in begins))


def _resized(at: NDArray[np.int64], length: int, size: int) -> NDArray[np.float32]:
    inside = np.clip(at, 0, length - 1) + 0.5
    return np.asarray(np.clip(inside * (size / length) - 0.5, 0, size - 1), np.float32)


_UNIT, _STEPS = 1024, 32
"""A pixel's parts in OpenCV's sums, and of its table of weights."""

_HALF = np.float32(0.5 / _STEPS)


def _cut(at: NDArray[np.float64]) -> NDArray[np.float32]:
    """In whole units; sums of these are exact in float32 within 16,000 pixels."""
    return np.asarray(np.rint(at * _UNIT) / _UNIT, np.float32)


def sampled(faces: Tensor, x: Tensor, y: Tensor, how: How) -> Tensor:
    """Pixels of faces.

    Args:
        faces: (n, 3, rows, columns) float32, 0 to 255.
        x: (n, height, width) float32, the sums of ``Positions``.
        y: the same.
        how: one way for all.

    Returns:
        (n, 3, height, width), whole levels.
    """
    if how is How.STRETCHED:
        return _bilinear(faces, x, y, "border").round_()
    x, y = torch.floor(x * _STEPS), torch.floor(y * _STEPS)
    if how is How.BILINEAR:
        return _bilinear(faces, x / _STEPS, y / _STEPS, "zeros").round_()
    return _lanczos(faces, x, y).round_().clamp_(0, 255)


def _bilinear(faces: Tensor, x: Tensor, y: Tensor, beside: str) -> Tensor:
    rows, columns = faces.shape[2:]
    grid = torch.stack(((2 * x + 1) / columns - 1, (2 * y + 1) / rows - 1), -1)
    return fn.grid_sample(faces, grid, "bilinear", beside, align_corners=False)


_TAPS, _BEFORE = 8, 3
"""Pixels to a side, and how many of them lie before the position."""


def _lanczos(faces: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Positions in 1/32 of a pixel; exact weights for each of them, by 64 gathers.

    A bicubic sampler, which torch has, was measured up to 12 levels off.
    """
    edge = _TAPS
    rows, columns = faces.shape[2] + 2 * edge, faces.shape[3] + 2 * edge
    flat = fn.pad(faces, (edge,) * 4).flatten(2)
    table = _weights(faces.device)
    left, part_x = _whole_and_part(x, columns - _TAPS)
    top, part_y = _whole_and_part(y, rows - _TAPS)
    at = (top * columns + left).flatten(1)[:, None].expand(-1, 3, -1)
    across, down = table[part_x].flatten(1, 2), table[part_y].flatten(1, 2)
    made = torch.zeros(at.shape, device=faces.device)
    for row in range(_TAPS):
        line = torch.zeros_like(made)
        for column in range(_TAPS):
            pixels = flat[..., row * columns + column :].gather(2, at)
            line.addcmul_(pixels, across[:, None, :, column])
        made.addcmul_(line, down[:, None, :, row])
    return made.unflatten(2, x.shape[1:])


def _whole_and_part(at: Tensor, last: int) -> tuple[Tensor, Tensor]:
    """The first tap's place in the padded face, and the part of a pixel in 1/32."""
    steps = at.to(torch.int64)
    first = (steps >> 5) - _BEFORE + _TAPS
    return first.clamp_(0, last), steps & (_STEPS - 1)


@cache
def _weights(device: torch.device) -> Tensor:
    """(32, 8): of the pixels about a position, for every 1/32: OpenCV's Lanczos of 4 lobes."""
    made = np.zeros((_STEPS, _TAPS))
    made[0, _BEFORE] = 1
    for step in range(1, _STEPS):
        away = np.arange(_TAPS) - _BEFORE - step / _STEPS
        made[step] = np.sinc(away) * np.sinc(away / 4)
        made[step] /= made[step].sum()
    return torch.from_numpy(made.astype(np.float32)).to(device)
