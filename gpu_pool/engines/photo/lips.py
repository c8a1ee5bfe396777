"""The mouth of one picture in its own coordinates, and the shape that it is to take.

Coordinates: origin in the middle between the corners, x along the eyes to the picture's right, y
down, one unit the resting mouth's width. So nothing below depends on the size of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.face.points import (
    BOTTOM_OF_LIPS,
    CHIN,
    INNER_LOWER,
    INNER_UPPER,
    LEFT_LID,
    LEFT_LOWER_LID,
    NOSE_BASE,
    RIGHT_LID,
    RIGHT_LOWER_LID,
    TOP_OF_LIPS,
)
from gpu_pool.engines.face.values import Points
from gpu_pool.engines.presenter.values import Mouth

Curve = NDArray[np.float32]

UPPER_PART = 0.45
"""Where lips that were apart meet: this far down from the upper one."""

_NODES = 129
_REACH = 1.5
"""Curves are tabled for x from -``_REACH`` to ``_REACH``; beyond they stay as they are."""

NODES = np.linspace(-_REACH, _REACH, _NODES, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Lips:
    """One mouth.

    Attributes:
        centre: (2,) in pixels.
        turn: (2, 2), rows are the directions of x and y in pixels.
        unit_px: pixels per unit.
        half: half of the mouth's own width.
        upper, lower: y of the lips' inner edges over ``NODES``.
        upper_thick, lower_thick: height of the lips in the middle.
        nose, chin: y of the base of the nose (negative) and of the chin.
    """

    centre: NDArray[np.float32]
    turn: NDArray[np.float32]
    unit_px: float
    half: float
    upper: Curve
    lower: Curve
    upper_thick: float
    lower_thick: float
    nose: float
    chin: float

    @classmethod
    def of(cls, points: Points, unit_px: float) -> Lips:
        """The mouth among a face's points, (POINTS, 2) in pixels."""
        left, right = points[INNER_UPPER.start], points[INNER_UPPER.stop - 1]
        eyes = [
            np.concatenate([points[one], points[two]]).mean(axis=0)
            for one, two in ((LEFT_LID, LEFT_LOWER_LID), (RIGHT_LID, RIGHT_LOWER_LID))
        ]
        across = eyes[1] - eyes[0]
        across = across / np.hypot(*across)
        turn = np.array([across, [-across[1], across[0]]], np.float32)
        centre = (left + right) / 2
        own = (points - centre) @ turn.T / np.float32(unit_px)
        upper, lower = own[INNER_UPPER], own[INNER_LOWER]
        top, bottom = _curve(upper), _curve(lower)
        bottom = np.maximum(top, bottom)
        middle = len(NODES) // 2
        return cls(
            centre=centre.astype(np.float32),
            turn=turn,
            unit_px=unit_px,
            half=float(upper[-1, 0] - upper[0, 0]) / 2,
            upper=top,
            lower=bottom,
            upper_thick=max(0.04, float(top[middle] - own[TOP_OF_LIPS, 1])),
            lower_thick=max(0.05, float(own[BOTTOM_OF_LIPS, 1] - bottom[middle])),
            nose=min(-0.2, float(own[NOSE_BASE, 1])),
            chin=max(0.4, float(own[CHIN, 1])),
        )

    @property
    def gap(self) -> float:
        """How far the lips are apart in the middle."""
        return float((self.lower - self.upper).max())

    @property
    def closed(self) -> Curve:
        """Where the lips meet, over ``NODES``."""
        return self.upper + np.float32(UPPER_PART) * (self.lower - self.upper)


def _curve(edge: Points) -> Curve:
    """A lip's edge over ``NODES``, through its points without corners between them."""
    x = np.maximum.accumulate(edge[:, 0])
    table = np.interp(NODES, x, edge[:, 1])
    kernel = np.array([1, 2, 3, 2, 1], np.float64) / 9
    inside = np.convolve(np.pad(table, 2, mode="edge"), kernel, mode="valid")
    return inside.astype(np.float32)


MOST_OPEN, MOST_WIDE, MOST_ROUND = 0.75, 0.7, 0.8
"""Past these a photograph turns into a cartoon."""

_FREE_OPEN = 0.5
"""Up to here the mouth opens as it is told; beyond, half as far."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the mouth does, capped."""

    open: float
    wide: float
    round: float
    press: float
    tuck: float
    tongue: float

    @classmethod
    def of(cls, mouth: Mouth, weight: float = 1.0) -> Shape:
        """The shape for a row of the mouth track, ``weight`` of the way from rest."""
        told, wide, round_, press, tuck, tongue = (
            min(1.0, max(0.0, value)) * weight
            for value in (
                mouth.open, mouth.wide, mouth.round, mouth.press, mouth.tuck, mouth.tongue
            )
        )  # fmt: skip
        knee = (MOST_OPEN - _FREE_OPEN) / (1 - _FREE_OPEN)
        opening = min(told, _FREE_OPEN) + max(0.0, told - _FREE_OPEN) * knee
        return cls(opening, min(wide, MOST_WIDE), min(round_, MOST_ROUND), press, tuck, tongue)

    def half_width(self) -> float:
        """Half of the mouth's width, in units."""
        return 0.5 * (1 + 0.08 * self.wide - 0.27 * self.round - 0.05 * self.open)


@dataclass(frozen=True, slots=True)
class Target:
    """Edges of the lips as they shall be, over ``NODES``, and the mouth's half width."""

    upper: Curve
    lower: Curve
    half: float

    @property
    def gap(self) -> float:
        """How far the lips are apart in the middle."""
        return float((self.lower - self.upper).max())


def target(lips: Lips, shape: Shape) -> Target:
    """Where the lips' edges go: of the gap 22 % up and 78 % down, as jaws do."""
    half = shape.half_width()
    part = np.clip(1 - (NODES / np.float32(half)) ** 2, 0, 1)
    profile = part ** np.float32(0.62 - 0.15 * shape.round)
    gap = np.float32(shape.open * (0.50 - 0.08 * shape.round))
    own = np.interp(NODES * (lips.half / half), NODES, lips.closed).astype(np.float32)
    return Target(own - 0.22 * gap * profile, own + 0.78 * gap * profile, half)
