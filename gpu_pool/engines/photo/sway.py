"""How a photographed person moves while idle: breath, sway and small turns as smooth fields.

For a photograph only. The poses are the drawn presenter's, in its head units; the fields fade to
nothing before the edge of the head's rectangle, so the background stands still.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from gpu_pool.engines.face.points import (
    LEFT_LID,
    LEFT_LOWER_LID,
    RIGHT_LID,
    RIGHT_LOWER_LID,
)
from gpu_pool.engines.face.values import Points
from gpu_pool.engines.photo.warp import Grid, smooth
from gpu_pool.engines.presenter.pose import Pose
from gpu_pool.engines.presenter.warp import DEPTH, PIVOT_Y

_EYES_APART_UNITS = 105.0
"""From eye to eye of the presenter: what a unit is."""

_HEAD = (125.0, 195.0)
_HEAD_Y = -15.0
_FADES = 1.45
"""The head is an ellipse around (0, ``_HEAD_Y``); out to so many times its size it is followed."""

_BANDS = 7
"""The head's ellipse is drawn in so many rectangles: a quarter less than one around it."""

_SHOULDERS_FROM, _SHOULDERS_FULL = 130.0, 260.0
_CHEST_HALF, _CHEST_FADES = 330.0, 260.0
_RISES = 1.2
"""Units that the shoulders rise in a breath."""

_TURNS = 0.5
"""Of the presenter's depth: a photograph shows sooner that it is flat."""

_BROWS = 0.6

BREATHS = 16
"""Levels of the breath: steps of a tenth of a pixel, each a picture that is made once."""


@dataclass(frozen=True, slots=True)
class Body:
    """Where the fields lie in a picture: ``origin`` between the eyes, pixels per head unit."""

    origin: tuple[float, float]
    unit_px: float

    @classmethod
    def of(cls, points: Points) -> Body:
        """For a face of these points."""
        left, right = (
            np.concatenate([points[lid], points[lower]]).mean(axis=0)
            for lid, lower in ((LEFT_LID, LEFT_LOWER_LID), (RIGHT_LID, RIGHT_LOWER_LID))
        )
        x, y = (left + right) / 2
        apart = float(np.linalg.norm(right - left))
        return cls((float(x), float(y)), apart / _EYES_APART_UNITS)

    def head_bands(self) -> list[tuple[float, float, float, float]]:
        """Rectangles (left, top, right, bottom), in pixels, that cover the head and its fading.

        One above the other on whole even rows, each as wide as the ellipse is there.
        """
        (x, y), unit = self.origin, self.unit_px
        wide, high = (_FADES * length * unit for length in _HEAD)
        middle = y + _HEAD_Y * unit
        rows = [2 * round((middle + high * part) / 2) for part in np.linspace(-1, 1, _BANDS + 1)]
        found = []
        for top, bottom in itertools.pairwise(rows):
            near = 0.0 if top < middle < bottom else min(abs(top - middle), abs(bottom - middle))
            aside = wide * math.sqrt(max(0.0, 1 - (near / high) ** 2)) + 1
            found.append((x - aside, float(top), x + aside, float(bottom)))
        return found


class Sway:
    """The fields over the points of a grid, (rows, columns, 2) pixels."""

    def __init__(self, body: Body, grid: Grid) -> None:
        own = (grid - np.array(body.origin, np.float32)) / np.float32(body.unit_px)
        x, y = own[..., 0], own[..., 1]
        self._x, self._y, self._grid, self._unit = x, y, grid, np.float32(body.unit_px)
        away = np.sqrt((x / _HEAD[0]) ** 2 + ((y - _HEAD_Y) / _HEAD[1]) ** 2)
        self._head = 1 - smooth((away - 1) / (_FADES - 1))
        chest = smooth((y - _SHOULDERS_FROM) / (_SHOULDERS_FULL - _SHOULDERS_FROM))
        chest *= 1 - smooth((np.abs(x) - _CHEST_HALF) / _CHEST_FADES)
        self._chest = chest * (1 - self._head)
        round_ = 1 - np.clip((x / 158) ** 2 + ((y - 4) / 208) ** 2, 0, 1)
        self._depth = (_TURNS * DEPTH * round_ * self._head).astype(np.float32)
        self._brows = _bump(x, y, -50.0) + _bump(x, y, 50.0)

    def sources(self, pose: Pose) -> Grid:
        """Where in the still picture each point of the grid takes its colour."""
        roll = math.radians(pose.roll)
        lever = self._y - np.float32(PIVOT_Y)
        across = np.float32(pose.x) - np.float32(roll) * lever
        down = np.float32(pose.y) + np.float32(roll) * self._x
        dx = self._head * across + np.float32(math.sin(math.radians(pose.yaw))) * self._depth
        dy = self._head * down + np.float32(math.sin(math.radians(pose.pitch))) * self._depth
        dy -= np.float32(_RISES * breath_level(pose.breath) / (BREATHS - 1)) * self._chest
        dy -= np.float32(_BROWS * pose.brow) * self._brows
        return self._grid - np.stack([dx, dy], axis=-1) * self._unit

    def chest(self, level: int) -> Grid:
        """As ``sources``, of a level of the breath alone."""
        dy = np.float32(-_RISES * level / (BREATHS - 1)) * self._chest
        return self._grid - np.stack([np.zeros_like(dy), dy], axis=-1) * self._unit


def breath_level(breath: float) -> int:
    """0 to ``BREATHS`` - 1."""
    return round(breath * (BREATHS - 1))


def _bump(x: Grid, y: Grid, middle: float) -> Grid:
    square = ((x - middle) / 58) ** 2 + ((y + 34) / 26) ** 2
    return np.asarray(np.clip(1 - square, 0, 1) ** 2, np.float32)
