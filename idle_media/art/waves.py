"""A hair style: long waves with a side part, over the shoulders."""

from __future__ import annotations

import math
import random

from idle_media.art.curves import between, sampled, smooth
from idle_media.art.face import outline
from idle_media.art.locks import STEPS, Lock, contours, draw_lock, swing
from idle_media.art.palette import Hair, Look
from idle_media.art.svg import Canvas, Linear, Point, even

_PART: Point = (-30, -130)
_CROWN: Point = (-22, -181)

_RIGHT_IN: list[Point] = [
    _PART, (10, -110), (58, -88), (89, -46), (100, 4), (105, 52), (98, 100), (97, 146), (106, 190),
    (108, 226), (98, 255), (78, 275),
]  # fmt: skip
_RIGHT_OUT: list[Point] = [
    _CROWN, (42, -190), (102, -160), (133, -98), (141, -28), (143, 40), (152, 96), (166, 146),
    (176, 194), (168, 234), (136, 265), (78, 275.5),
]  # fmt: skip
_LEFT_IN: list[Point] = [
    _PART, (-46, -112), (-76, -86), (-95, -46), (-101, 4), (-105, 52), (-99, 100), (-98, 146),
    (-108, 190), (-110, 224), (-100, 249), (-80, 267),
]  # fmt: skip
_LEFT_OUT: list[Point] = [
    _CROWN, (-64, -179), (-111, -146), (-134, -92), (-142, -26), (-145, 42), (-155, 98),
    (-169, 146), (-178, 192), (-170, 230), (-140, 257), (-80, 267.5),
]  # fmt: skip
_WAVE = 7.0


def draw_back(canvas: Canvas, look: Look) -> None:
    """The dark mass behind the neck."""
    hair, dice = look.hair, random.Random(look.seed)
    shape: list[Point] = [
        (0, -150), (96, -120), (124, -30), (128, 60), (140, 130), (142, 200), (110, 246), (60, 232),
        (0, 226), (-60, 232), (-110, 244), (-144, 200), (-140, 130), (-128, 60), (-124, -30),
        (-96, -120),
    ]  # fmt: skip
    body = smooth(shape, closed=True)
    canvas.fill(body, Linear((-140, 0), (150, 120), even(hair.base, hair.dark, hair.dark)))
    with canvas.clip(body):
        for side in (-1, 1):
            for _ in range(46):
                x = dice.uniform(40, 140)
                points = [swing((side * (x * 0.9 + 6 * k), -20 + 44 * k), 4) for k in range(7)]
                tone = dice.choice((hair.dark, hair.base, hair.mid))
                canvas.stroke(smooth(points), tone, dice.uniform(0.8, 2.4), 0.42)
        neck: list[Point] = [(-84, 20), (84, 20), (96, 140), (74, 250), (-74, 250), (-96, 140)]
        canvas.fill(smooth(neck, closed=True), "0B0403", 0.86, 15)


def draw_front(canvas: Canvas, look: Look) -> None:
    """Both sides of the part with tresses of their own on top."""
    hair, dice = look.hair, random.Random(look.seed + 1)
    left = Lock(_LEFT_IN, _LEFT_OUT, 130, 1.0, (-104, 150), 44, _WAVE, 0.50)
    right = Lock(_RIGHT_IN, _RIGHT_OUT, 150, 0.85, (-112, 148), 40, _WAVE, 0.50)
    shoulders = "M-186,228 L186,228 186,320 -186,320Z"
    skin = smooth(outline(look.bones), closed=True) + shoulders
    whole = skin
    for lock in (left, right):
        draw_lock(canvas, hair, lock, dice, skin)
        inner, outer = contours(lock)
        whole += smooth(inner + outer[::-1], closed=True)
    for side, start, width, light in (
        (-1, 0.12, 0.30, 1.0),
        (1, 0.10, 0.26, 0.9),
        (-1, 0.62, 0.24, 0.9),
        (1, 0.58, 0.26, 0.8),
    ):
        guides = (_LEFT_IN, _LEFT_OUT) if side < 0 else (_RIGHT_IN, _RIGHT_OUT)
        draw_lock(canvas, hair, _tress(guides, start, width, light), dice, whole)
    _draw_volume(canvas, hair)
    _draw_rims(canvas, hair)
    canvas.stroke(smooth([_PART, (-30, -148), (-25, -166), _CROWN]), hair.dark, 2.2, 0.75, 0.8)
    canvas.stroke(smooth([(-28, -138), (-27, -156), (-23, -172)]), "C98F76", 1.0, 0.35, 0.6)
    _draw_stray(canvas, hair, dice)


def _tress(
    guides: tuple[list[Point], list[Point]], start: float, width: float, light: float
) -> Lock:
    """A strand of its own on top: narrow at the root, its waves a little behind the others'."""
    inner, outer = guides
    count = len(inner)
    a, b = [], []
    for index, (p, q) in enumerate(zip(inner, outer, strict=True)):
        part = index / (count - 1)
        open_ = width * math.sin(math.pi * (0.02 + 0.96 * part) ** 0.8)
        low = start + 0.10 * math.sin(part * 5.0)
        a.append((p[0] + (q[0] - p[0]) * low, p[1] + (q[1] - p[1]) * low))
        high = low + open_
        b.append((p[0] + (q[0] - p[0]) * high, p[1] + (q[1] - p[1]) * high))
    return Lock(a, b, 44, light, (-96, 60, 176), 34, _WAVE * 1.25, 0.34)


def _draw_volume(canvas: Canvas, hair: Hair) -> None:
    """Broad soft light over the crown and the turn of the waves; shade towards face and neck."""
    for guides, light in (((_LEFT_IN, _LEFT_OUT), 1.0), ((_RIGHT_IN, _RIGHT_OUT), 0.75)):
        inner, outer = ([swing(each, _WAVE) for each in sampled(guide, STEPS)] for guide in guides)
        with canvas.clip(smooth(inner + outer[::-1], closed=True)):
            crown = between(inner, outer, 0.55)[3:9]
            canvas.stroke(smooth(crown), hair.light, 30, 0.34 * light, 13)
            canvas.stroke(smooth(crown[1:4]), hair.shine, 12, 0.30 * light, 7)
            turn = between(inner, outer, 0.66)[15:20]
            canvas.stroke(smooth(turn), hair.light, 18, 0.30 * light, 10)
            canvas.stroke(smooth(inner[9:]), "120705", 22, 0.50, 11)
            canvas.stroke(smooth(inner[22:] + outer[:21:-1]), "120705", 8, 0.18, 7)


def _draw_rims(canvas: Canvas, hair: Hair) -> None:
    for guide, alpha in ((_RIGHT_OUT, 0.46), (_LEFT_OUT, 0.26)):
        edge = [swing(each, _WAVE * 0.8) for each in sampled(guide, STEPS)]
        inside = [(x * 0.978, y + 1.5) for x, y in edge]
        canvas.stroke(smooth(inside[2:-2]), hair.rim, 2.6, alpha, 1.8)


def _draw_stray(canvas: Canvas, hair: Hair, dice: random.Random) -> None:
    for _ in range(26):
        guide = dice.choice((_LEFT_OUT, _RIGHT_OUT))
        push = dice.uniform(1.0, 1.028)
        points = [
            swing((x * push, y * (1 + (push - 1) * 0.4)), _WAVE) for x, y in sampled(guide, STEPS)
        ]
        first = dice.randrange(0, 16)
        piece = points[first : first + dice.randrange(5, 10)]
        canvas.stroke(smooth(piece), dice.choice((hair.mid, hair.light)), 0.6, 0.40)


def draw_under(canvas: Canvas, look: Look) -> None:
    """The dark between face and hair, which moves with the head."""
    shape: list[Point] = [
        (0, -174),
        (66, -164),
        (106, -112),
        (120, -20),
        (114, 60),
        (88, 96),
        (0, 60),
    ]
    shape += [(-x, y) for x, y in shape[:0:-1]]
    dark = Linear(
        (0, -60), (0, 100), [(0, look.hair.dark, 1), (0.6, "0B0403", 1), (1, "0B0403", 0)]
    )
    canvas.fill(smooth(shape[:-1] if shape[-1] == shape[0] else shape, closed=True), dark)
