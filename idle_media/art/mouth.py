"""The mouth in any shape, with the skin that moves along with it.

It is drawn for a head whose jaw is shut: at run time the lower face is stretched downwards when the
mouth opens (``JAW_DROP``), so everything below the mouth line is drawn as much shorter here.
"""

from __future__ import annotations

from dataclasses import dataclass

from idle_media.art.curves import ellipse, smooth
from idle_media.art.palette import Look
from idle_media.art.svg import Canvas, Linear, Point, Radial, even, fade

LINE_Y, CHIN_Y = 95.0, 152.0
JAW_DROP = 14.0
"""Units that the chin falls when the mouth is open as far as it goes."""

_HALF_WIDTH = 36.0
_GAPE = 31.0
"""Units between the lips of a mouth wide open."""


@dataclass(frozen=True, slots=True)
class Shape:
    """All 0..1, as at run time; ``spread`` is wide (+1) to round (-1)."""

    open: float = 0.0
    spread: float = 0.0
    press: float = 0.0
    tuck: float = 0.0
    tongue: float = 0.0


def jaw_drop(opening: float, spread: float) -> float:
    """Units that the chin falls; the run time's ``warp`` uses the same rule."""
    return JAW_DROP * opening * (1 - 0.25 * max(0.0, -spread))


@dataclass(frozen=True, slots=True)
class _Lips:
    """Where the four contours run."""

    half: float
    corner_y: float
    upper_y: float
    lower_y: float
    upper_thick: float
    lower_thick: float
    gap: float
    stretch: float
    round: float

    def fall(self, y: float) -> float:
        """From where a thing shall be seen to where it is drawn."""
        return y if y <= LINE_Y else LINE_Y + (y - LINE_Y) / self.stretch

    def path(self, points: list[Point]) -> list[Point]:
        return [(x, self.fall(y)) for x, y in points]

    def across(self, middle: float, dip: float, lean: float, shoulder: float) -> list[Point]:
        """A contour from corner to corner.

        At 0.62 of the half width it has gone ``lean`` of the way from the corner to ``middle``;
        ``dip`` is added in the very middle.
        """
        w, c = self.half, self.corner_y
        near = c + (middle - c) * lean
        right = [(0.0, middle + dip), (w * shoulder, middle), (w * 0.62, near), (w, c)]
        return self.path([(-x, y) for x, y in right[:0:-1]] + right)

    @property
    def inner_upper(self) -> list[Point]:
        opened = min(1.0, self.gap / 12)
        return self.across(self.upper_y, 1.6 - 0.9 * opened, 0.72 + 0.06 * self.round, 0.24)

    @property
    def inner_lower(self) -> list[Point]:
        opened = min(1.0, self.gap / 12)
        return self.across(
            self.lower_y, 1.6 - 1.3 * opened, 0.72 + (0.07 + 0.05 * self.round) * opened, 0.24
        )

    @property
    def outer_upper(self) -> list[Point]:
        thick = self.upper_thick
        return self.across(self.upper_y - thick, thick * 0.26, 0.66 + 0.10 * self.round, 0.20)

    @property
    def outer_lower(self) -> list[Point]:
        return self.across(self.lower_y + self.lower_thick, 0.5, 0.74 + 0.06 * self.round, 0.26)


def _lips(shape: Shape, look: Look) -> _Lips:
    wide, round_ = max(0.0, shape.spread), max(0.0, -shape.spread)
    full = look.features.lip_full
    gap = _GAPE * shape.open * (1 - 0.12 * round_)
    upper = (8.6 + 2.6 * round_ - 1.5 * wide - 0.6 * shape.open) * (1 - 0.55 * shape.press) * full
    lower = (11.4 + 2.4 * round_ - 1.9 * wide - 1.4 * shape.open) * full
    lower *= (1 - 0.42 * shape.press) * (1 - 0.42 * shape.tuck)
    smile = 4.6 * (1 - 0.75 * round_) + 1.7 * wide
    return _Lips(
        half=_HALF_WIDTH
        * (1 + 0.15 * wide - 0.36 * round_ - 0.05 * shape.open - 0.02 * shape.press),
        corner_y=LINE_Y - smile + gap * 0.20,
        upper_y=LINE_Y - gap * 0.22 - 0.9 * shape.tuck,
        lower_y=LINE_Y + gap * 0.78 - 0.8 * shape.tuck,
        upper_thick=upper,
        lower_thick=lower,
        gap=gap,
        stretch=1 + jaw_drop(shape.open, shape.spread) / (CHIN_Y - LINE_Y),
        round=round_,
    )


def _between(upper: list[Point], lower: list[Point]) -> str:
    return smooth(upper, tension=0.95) + " L" + smooth(lower[::-1], tension=0.95)[1:] + "Z"


def draw_mouth(canvas: Canvas, look: Look, shape: Shape) -> None:
    """Skin around the mouth, then what is inside, then the lips."""
    lips = _lips(shape, look)
    _draw_skin(canvas, look, lips, shape)
    # no skin may shine through where lips and inside meet
    whole = _between(lips.outer_upper, lips.outer_lower)
    canvas.fill(whole, look.features.lip_dark, 1.0, 0.3)
    if lips.gap > 0.3:
        with canvas.clip(_between(lips.inner_upper, lips.inner_lower)):
            _draw_inside(canvas, lips, shape)
    _draw_lips(canvas, look, lips)
    shut = max(0.0, 1 - lips.gap / 3.0)
    if shut > 0:
        seam = smooth([(x * 1.01, y + 0.1) for x, y in lips.inner_upper], tension=0.95)
        canvas.stroke(seam, "5E1F27", 1.9, 0.85 * shut, 0.45)
        canvas.stroke(seam, look.features.lip_dark, 3.6, 0.35 * shut, 1.2)


def _draw_skin(canvas: Canvas, look: Look, lips: _Lips, shape: Shape) -> None:
    skin = look.skin
    low = lips.fall(lips.lower_y + lips.lower_thick)
    canvas.fill(ellipse(0, low + 6.5, lips.half * 0.56, 4.6), skin.deep, 0.34, 3.8)
    canvas.fill(ellipse(-2, low + 15, lips.half * 0.40, 4.0), skin.glow, 0.22, 4)
    wide = max(0.0, shape.spread)
    for side, alpha in ((-1, 0.20), (1, 0.26)):
        corner = (side * (lips.half + 1.2), lips.corner_y + 0.2)
        canvas.fill(ellipse(*corner, 3.6, 2.8), skin.deep, 0.46, 2.0)
        bow = lips.half + 9 + 2 * wide
        fold = [(side * (bow - 4), lips.corner_y - 11), (side * bow, lips.corner_y - 3),
                (side * (bow - 1), lips.fall(lips.corner_y + 7 + 0.2 * lips.gap))]  # fmt: skip
        canvas.stroke(
            smooth(fold), skin.deep, 2.6, alpha * (0.75 + 0.8 * wide) * (1 - 0.75 * lips.round), 2.2
        )
        cheek = [(side * 27, 60), (side * 39, 70), (side * (bow + 1), lips.corner_y - 9)]
        canvas.stroke(smooth(cheek), skin.deep, 3.6, 0.17 + 0.12 * wide, 3.0)
    # a light edge around the upper lip makes it stand out from the skin
    canvas.stroke(smooth(lips.outer_upper, tension=0.95), skin.glow, 2.2, 0.40, 1.3)


def _draw_inside(canvas: Canvas, lips: _Lips, shape: Shape) -> None:
    w, top, low = lips.half, lips.upper_y, lips.fall(lips.lower_y)
    dark = Linear((0, top), (0, low), even("1E070B", "3C1016", "5A1B20"))
    canvas.fill(ellipse(0, (top + low) / 2, w * 1.3, 44), dark)
    _draw_tongue(canvas, lips, shape)
    if lips.gap > 6 and shape.tuck < 0.5:
        edge = low - 2.6 * min(1.0, (lips.gap - 6) / 8)
        teeth = [
            (-w * 0.50, low + 8),
            (-w * 0.44, edge + 0.8),
            (0, edge),
            (w * 0.44, edge + 0.8),
            (w * 0.50, low + 8),
        ]
        canvas.fill(
            smooth(teeth),
            Linear((0, edge), (0, edge + 5), even("D8CCC6", "A8958F")),
            0.85 * (1 - 0.8 * lips.round),
        )
    _draw_teeth(canvas, lips, shape)


def _draw_tongue(canvas: Canvas, lips: _Lips, shape: Shape) -> None:
    w, low = lips.half, lips.fall(lips.lower_y)
    top = low - 1.5 - 0.16 * lips.gap - shape.tongue * (1.0 + lips.gap * 0.26)
    wide = w * (0.66 - 0.12 * lips.round - 0.12 * shape.tongue)
    paint = Radial((-3, top + 3), w * 0.8, even("EE9C94", "CC6A68", "8C3A40"))
    body: list[Point] = [
        (-wide, low + 14), (-wide * 0.92, top + 4), (-wide * 0.4, top), (0, top + 0.8),
        (wide * 0.4, top), (wide * 0.92, top + 4), (wide, low + 14),
    ]  # fmt: skip
    canvas.fill(smooth(body), paint, 1.0, 0.7)
    canvas.stroke(smooth([(0, top + 3), (0, top + 13)]), "8E3B42", 1.5, 0.45, 1.2)
    canvas.fill(ellipse(-wide * 0.3, top + 3.4, wide * 0.26, 1.5), "FFD8D0", 0.5, 1.0)


def _draw_teeth(canvas: Canvas, lips: _Lips, shape: Shape) -> None:
    """The upper row does not move with the jaw; rounding draws the lip down over it."""
    w, top = lips.half, lips.upper_y
    edge = LINE_Y + 3.4 - 9.5 * lips.round
    edge = min(edge, top + lips.gap * (0.66 - 0.20 * shape.tongue))
    if shape.tuck > 0:
        edge = max(edge, lips.fall(lips.lower_y) + 1.5 * shape.tuck)
    half = w * 0.84
    row: list[Point] = [
        (-half * 1.04, top - 12), (-half, edge - 4.6), (-half * 0.62, edge - 1.1),
        (-half * 0.2, edge),
        (half * 0.2, edge), (half * 0.62, edge - 1.1), (half, edge - 4.6), (half * 1.04, top - 12),
    ]  # fmt: skip
    area = smooth(row, closed=True, tension=0.8)
    canvas.fill(
        area, Linear((0, top - 1), (0, edge), even("C9BDB8", "F3EEE9", "FCFAF7")), 1.0, 0.25
    )
    with canvas.clip(area):
        for x in (-0.66, -0.44, -0.225, 0.0, 0.225, 0.44, 0.66):
            gap_line = smooth([(x * half, top - 6), (x * half * 0.99, edge + 1)])
            canvas.stroke(gap_line, "A6958F", 0.8, 0.20 + 0.25 * abs(x), 0.3)
        for side in (-1, 1):
            canvas.fill(ellipse(side * half, edge - 5, half * 0.34, 14), "3A1013", 0.62, 4)
        lip_shadow = [(x, y + 1.6) for x, y in lips.inner_upper]
        canvas.stroke(smooth(lip_shadow), "3A1013", 4.2, 0.46, 1.8)


def _draw_lips(canvas: Canvas, look: Look, lips: _Lips) -> None:
    tone = look.features
    top, upper = lips.upper_y - lips.upper_thick, lips.upper_y
    inner, low = lips.fall(lips.lower_y), lips.fall(lips.lower_y + lips.lower_thick)
    above = _between(lips.outer_upper, lips.inner_upper)
    below = _between(lips.inner_lower, lips.outer_lower)
    canvas.fill(
        above,
        Linear((0, top), (0, upper + 1.5), even(tone.lip, tone.lip, tone.lip_dark)),
        1.0,
        0.35,
    )
    paint = Linear((0, inner), (0, low), even(tone.lip_dark, tone.lip, tone.lip_light, tone.lip))
    canvas.fill(below, paint, 1.0, 0.35)
    w, thick = lips.half, low - inner
    with canvas.clip(above):
        canvas.fill(ellipse(-w * 0.24, top + 2.0, w * 0.24, 1.6, -10), "FFE3DC", 0.42, 1.3)
        canvas.fill(ellipse(w * 0.26, top + 2.2, w * 0.18, 1.4, 10), "FFE3DC", 0.24, 1.3)
        canvas.fill(ellipse(w * 0.7, upper - 3, w * 0.4, 4), tone.lip_dark, 0.30, 3)
    with canvas.clip(below):
        canvas.fill(
            ellipse(w * 0.72, (inner + low) / 2, w * 0.36, thick * 0.6), tone.lip_dark, 0.38, 3
        )
        canvas.fill(
            ellipse(-w * 0.76, (inner + low) / 2, w * 0.26, thick * 0.6), tone.lip_dark, 0.26, 3
        )
        for x in (-0.58, -0.42, -0.27, -0.13, 0.0, 0.13, 0.27, 0.42, 0.58):
            crease = smooth([(x * w, inner + thick * 0.15), (x * w * 0.93, low - thick * 0.1)])
            canvas.stroke(crease, tone.lip_dark, 0.8, 0.20, 0.4)
        shine = Radial((-w * 0.15, inner + thick * 0.48), w * 0.45, fade("FFF0EC", 0.85, 0.0))
        canvas.fill(
            ellipse(-w * 0.15, inner + thick * 0.46, w * 0.32, thick * 0.17), shine, 1.0, 1.0
        )
        canvas.fill(
            ellipse(w * 0.24, inner + thick * 0.50, w * 0.13, thick * 0.12), "FFF0EC", 0.36, 1.1
        )
    edge = smooth(lips.outer_lower, tension=0.95)
    canvas.stroke(edge, look.skin.deep, 1.2, 0.22, 0.9)
