"""From where in the face each point of a moved face takes its colour.

Two smooth fields, one for what is above the line between the lips and one for what is below, so
that the line itself stays sharp. Both are computed on a coarse grid. At the edge of ``reach`` they
are zero: what is warped joins what is not without a seam.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.photo.lips import NODES, Lips, Shape, Target

Grid = NDArray[np.floating[Any]]
"""Any shape; float32 wherever it matters for speed."""

_SIDE_ENDS = 2.25
"""In half widths of the mouth: as far aside the cheeks follow."""

_WIDTH_ENDS = 2.4
_JAW = 0.26
"""How far the chin falls in the widest opening, in units; the lips' gap is twice as high."""

_THIN = 0.30
"""How much thinner pressed lips get; rounded ones get half as much thicker."""


def reach(lips: Lips) -> tuple[float, float, float, float]:
    """Left, top, right and bottom, in units, outside of which nothing moves."""
    aside = _WIDTH_ENDS * max(lips.half, 0.5)
    return -aside, lips.nose * 1.02, aside, lips.chin * 1.45 + _JAW


@dataclass(frozen=True, slots=True)
class Sources:
    """Where to look, in units: x for both, y above and y below the line; ``below`` > 0 below it."""

    x: Grid
    upper: Grid
    lower: Grid
    below: Grid


def smooth(part: Grid) -> Grid:
    """0 to 1, flat at both ends; float32 whatever comes in."""
    part = np.clip(part, 0, 1)
    return np.asarray(part * part * (3 - 2 * part), np.float32)


def sources(lips: Lips, shape: Shape, to: Target, x: Grid, y: Grid) -> Sources:
    """The fields for a shape at points (x, y), any equal shapes."""
    upper_to, lower_to = (np.interp(x, NODES, c).astype(np.float32) for c in (to.upper, to.lower))
    from_x = _across(lips, to, x, y)
    inset = _inset(lips)
    upper_from = np.interp(from_x, NODES, lips.upper - inset).astype(np.float32)
    lower_from = np.interp(from_x, NODES, lips.lower + inset).astype(np.float32)
    away = np.abs(x) / np.float32(lips.half)
    side = np.where(away < 1.02, 1, 1 - smooth((away - 0.9) / (_SIDE_ENDS - 0.9)))
    side = side.astype(np.float32)
    above = _above(lips, shape, y, upper_to)
    beneath = _beneath(lips, shape, y, lower_to)
    top = np.float32(lips.nose * 0.92)
    near = smooth((y - top) / np.maximum(upper_to - top, 0.04))
    upper = y + ((upper_from - upper_to) - above) * near * side
    jaw = np.float32(_JAW * shape.open)
    far = smooth((y - lower_to) / np.float32(lips.chin * 0.55))
    end = 1 - smooth((y - (lips.chin + jaw)) / np.float32(lips.chin * 0.45))
    falls = (lower_from - lower_to) * (1 - far) - jaw * side * far
    lower = y + (falls + beneath * (1 - far)) * side * end
    return Sources(from_x, upper, lower, y - (upper_to + lower_to) / 2)


def _inset(lips: Lips) -> Grid:
    """How far inside their edges lips that were apart are taken, or teeth would shine through.

    More at the corners, whose dark lies outside of the landmarks; nothing beyond them.
    """
    away = np.abs(NODES) / np.float32(lips.half)
    corner = smooth((away - 0.6) / 0.3)
    inset = np.float32(min(0.012, lips.gap / 4)) + np.float32(min(0.045, lips.gap / 3)) * corner
    return np.asarray(inset * (1 - smooth((away - 0.97) / 0.2)), np.float32)


def _across(lips: Lips, to: Target, x: Grid, y: Grid) -> Grid:
    """Source x: scaled up to the corners, then easing back to where nothing moves."""
    half = np.float32(lips.half)
    k = to.half / lips.half
    away = np.abs(x) / half
    corner = 1.05 * k
    ease = np.clip((away - corner) / (_WIDTH_ENDS - corner), 0, 1)
    shift = np.where(
        away < corner, away * (1 / k - 1), (corner / k - corner) * (1 - ease) ** 2 * (1 + 2 * ease)
    )
    top = smooth((y - lips.nose * 1.02) / np.float32(-lips.nose * 0.85))
    bottom = 1 - smooth((y - lips.chin * 0.5) / np.float32(lips.chin * 0.75))
    return np.asarray(x + np.sign(x) * shift * half * top * bottom, np.float32)


def _above(lips: Lips, shape: Shape, y: Grid, edge: Grid) -> Grid:
    """How much further up to look for a thinner upper lip."""
    thinner = _THIN * (shape.press - 0.5 * shape.round)
    return _bump((edge - y) / np.float32(lips.upper_thick)) * np.float32(thinner * lips.upper_thick)


def _beneath(lips: Lips, shape: Shape, y: Grid, edge: Grid) -> Grid:
    """How much further down to look for a thinner lower lip; a tucked one is rolled in."""
    thinner = _THIN * (max(shape.press, 1.3 * shape.tuck) - 0.5 * shape.round)
    return _bump((y - edge) / np.float32(lips.lower_thick)) * np.float32(thinner * lips.lower_thick)


def _bump(at: Grid) -> Grid:
    """0 at the lip's inner edge, 1 at its outer one, soon 0 beyond."""
    at = np.clip(at, 0, 6)
    return np.asarray(at * at * np.exp(2 - 2 * at), np.float32)
