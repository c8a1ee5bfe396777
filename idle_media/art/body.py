"""Neck, chest and clothes, from the chin down to the waist (y 640, which a portrait needs)."""

from __future__ import annotations

from idle_media.art.curves import ellipse, mirrored, smooth
from idle_media.art.outfits import STYLES
from idle_media.art.palette import Look
from idle_media.art.svg import Canvas, Linear, Point, even

_NECK: list[Point] = [
    (0, 60),
    (45, 78),
    (45, 130),
    (47, 166),
    (62, 190),
    (96, 208),
    (120, 226),
    (92, 300),
    (40, 392),
    (0, 440),
]


def draw_body(canvas: Canvas, look: Look) -> None:
    """Everything below the head."""
    _draw_neck(canvas, look)
    STYLES[look.clothes_style](canvas, look)


def _draw_neck(canvas: Canvas, look: Look) -> None:
    skin = look.skin
    wide = look.bones.neck
    neck = [(x * (wide if y < 180 else 1.0), y) for x, y in _NECK]
    path = smooth(neck + mirrored(neck)[1:-1], closed=True, tension=0.9)
    canvas.fill(path, Linear((-80, 90), (90, 200), even(skin.base, skin.warm, skin.shade)))
    with canvas.clip(path):
        canvas.fill(ellipse(-40, 262, 50, 60), skin.glow, 0.34, 18)
        far: list[Point] = [(60, 60), (24, 100), (20, 170), (44, 214), (140, 250), (140, 60)]
        canvas.fill(smooth(far, closed=True), skin.deep, 0.34, 11)
        chin: list[Point] = [
            (-80, 60),
            (80, 60),
            (80, 150),
            (44, 186),
            (6, 190),
            (-34, 170),
            (-80, 132),
        ]
        canvas.fill(smooth(chin, closed=True), skin.deep, 0.56, 11)
        core: list[Point] = [
            (-60, 60),
            (60, 60),
            (58, 136),
            (28, 164),
            (-4, 166),
            (-36, 150),
            (-60, 120),
        ]
        canvas.fill(smooth(core, closed=True), "5E2A1E", 0.50, 8)
        for side, alpha in ((-1, 0.30), (1, 0.36)):
            tendon = [(side * 40, 146), (side * 33, 186), (side * 20, 218), (side * 8, 240)]
            canvas.stroke(smooth(tendon), skin.deep, 6, alpha, 4)
            bone = [(side * 112, 226), (side * 70, 230), (side * 34, 238), (side * 10, 248)]
            canvas.stroke(smooth(bone), skin.glow, 5, 0.50 if side < 0 else 0.34, 3.4)
            under = [(x, y + 9) for x, y in bone]
            canvas.stroke(smooth(under), skin.deep, 4.4, 0.28, 3.6)
        canvas.fill(ellipse(0, 246, 9, 6), skin.deep, 0.36, 4)
