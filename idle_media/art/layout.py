"""Where things lie: the two compositions, the boxes of the sprites, the steps of the mouth.

Boxes are in pixels of the full-size atlas, counted from the point between the eyes. All edges are
even, so that planes of half size (chroma) line up.
"""

from __future__ import annotations

from dataclasses import dataclass

from idle_media.art.mouth import Shape
from idle_media.art.svg import Point


@dataclass(frozen=True, slots=True)
class Composition:
    """One orientation, at the size that is baked."""

    name: str
    width: int
    height: int
    scale: float
    """Pixels per head unit."""
    head: tuple[int, int]
    """Pixel between the eyes."""
    frame_units: float
    """Pixels of the atlas per unit of the studio's drawing."""


LANDSCAPE = Composition("landscape", 1920, 1080, 1.85, (960, 448), 1.5)
PORTRAIT = Composition("portrait", 1080, 1920, 2.04, (540, 620), 1.5)


@dataclass(frozen=True, slots=True)
class Box:
    """Left, top, width, height in pixels from the point between the eyes."""

    left: int
    top: int
    width: int
    height: int

    def view(self, scale: float) -> tuple[float, float, float, float]:
        """The same box in head units."""
        return (self.left / scale, self.top / scale, self.width / scale, self.height / scale)


def _box(scale: float, left: float, top: float, right: float, bottom: float) -> Box:
    def even(value: float) -> int:
        return 2 * round(value * scale / 2)

    return Box(even(left), even(top), even(right) - even(left), even(bottom) - even(top))


def head_box(comp: Composition) -> Box:
    """Face and front hair."""
    return _box(comp.scale, -186, -196, 186, 290)


def mouth_box(comp: Composition) -> Box:
    """All that changes with the mouth, in a head whose jaw is shut."""
    return _box(comp.scale, -58, 62, 58, 148)


def eyes_box(comp: Composition) -> Box:
    """Both eyes with their lids and lashes."""
    return _box(comp.scale, -86, -30, 86, 26)


def body_box(comp: Composition) -> Box:
    """Neck, hair behind it, clothes; a little more than the frame shows below."""
    reach = min(310.0, (comp.width / 2 + 12) / comp.scale)
    low = (comp.height - comp.head[1]) / comp.scale + 8
    return _box(comp.scale, -reach, 24, reach, low)


def boxes(comp: Composition) -> dict[str, Box]:
    """All of them by name."""
    return {
        "body": body_box(comp),
        "head": head_box(comp),
        "mouth": mouth_box(comp),
        "eyes": eyes_box(comp),
    }


OPEN_STEPS = (0.0, 0.04, 0.09, 0.15, 0.22, 0.29, 0.37, 0.46, 0.55, 0.65, 0.75, 0.87, 1.0)
SPREAD_STEPS = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)
LID_STEPS = (*(round(0.86 * step / 12, 3) for step in range(13)), 0.93, 1.0)
"""Fine, because a lash line between two steps shows twice; 0.86 is the height at rest."""
GAZE_STEPS = (-1.0, 0.0, 1.0)
GAZE_UNIT = 0.42
"""What a gaze of 1 means in the drawing: a glance just beside the lens."""

PRESS_SPREADS = (-0.67, 0.0, 0.67)
TUCK_OPENS = (0.14, 0.30)
TONGUE_OPENS = (0.16, 0.32, 0.55)


def mouth_shapes() -> dict[str, list[Shape]]:
    """Every mouth of the atlas, in groups; the grid runs through ``spread`` fastest."""
    return {
        "grid": [Shape(opening, spread) for opening in OPEN_STEPS for spread in SPREAD_STEPS],
        "press": [Shape(0.0, spread, press=1.0) for spread in PRESS_SPREADS],
        "tuck": [Shape(opening, 0.1, tuck=1.0) for opening in TUCK_OPENS],
        "tongue": [Shape(opening, 0.15, tongue=1.0) for opening in TONGUE_OPENS],
    }


def size_in_units(comp: Composition) -> tuple[float, float]:
    """Width and height of the studio's drawing."""
    return (comp.width / comp.frame_units, comp.height / comp.frame_units)


def origin_in_units(comp: Composition) -> Point:
    """Where the point between the eyes lies in the studio's drawing."""
    return (comp.head[0] / comp.frame_units, comp.head[1] / comp.frame_units)
