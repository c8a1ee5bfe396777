"""What a caller says of the presenter's face: the mouth and the small gestures of talking."""

from __future__ import annotations

from dataclasses import dataclass


class AtlasError(ValueError):
    """An atlas is missing, damaged, of another format, or of the other orientation."""


@dataclass(frozen=True, slots=True)
class Mouth:
    """Every field 0..1; values outside are clipped. All zero is the mouth at rest, closed."""

    open: float = 0.0
    """Gap between the lips; the jaw follows."""
    wide: float = 0.0
    """Corners drawn apart, as in "ee"."""
    round: float = 0.0
    """Lips pushed forward, as in "oo"."""
    press: float = 0.0
    """Lips pressed together: p, b, m."""
    tuck: float = 0.0
    """Lower lip under the upper teeth: f, v."""
    tongue: float = 0.0
    """Tip of the tongue at the upper teeth: th, n, d, l."""


@dataclass(frozen=True, slots=True)
class Gesture:
    """Every field -1..1, clipped; all zero leaves the idle pose as it is."""

    brow: float = 0.0
    """Brows up; negative lowers them."""
    nod: float = 0.0
    """Chin down."""
    tilt: float = 0.0
    """Head towards the picture's right shoulder."""
    turn: float = 0.0
    """Face towards the picture's right."""


REST = Mouth()
STILL = Gesture()
