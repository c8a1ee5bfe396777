"""Hair is made of locks: each lock lies between two guides, filled, shaded and laid with strands.

A lock's guides run from root to tip through the same number of points, so that any strand is a
mixture of both.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from idle_media.art.curves import sampled, smooth
from idle_media.art.palette import Hair
from idle_media.art.svg import Canvas, Linear, Point, even

STEPS = 26


@dataclass(frozen=True, slots=True)
class Lock:
    """Guides of equal length, and how light falls on it."""

    inner: Sequence[Point]
    outer: Sequence[Point]
    strands: int
    light: float
    """1 on the lit side, 0.5 in the shade."""
    glosses: Sequence[float]
    """Heights (y) of the bright bands."""
    gloss_height: float = 46.0
    wave: float = 0.0
    """Units that strands swing sideways below the ears."""
    shadow: float = 0.0
    """Opacity of the shadow thrown on what lies below."""


def swing(point: Point, amount: float) -> Point:
    """Waves that begin at the ears and grow towards the tips."""
    x, y = point
    grown = min(1.0, max(0.0, (y - 20) / 90))
    side = 1 if x > 0 else -1
    return (x + side * amount * grown * math.sin((y - 20) / 23.0), y)


def contours(lock: Lock) -> tuple[list[Point], list[Point]]:
    """Points along both guides, with the waves in them."""
    inner, outer = sampled(lock.inner, STEPS), sampled(lock.outer, STEPS)
    return (
        [swing(each, lock.wave) for each in inner],
        [swing(each, lock.wave * 0.8) for each in outer],
    )


def draw_lock(
    canvas: Canvas, hair: Hair, lock: Lock, dice: random.Random, on: str | None = None
) -> None:
    """Shadow (only on what lies inside the path ``on``), body, strands, gloss, rim."""
    inner, outer = contours(lock)
    body = smooth(inner + outer[::-1], closed=True)
    if lock.shadow and on is not None:
        with canvas.clip(on), canvas.moved(2.0, 5.0):
            canvas.fill(body, "2A0F08", lock.shadow, 6)
    left, right = min(x for x, _ in inner + outer), max(x for x, _ in inner + outer)
    tones = [hair.mid, hair.base, hair.base, hair.dark]
    if lock.light < 0.8:
        tones = [hair.base, hair.base, hair.dark, hair.dark]
    canvas.fill(body, Linear((left, -170), (right, 200), even(*tones)), 1.0, 0.4)
    for _ in range(lock.strands):
        _draw_strand(canvas, hair, lock, inner, outer, dice)
    _draw_gloss(canvas, hair, lock, inner, outer, dice)
    with canvas.clip(body):  # depth along both edges
        canvas.stroke(smooth(inner), hair.dark, 7, 0.55, 4)
        canvas.stroke(smooth(outer), hair.dark, 5, 0.25, 4)


def _strand(inner: list[Point], outer: list[Point], dice: random.Random) -> list[Point]:
    start, end = dice.random(), dice.gauss(0, 0.05)
    points = []
    for index, (a, b) in enumerate(zip(inner, outer, strict=True)):
        t = min(1.015, max(-0.015, start + end * index / STEPS))
        points.append((a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t))
    return points[: STEPS - dice.randrange(0, 3) : 2]


def _draw_strand(
    canvas: Canvas,
    hair: Hair,
    lock: Lock,
    inner: list[Point],
    outer: list[Point],
    dice: random.Random,
) -> None:
    tone, alpha = dice.choice(
        (
            (hair.dark, 0.46),
            (hair.dark, 0.38),
            (hair.base, 0.40),
            (hair.mid, 0.42),
            (hair.mid, 0.36),
            (hair.light, 0.22),
        )
    )
    width = dice.uniform(0.7, 2.6)
    canvas.stroke(
        smooth(_strand(inner, outer, dice)), tone, width, alpha * (0.6 + 0.4 * lock.light)
    )


def _draw_gloss(
    canvas: Canvas,
    hair: Hair,
    lock: Lock,
    inner: list[Point],
    outer: list[Point],
    dice: random.Random,
) -> None:
    """Every strand shines where it bends towards the lamp: a band of short bright streaks."""
    for height in lock.glosses:
        for _ in range(lock.strands // 2):
            middle = height + dice.gauss(0, 8)
            reach = lock.gloss_height * dice.uniform(0.5, 1.1)
            strength = lock.light * dice.uniform(0.10, 0.42)
            tone = hair.shine if dice.random() < 0.45 else hair.light
            stops = [(0.0, tone, 0.0), (0.5, tone, strength), (1.0, tone, 0.0)]
            paint = Linear((0, middle - reach), (0, middle + reach), stops)
            canvas.stroke(smooth(_strand(inner, outer, dice)), paint, dice.uniform(0.6, 1.9))
