"""The face without eyes, mouth, brows and hair: skin, light and shadow, nose.

Head units: the origin lies between the eyes, y goes down, an eye is 46 from the middle, the mouth
line is at 95 and the chin at 152. The key light comes from the upper left.
"""

from __future__ import annotations

from idle_media.art.curves import ellipse, mirrored, smooth
from idle_media.art.palette import Bones, Look
from idle_media.art.svg import Canvas, Linear, Point, even

_FOREHEAD: list[Point] = [(0, -128), (44, -123), (78, -96), (95, -48), (99, 0), (97, 34)]


def outline(bones: Bones) -> list[Point]:
    """The contour of the face, closed."""
    jaw, chin = bones.jaw, bones.chin
    right = [
        *_FOREHEAD,
        (89 * (0.6 + 0.4 * jaw), 68),
        (75 * jaw, 101),
        (52 * jaw, 129),
        (30 * chin, 145),
        (12 * chin, 151.4),
        (0, 152.4),
    ]
    return right + mirrored(right)[1:-1]


def draw_face(canvas: Canvas, look: Look) -> None:
    """Skin with all its light and shadow."""
    skin = look.skin
    path = smooth(outline(look.bones), closed=True)
    base = Linear((-96, -70), (104, 96), even(skin.light, skin.base, skin.warm, skin.shade))
    canvas.fill(path, base)
    with canvas.clip(path):
        _form(canvas, look)
        _lights(canvas, look)
        _sockets(canvas, look)
        _nose(canvas, look)
        if skin.stubble:
            _stubble(canvas, look)


def _form(canvas: Canvas, look: Look) -> None:
    skin = look.skin
    far_side: list[Point] = [
        (120, -130), (120, 170), (-6, 172), (40, 146), (70, 112), (83, 66), (86, 10),
        (82, -60), (56, -126),
    ]  # fmt: skip
    canvas.fill(smooth(far_side, closed=True), skin.shade, 0.62, 13)
    near_side: list[Point] = [
        (-120, -60), (-120, 170), (6, 174), (-38, 149), (-70, 119), (-88, 74), (-94, 20),
        (-97, -40),
    ]  # fmt: skip
    canvas.fill(smooth(near_side, closed=True), skin.shade, 0.36, 8)
    jaw = [(-86, 92), (-64, 126), (-34, 151), (0, 156), (34, 151), (64, 126), (86, 92)]
    canvas.stroke(smooth(jaw), skin.deep, 9, 0.30, 6)
    canvas.stroke(smooth(jaw[3:]), skin.deep, 8, 0.22, 5)
    # what the fringe throws on the forehead
    fringe: list[Point] = [
        (-120, -140), (120, -140), (112, -20), (93, -34), (80, -70), (40, -92), (-4, -104),
        (-44, -96),
        (-78, -64), (-92, -24), (-112, 0),
    ]  # fmt: skip
    canvas.fill(smooth(fringe, closed=True), skin.deep, 0.42, 10)
    # reflected blue on the far cheek
    canvas.stroke(smooth([(97, 30), (88, 72), (74, 106), (52, 134)]), look.hair.rim, 3, 0.30, 2.5)


def _lights(canvas: Canvas, look: Look) -> None:
    skin = look.skin
    canvas.fill(ellipse(-22, -58, 46, 24, -8), skin.glow, 0.60, 17)
    canvas.fill(ellipse(-60, 38, 24, 15, 24), skin.glow, 0.62, 11)
    canvas.fill(ellipse(54, 38, 20, 12, -24), skin.glow, 0.30, 11)
    canvas.fill(ellipse(-4, 136, 17, 8), skin.glow, 0.44, 7)
    canvas.stroke(smooth([(-15, 121), (0, 117.5), (15, 121)]), skin.shade, 4, 0.34, 3.5)
    for side, alpha in ((-1, 0.34), (1, 0.30)):
        canvas.fill(ellipse(side * 62, 52, 27, 17, side * -18), skin.blush, alpha, 13)
        # the hollow below the cheekbone
        canvas.fill(ellipse(side * 66, 88, 12, 26, side * 30), skin.shade, 0.20, 10)
    canvas.fill(ellipse(0, 84, 30, 24), skin.blush, 0.10, 12)


def _sockets(canvas: Canvas, look: Look) -> None:
    skin = look.skin
    for side in (-1, 1):
        canvas.fill(ellipse(side * 46, -15, 33, 12, side * -4), skin.deep, 0.22, 8)
        canvas.fill(ellipse(side * 23, -8, 9, 14, side * 14), skin.deep, 0.24, 7)
        canvas.fill(ellipse(side * 46, 20, 25, 5, side * -6), skin.shade, 0.34, 5)
        canvas.fill(ellipse(side * 49, 29, 19, 6, side * -12), skin.glow, 0.28, 5)


def _nose(canvas: Canvas, look: Look) -> None:
    skin = look.skin
    far_plane: list[Point] = [(5, -22), (11, 10), (13, 34), (22, 52), (20, 64), (4, 62), (3, 30)]
    canvas.fill(smooth(far_plane, closed=True), skin.shade, 0.52, 6)
    near_plane: list[Point] = [(-14, -18), (-10, 12), (-12, 34), (-21, 50), (-17, 30), (-17, 4)]
    canvas.fill(smooth(near_plane, closed=True), skin.shade, 0.34, 5)
    canvas.stroke(smooth([(-3, -26), (-2.4, 0), (-2.6, 36)]), skin.glow, 7, 0.62, 4)
    canvas.fill(ellipse(-3, 52, 9, 7.5), skin.glow, 0.62, 4.5)
    canvas.fill(ellipse(-4, 50, 3.4, 2.6), "FFFFFF", 0.55, 1.8)
    canvas.fill(ellipse(1, 69.5, 24, 5), skin.deep, 0.30, 5)
    for side, alpha in ((-1, 0.40), (1, 0.54)):
        wing = [(side * 19.5, 47), (side * 23.4, 54), (side * 22, 61.5), (side * 15, 64)]
        canvas.stroke(smooth(wing), skin.deep, 2.2, alpha, 1.5)
        canvas.fill(ellipse(side * 15.5, 56, 5, 5), skin.base, 0.45, 3)
        nostril: list[Point] = [
            (side * 4.6, 65),
            (side * 8.4, 61.6),
            (side * 13.6, 61.4),
            (side * 15.4, 64),
            (side * 10.4, 66.2),
        ]
        canvas.fill(smooth(nostril, closed=True), skin.deep, 0.86, 1.0)
    canvas.stroke(smooth([(-5, 66), (0, 68.4), (5, 66)]), skin.deep, 1.7, 0.40, 1.0)
    # philtrum
    canvas.fill(ellipse(1.4, 77.5, 3.4, 6), skin.shade, 0.36, 2.4)
    canvas.stroke(smooth([(-4.4, 72), (-6.2, 84)]), skin.glow, 2.0, 0.34, 1.6)
    canvas.stroke(smooth([(6.0, 72), (7.4, 84)]), skin.glow, 1.8, 0.22, 1.6)


def _stubble(canvas: Canvas, look: Look) -> None:
    beard: list[Point] = [
        (-100, 40), (-74, 76), (-50, 80), (-26, 78), (0, 76), (26, 78), (50, 80), (74, 76),
        (100, 40),
        (96, 120), (50, 160), (-50, 160), (-96, 120),
    ]  # fmt: skip
    canvas.fill(smooth(beard, closed=True), "46362F", look.skin.stubble, 8)
    canvas.fill(ellipse(0, 78, 32, 8), "46362F", look.skin.stubble * 0.7, 5)


def draw_brows(canvas: Canvas, look: Look) -> None:
    """Both brows: a soft body and single hairs that follow the arch."""
    weight = look.features.brow_weight
    for side in (-1, 1):
        with canvas.moved(mirror=side < 0):
            lower: list[Point] = [(19, -23.5), (34, -29.5), (54, -35.5), (70, -34), (83, -27)]
            upper = [
                (x, y - lift * weight)
                for (x, y), lift in zip(lower, (6.2, 7.4, 6.4, 4.2, 0.4), strict=True)
            ]
            body = smooth(lower + upper[::-1], closed=True, tension=0.8)
            stops = [(0.0, look.features.brow, 0.22), (0.3, look.features.brow, 0.70),
                     (0.7, look.features.brow, 0.74), (1.0, look.features.brow, 0.5)]  # fmt: skip
            canvas.fill(body, Linear((17, 0), (84, 0), stops), 1.0, 1.1)
            _brow_hairs(canvas, look, lower, upper)


def _brow_hairs(canvas: Canvas, look: Look, lower: list[Point], upper: list[Point]) -> None:
    from idle_media.art.curves import sampled  # noqa: PLC0415

    count = 34
    low, high = sampled(lower, count), sampled(upper, count)
    for index in range(count - 3):
        t = index / count
        foot = (low[index][0], low[index][1] - 0.4)
        reach = min(index + 2 + int(5 * t), count - 1)
        part = 0.95 - 0.35 * t
        tip = (
            foot[0] + (high[reach][0] - foot[0]) * part,
            foot[1] + (high[reach][1] - foot[1]) * part,
        )
        bend = ((foot[0] + tip[0]) / 2 - 0.6, (foot[1] + tip[1]) / 2 - 0.5)
        canvas.stroke(smooth([foot, bend, tip]), look.features.brow, 0.75, 0.16 + 0.34 * t, 0.2)
