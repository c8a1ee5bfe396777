"""How the flat head moves as if it were round: one smooth displacement for every picture.

A coarse grid over the head's rectangle says from where in the head's drawing each point of the
frame takes its colour. Shift and roll are affine; yaw and pitch shift points by their depth (nose
most, outline not at all); the jaw stretches the lower face; brows, cheeks and tips of the hair have
fields of their own. All fields are fixed; a pose only weighs them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.presenter.pose import Pose

CELL = 8
"""Pixels between grid points: the fields bend over 50 pixels or more."""

LINE_Y, CHIN_Y = 95.0, 152.0
PIVOT_Y = 150.0
"""The head rolls about the base of the chin."""

DEPTH = 92.0
"""Units from the outline's plane to the middle of the face."""

Grid = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the head's rectangle lies in the output, in pixels; all even."""

    left: int
    top: int
    width: int
    height: int


def _smoothstep(low: float, high: float, at: Grid) -> Grid:
    part = np.clip((at - low) / (high - low), 0, 1)
    return np.asarray(part * part * (3 - 2 * part), np.float32)


def _bump(x: Grid, y: Grid, middle: tuple[float, float], reach: tuple[float, float]) -> Grid:
    square = ((x - middle[0]) / reach[0]) ** 2 + ((y - middle[1]) / reach[1]) ** 2
    return np.asarray(np.clip(1 - square, 0, 1) ** 2, np.float32)


_NO_SECOND_MAP: NDArray[np.float32] = np.empty(0, np.float32)


def moved(plane: NDArray[np.uint8], where: Grid, how: int = cv2.INTER_LINEAR) -> NDArray[np.uint8]:
    """A plane sampled at source coordinates (x, y); outside it is 0."""
    return np.asarray(cv2.remap(plane, where, _NO_SECOND_MAP, how), np.uint8)


class Warp:
    """Displacement of one head.

    Args:
        frame: the rectangle of the output that the head may touch.
        origin: the point between the eyes at rest, in output pixels.
        pixels_per_unit: of the output.
        source_scale: pixels of the head's drawing per unit.
        source_origin: the point between the eyes in the head's drawing, in its pixels.
    """

    def __init__(
        self,
        frame: Frame,
        origin: tuple[float, float],
        pixels_per_unit: float,
        source_scale: float,
        source_origin: tuple[float, float],
    ) -> None:
        self._frame, self._scale, self._origin = frame, source_scale, source_origin
        columns, rows = -(-frame.width // CELL), -(-frame.height // CELL)
        self._full = (columns * CELL, rows * CELL)
        # cv2.resize puts coarse point i in the middle of its cell
        across = (np.arange(columns) + 0.5) * CELL - 0.5 + frame.left - origin[0] + 0.5
        down = (np.arange(rows) + 0.5) * CELL - 0.5 + frame.top - origin[1] + 0.5
        x, y = np.meshgrid(across / pixels_per_unit, down / pixels_per_unit)
        self._x, self._y = x.astype(np.float32), y.astype(np.float32)
        self._fields = _Fields.over(self._x, self._y)

    def coarse(self, pose: Pose, jaw: float, cheek: float) -> Grid:
        """Source coordinates, in luma pixels, of the middle of every cell.

        Args:
            pose: of the tick.
            jaw: units that the chin falls.
            cheek: units that the cheeks rise.

        Returns:
            Pairs (x, y), shape (rows of cells, columns of cells, 2).
        """
        fields = self._fields
        x, y = self._x - pose.x, self._y - pose.y
        roll = math.radians(pose.roll)
        cos, sin = math.cos(roll), math.sin(roll)
        lever = y - PIVOT_Y
        x, y = cos * x + sin * lever, cos * lever - sin * x + PIVOT_Y
        yaw, pitch = math.sin(math.radians(pose.yaw)), math.sin(math.radians(pose.pitch))
        x -= yaw * fields.depth + pose.hair * fields.tips
        y -= pitch * fields.depth - pose.brow * fields.brows - cheek * fields.cheeks
        y -= (1 - 1 / (1 + jaw / (CHIN_Y - LINE_Y))) * fields.jaw
        coarse = np.empty((*x.shape, 2), np.float32)
        coarse[..., 0] = x * self._scale + (self._origin[0] - 0.5)
        coarse[..., 1] = y * self._scale + (self._origin[1] - 0.5)
        return coarse

    def spread(self, coarse: Grid, step: int) -> Grid:
        """Source coordinates of every pixel of a luma (step 1) or chroma plane (step 2)."""
        if step == 2:  # the middle of a chroma pixel lies between those of its luma pixels
            coarse = coarse * 0.5 - 0.25
        size = (self._full[0] // step, self._full[1] // step)
        fine = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(fine[: self._frame.height // step, : self._frame.width // step])


@dataclass(frozen=True, slots=True)
class _Fields:
    """Units of displacement at a weight of one."""

    depth: Grid
    tips: Grid
    brows: Grid
    cheeks: Grid
    jaw: Grid

    @classmethod
    def over(cls, x: Grid, y: Grid) -> _Fields:
        square = (x / 158) ** 2 + ((y - 4) / 208) ** 2
        nose = np.exp(-((x / 20) ** 2) - ((y - 50) / 26) ** 2)
        face = 1 - np.clip(square, 0, 1)
        fall = 1 - _smoothstep(66, 102, np.abs(x))
        far = np.clip(np.abs(x) - 70, 0, None) / 40
        return cls(
            depth=np.asarray(DEPTH * face + 15 * nose, np.float32),
            tips=np.asarray(_smoothstep(60, 250, y) * np.clip(far, 0, 1), np.float32),
            brows=_bump(x, y, (-50, -34), (58, 26)) + _bump(x, y, (50, -34), (58, 26)),
            cheeks=_bump(x, y, (-60, 48), (38, 34)) + _bump(x, y, (60, 48), (38, 34)),
            jaw=np.asarray(np.clip(y - LINE_Y, 0, CHIN_Y - LINE_Y + 8) * fall, np.float32),
        )
