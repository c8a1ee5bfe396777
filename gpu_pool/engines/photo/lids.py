"""A photograph blinks: its upper lids are drawn down over its eyes.

After the sway, before the mouth; only for some pictures of the idle loop. A clip blinks by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.face.points import (
    LEFT_LID,
    LEFT_LOWER_LID,
    RIGHT_LID,
    RIGHT_LOWER_LID,
)
from gpu_pool.engines.face.values import Points
from gpu_pool.engines.photo.painter import Canvas, chroma, take
from gpu_pool.engines.photo.warp import Grid

_FULL = 0.94
"""How much of the eye a shut lid covers: its edge rests on the lower lashes."""

_LASHES_BELOW, _LASHES = 0.015, 0.11
"""Of the eye's width: so much below and above the lid's edge is taken along as it is."""

_SKIN_ABOVE = 0.42
"""Of the eye's width: the skin from which the lid is drawn down."""

_STRIPS = ((LEFT_LID, LEFT_LOWER_LID), (RIGHT_LID, RIGHT_LOWER_LID))


@dataclass(frozen=True, slots=True)
class _Eye:
    """An eye in its own coordinates: origin at its left corner, pixels of the source."""

    corner: NDArray[np.float32]
    turn: NDArray[np.float32]
    width: float
    upper: NDArray[np.float32]
    lower: NDArray[np.float32]

    @classmethod
    def of(cls, upper: Points, lower: Points) -> _Eye:
        """An eye of its lids' edges, left to right."""
        across = upper[-1] - upper[0]
        width = float(np.hypot(*across))
        across = across / width
        turn = np.array([across, [-across[1], across[0]]], np.float32)
        return cls(upper[0], turn, width, (upper - upper[0]) @ turn.T, (lower - upper[0]) @ turn.T)

    def lid(self, own: Grid, shut: float) -> tuple[Grid, Grid]:
        """Source y of a lid that is ``shut`` of the way down, and where it lies (0 to 1)."""
        x, y = own[..., 0], own[..., 1]
        lashes, beyond, pixel = (
            np.float32(part * self.width) for part in (_LASHES, _LASHES_BELOW, 0.03)
        )
        upper = np.interp(x, self.upper[:, 0], self.upper[:, 1]).astype(np.float32)
        lower = np.interp(x, self.lower[:, 0], self.lower[:, 1]).astype(np.float32)
        down = np.float32(_FULL * shut) * np.maximum(lower - upper, 0)
        top = upper - np.float32(_SKIN_ABOVE * self.width)
        skin = upper - lashes
        part = np.clip((y - top) / np.maximum(skin + down - top, 1), 0, 1)
        above = np.where(y < skin + down, top + part * (skin - top), y - down)
        above = np.where(y < top, y, above)
        covers = np.clip((upper + down + beyond - y) / pixel + 0.5, 0, 1)
        covers *= np.clip((y - top) / pixel, 0, 1)
        covers *= np.clip(np.minimum(x, self.width - x) / pixel, 0, 1)
        return above.astype(np.float32), covers.astype(np.float32)


class Lids:
    """Both lids of a photograph."""

    def __init__(self, points: Points) -> None:
        self._eyes = [_Eye.of(points[up], points[low]) for up, low in _STRIPS]

    def boxes(self) -> list[tuple[float, float, float, float]]:
        """Left, top, right and bottom of what a blink touches, in the source's pixels."""
        found = []
        for eye in self._eyes:
            x, y = eye.corner + eye.turn[0] * eye.width / 2
            reach = 0.62 * eye.width
            found.append((x - reach, y - reach, x + reach, y + reach))
        return found

    def paint(self, number: int, canvas: Canvas, shut: float) -> None:
        """Draw one lid down; the canvas's area lies around its box."""
        eye, area = self._eyes[number], canvas.area
        places = area.spread(canvas.at)
        own = (places - eye.corner) @ eye.turn.T
        y, covers = eye.lid(own, shut)
        moved = np.stack([own[..., 0], y], axis=-1) @ eye.turn + eye.corner
        moved = np.ascontiguousarray(moved, np.float32)
        half = (area.width // 2, area.height // 2)
        small = chroma(np.asarray(cv2.resize(moved, half, interpolation=cv2.INTER_AREA)))
        thin = np.asarray(cv2.resize(covers, half, interpolation=cv2.INTER_AREA))
        for index, (at, part) in enumerate(((moved, covers), (small, thin), (small, thin))):
            target = area.of(canvas.out[index], 1 if index == 0 else 2)
            lid = take(canvas.source[index], at)
            target[:] = (target + (lid.astype(np.float32) - target) * part + 0.5).astype(np.uint8)
