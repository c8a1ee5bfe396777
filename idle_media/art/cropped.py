"""A hair style: short at the sides, swept over from a side part; the ears show."""

from __future__ import annotations

import math
import random

from idle_media.art.curves import sampled, smooth
from idle_media.art.face import outline
from idle_media.art.locks import Lock, draw_lock
from idle_media.art.palette import Look
from idle_media.art.svg import Canvas, Linear, Point, even

_CAP: list[Point] = [
    (-95, 8), (-101, -8), (-107, -44), (-108, -88), (-98, -130), (-72, -164), (-32, -183),
    (14, -188),
    (58, -178), (92, -148), (107, -104), (108, -52), (102, -8), (95, 8), (93.5, -14),
    (91, -46), (84, -78),
    (62, -98), (20, -106), (-30, -104), (-64, -96), (-84, -76), (-91, -46), (-93.5, -14),
]  # fmt: skip
_SWEEP_IN: list[Point] = [
    (-76, -92),
    (-52, -106),
    (-16, -115),
    (26, -116),
    (64, -104),
    (88, -80),
    (99, -48),
]
_SWEEP_OUT: list[Point] = [
    (-88, -122),
    (-72, -160),
    (-34, -188),
    (16, -197),
    (64, -186),
    (99, -146),
    (107, -62),
]
_EAR: list[Point] = [
    (92, -12),
    (103, -21),
    (112, -17),
    (114, -2),
    (109, 16),
    (103, 34),
    (96, 42),
    (90, 34),
]


def draw_back(canvas: Canvas, look: Look) -> None:
    """Nothing hangs behind the neck."""


def draw_under(canvas: Canvas, look: Look) -> None:
    """Both ears."""
    skin = look.skin
    for side in (-1, 1):
        with canvas.moved(mirror=side < 0):
            ear = smooth(_EAR, closed=True)
            tones = (skin.base, skin.warm) if side < 0 else (skin.warm, skin.shade)
            canvas.fill(ear, Linear((94, -10), (112, 36), even(*tones)))
            with canvas.clip(ear):
                fold = [(97, 30), (101, 14), (108, 0), (105, -12), (97, -8)]
                canvas.stroke(smooth(fold), skin.deep, 4, 0.42, 2)
                canvas.stroke(smooth([(110, -14), (112, 0), (106, 22)]), skin.glow, 2.4, 0.5, 1.2)
                canvas.fill(
                    smooth([(90, -4), (98, 2), (99, 16), (92, 26)], closed=True), skin.deep, 0.6, 3
                )


def draw_front(canvas: Canvas, look: Look) -> None:
    """The short sides, then the sweep with its shadow on the forehead."""
    hair, dice = look.hair, random.Random(look.seed)
    cap = smooth(_CAP, closed=True, tension=0.9)
    canvas.fill(
        cap, Linear((-108, 0), (108, -120), even(hair.base, hair.dark, hair.dark)), 1.0, 0.8
    )
    _draw_sides(canvas, look, dice)
    skin = smooth(outline(look.bones), closed=True)
    draw_lock(
        canvas, hair, Lock(_SWEEP_IN, _SWEEP_OUT, 150, 1.0, (-172,), 26, 0.0, 0.55), dice, skin
    )
    for start, width in ((0.10, 0.34), (0.46, 0.30), (0.70, 0.24)):
        draw_lock(canvas, hair, _strand(start, width), dice, skin + cap)
    crown = [(-66, -146), (-24, -168), (26, -172), (70, -150)]
    canvas.stroke(smooth(crown), hair.light, 20, 0.40, 9)
    canvas.stroke(smooth([(-52, -156), (-16, -170), (14, -173)]), hair.shine, 8, 0.30, 4)
    canvas.stroke(
        smooth([(58, -176), (92, -147), (106, -104), (107, -52)]), hair.rim, 2.6, 0.55, 1.8
    )
    canvas.stroke(smooth([(-77, -94), (-84, -110), (-86, -126)]), hair.dark, 2.0, 0.7, 0.8)


def _strand(start: float, width: float) -> Lock:
    inner, outer = [], []
    count = len(_SWEEP_IN)
    for index, (p, q) in enumerate(zip(_SWEEP_IN, _SWEEP_OUT, strict=True)):
        part = index / (count - 1)
        low = start + 0.06 * math.sin(part * 4)
        high = low + width * math.sin(math.pi * (0.06 + 0.90 * part))
        inner.append((p[0] + (q[0] - p[0]) * low, p[1] + (q[1] - p[1]) * low))
        outer.append((p[0] + (q[0] - p[0]) * high, p[1] + (q[1] - p[1]) * high))
    return Lock(inner, outer, 40, 0.9, (-168,), 24, 0.0, 0.30)


def _draw_sides(canvas: Canvas, look: Look, dice: random.Random) -> None:
    """Short hairs that thin out towards the ears."""
    hair = look.hair
    for side in (-1, 1):
        outer = sampled(
            [(side * 107, -110), (side * 108, -52), (side * 101, -2), (side * 96, 12)], 40
        )
        inner = sampled([(side * 80, -92), (side * 90, -52), (side * 92, -4), (side * 90, 12)], 40)
        for _ in range(420):
            index = dice.randrange(0, 38)
            t = dice.random()
            (ax, ay), (bx, by) = inner[index], outer[index]
            x, y = ax + (bx - ax) * t, ay + (by - ay) * t
            length = dice.uniform(4, 8)
            tone = dice.choice((hair.dark, hair.dark, hair.base, hair.mid, hair.light))
            alpha = 0.55 * (1 - 0.72 * index / 40)
            canvas.stroke(smooth([(x, y), (x - side * 0.6, y + length)]), tone, 0.8, alpha)
