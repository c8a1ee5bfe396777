"""Both eyes at any height of the lids and any gaze, with the skin of the lids."""

from __future__ import annotations

import math

from idle_media.art.curves import between, ellipse, sampled, smooth, tapered
from idle_media.art.palette import Look
from idle_media.art.svg import Canvas, Linear, Point, Radial, even

EYE_X, EYE_Y = 46.0, 1.0
_SCALE = 1.08

# Local frame: the inner corner is at negative x for both eyes (the left one is mirrored).
_INNER, _OUTER = (-26.5, 5.0), (28.0, -2.0)
_UPPER: list[Point] = [_INNER, (-17, -6.0), (-3, -14.2), (12, -13.2), (22, -8.0), _OUTER]
_LOWER: list[Point] = [_INNER, (-15, 9.4), (-2, 11.4), (11, 9.8), (21, 4.6), _OUTER]
_SHUT: list[Point] = [_INNER, (-15, 9.0), (-2, 10.4), (11, 9.0), (21, 4.4), _OUTER]
_CREASE: list[Point] = [(-23, -6), (-14, -15.5), (-1, -21.0), (13, -20.0), (24, -13.5), (32, -5.0)]

IRIS_RADIUS = 12.6
GAZE_REACH = 6.0
"""Units that the iris moves for a gaze of 1."""


def draw_eyes(canvas: Canvas, look: Look, lid: float, gaze: float = 0.0) -> None:
    """``lid`` 0 shut .. 1 wide open; ``gaze`` -1 to the picture's left .. 1 to the right."""
    for side in (-1, 1):
        with canvas.moved(side * EYE_X, EYE_Y, _SCALE, mirror=side < 0):
            _draw_eye(canvas, look, lid, gaze * side * GAZE_REACH, side)


def _draw_eye(canvas: Canvas, look: Look, lid: float, gaze: float, side: int) -> None:
    upper = between(_SHUT, _UPPER, lid)
    lower = [(x, y - (1 - lid) * 1.6 * (abs(y) > 5)) for x, y in _LOWER]
    if lid > 0.04:
        ball = smooth(upper, tension=0.95) + " L" + smooth(lower[::-1], tension=0.95)[1:] + "Z"
        with canvas.clip(ball):
            _draw_ball(canvas, look, upper, gaze, side)
    _draw_lid(canvas, look, upper, lid)
    _draw_lashes(canvas, look, upper, lower, lid)


def _draw_ball(canvas: Canvas, look: Look, upper: list[Point], gaze: float, side: int) -> None:
    white = Linear((0, -14), (0, 12), even("B7AFB2", "EEEAEA", "FAF8F7", "E9DEDA"))
    canvas.fill(ellipse(0, 0, 36, 24), white)
    canvas.fill(ellipse(-27, 4, 10, 8), "C9A29A", 0.55, 3)
    canvas.fill(ellipse(29, 0, 9, 9), "B3A3A4", 0.55, 3.5)
    canvas.fill(ellipse(-25.2, 5.0, 3.8, 3.0), "D98F86", 0.85, 1.0)
    x, y = 0.8 + gaze, -1.6
    _draw_iris(canvas, look, x, y, side)
    # the upper lid's shadow on the ball
    shadow = [*upper, (34, -30), (-34, -30)]
    canvas.fill(smooth(shadow, closed=True, tension=0.5), "2A1512", 0.55, 3.0)
    # catch-lights stay with the key light, whatever way the eye is mirrored
    canvas.fill(ellipse(x - side * 4.4, y - 4.4, 3.0, 2.7), "FFFFFF", 0.96, 0.35)
    canvas.fill(ellipse(x + side * 4.6, y + 4.8, 1.6, 1.4), "FFFFFF", 0.55, 0.4)
    wet = smooth([(-19, 8.8), (-8, 11.6), (6, 11.4), (17, 7.0)])
    canvas.stroke(wet, "FFFFFF", 1.2, 0.55, 0.5)


def _draw_iris(canvas: Canvas, look: Look, x: float, y: float, side: int) -> None:
    bright, body, rim = look.features.iris
    stops = [
        (0.0, body, 1.0),
        (0.34, bright, 1.0),
        (0.62, body, 1.0),
        (0.86, rim, 1.0),
        (1.0, "150C08", 1.0),
    ]
    canvas.fill(ellipse(x, y, IRIS_RADIUS + 0.5, IRIS_RADIUS + 0.5), "2B1A16", 0.45, 0.8)
    canvas.fill(
        ellipse(x, y, IRIS_RADIUS, IRIS_RADIUS), Radial((x, y + 2.2), IRIS_RADIUS + 1.2, stops)
    )
    for ray in range(26):
        turn = ray * 2 * math.pi / 26 + 0.13 * (ray % 3)
        start, end = 5.4, 9.4 + 1.3 * (ray % 3)
        cos, sin = math.cos(turn), math.sin(turn)
        path = smooth([(x + start * cos, y + start * sin), (x + end * cos, y + end * sin)])
        canvas.stroke(path, "F6DFAE" if ray % 2 else rim, 0.7, 0.30)
    # light falls through the iris and gathers opposite the lamp
    glow = [(x - 8.0, y + 6.0), (x + side * 1.5, y + 9.2), (x + 8.0, y + 5.0)]
    canvas.stroke(smooth(glow), "FFE3AE", 3.0, 0.42, 1.4)
    canvas.fill(ellipse(x, y, 5.3, 5.3), "0A0708", 1.0, 0.3)


def _draw_lid(canvas: Canvas, look: Look, upper: list[Point], lid: float) -> None:
    skin, closed = look.skin, 1 - lid
    crease = [(x, y + closed * 4.5) for x, y in _CREASE]
    area = smooth(crease) + " L" + smooth(upper[::-1], tension=0.95)[1:] + "Z"
    paint = Linear((0, -21 + 5 * closed), (0, upper[2][1]), even(skin.warm, skin.base, skin.warm))
    canvas.fill(area, paint, 1.0, 0.5)
    with canvas.clip(area):
        canvas.fill(area, look.features.lid, 0.30, 1.5)
        canvas.fill(
            ellipse(-2, -12 + 12 * closed, 13, 2.5 + 4.5 * closed),
            skin.glow,
            0.50 * (0.5 + 0.5 * closed),
            3,
        )
        canvas.stroke(smooth(upper, tension=0.95), look.features.lid, 4.5, 0.55, 2.2)
    canvas.stroke(smooth(crease), skin.deep, 1.5, 0.62 - 0.30 * closed, 0.8)


def _draw_lashes(
    canvas: Canvas, look: Look, upper: list[Point], lower: list[Point], lid: float
) -> None:
    ink, weight = "1B0E0C", look.features.lash
    wing = (32.4, -5.6 + 3.2 * (1 - lid)) if weight > 0.6 else (29.4, -1.6)
    spine = [*sampled(upper, 9)[:-1], (28.4, -2.6), wing]
    widths = [0.8, 2.2, 3.4, 4.2, 4.4, 3.4, 0.3]
    canvas.fill(tapered(spine, [width * weight for width in widths], 40), ink, 0.95, 0.25)
    along = sampled(upper, 60)
    for index in range(30, 60, 3) if weight > 0.6 else ():  # a few lashes on the outer half
        x, y = along[index]
        t = (index - 30) / 30
        up = (3.4 + 2.2 * t) * lid - 3.2 * (1 - lid)
        tip = (x + 2.6 + 3.4 * t, y - up)
        bend = (x + 1.9 + 2.0 * t, y - up * 0.35)
        canvas.fill(tapered([(x, y), bend, tip], [1.4 * weight, 1.0 * weight, 0.1], 8), ink, 0.75)
    under = sampled(lower[1:], 8)[:-1]
    canvas.fill(tapered(under, [0.2, 0.9, 1.3, 1.5, 0.9], 24), look.skin.deep, 0.60 * weight, 0.5)
