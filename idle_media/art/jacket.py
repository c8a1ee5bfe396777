"""A jacket: halves with folds and lapels, the button, the microphone on the lapel."""

from __future__ import annotations

from idle_media.art.curves import ellipse, polygon, smooth
from idle_media.art.palette import Look
from idle_media.art.svg import Canvas, Linear, Point, Radial, even

_JACKET: list[Point] = [
    (60, 190), (92, 207), (142, 219), (198, 231), (240, 252), (266, 300), (280, 384),
    (290, 480), (302, 660),
]  # fmt: skip
_ROLL: list[Point] = [(60, 190), (67, 236), (62, 292), (40, 360), (0, 436)]
"""The inner edge of the lapel, from the neck to the button."""


def draw_jacket(canvas: Canvas, look: Look) -> None:
    """Both halves, closed at the button."""
    broad = 1 + 0.45 * (look.bones.neck - 1)
    for side in (1, -1):  # the lit half lies over the other
        with canvas.moved(mirror=side < 0, stretch=broad):
            _draw_half(canvas, look, lit=side < 0)
    _draw_fastening(canvas, look)
    _draw_microphone(canvas)


def _draw_half(canvas: Canvas, look: Look, lit: bool) -> None:
    clothes = look.clothes
    body = smooth(_JACKET) + " L-8,660 -8,440 " + smooth(_ROLL[::-1])[1:] + "Z"
    tones = (
        (clothes.light, clothes.base, clothes.dark)
        if lit
        else (clothes.base, clothes.base, clothes.dark)
    )
    canvas.fill(body, Linear((70, 190), (250, 470), even(*tones)))
    with canvas.clip(body):
        _draw_folds(canvas, look, lit)
    _draw_lapel(canvas, look, lit)


def _draw_folds(canvas: Canvas, look: Look, lit: bool) -> None:
    clothes = look.clothes
    armpit = [(206, 338), (196, 400), (192, 480), (198, 560), (204, 660)]
    canvas.stroke(smooth(armpit), clothes.edge, 16, 0.46, 9)
    canvas.stroke(smooth([(x + 2, y) for x, y in armpit]), clothes.edge, 2.4, 0.62, 1.2)
    canvas.stroke(smooth([(x + 12, y + 4) for x, y in armpit]), clothes.light, 8, 0.20, 6)
    seam = [(196, 242), (208, 270), (212, 306), (206, 340)]
    canvas.stroke(smooth(seam), clothes.edge, 6, 0.30, 4)
    canvas.stroke(smooth(seam), clothes.edge, 1.5, 0.50, 0.8)
    canvas.stroke(smooth([(x + 5, y) for x, y in seam]), clothes.light, 6, 0.18, 4)
    for points, alpha in (
        ([(206, 352), (228, 366), (262, 366)], 0.34),
        ([(200, 400), (226, 424), (268, 428)], 0.28),
        ([(190, 350), (160, 380), (120, 400)], 0.30),
        ([(188, 420), (150, 470), (96, 500)], 0.26),
        ([(186, 500), (120, 540), (60, 560)], 0.22),
    ):
        canvas.stroke(smooth(points), clothes.edge, 9, alpha, 6)
        canvas.stroke(smooth([(x, y - 9) for x, y in points]), clothes.light, 6, alpha * 0.7, 5)
    canvas.fill(ellipse(150, 280, 40, 40), clothes.light, 0.40 if lit else 0.18, 22)
    canvas.stroke(smooth(_JACKET), clothes.rim, 9, 0.26 if lit else 0.46, 6)
    canvas.stroke(smooth(_JACKET[3:]), clothes.rim, 2.0, 0.16 if lit else 0.40, 1.4)
    dart = [(118, 390), (112, 470), (108, 560), (110, 660)]
    canvas.stroke(smooth(dart), clothes.edge, 1.8, 0.40, 1.0)


def _draw_lapel(canvas: Canvas, look: Look, lit: bool) -> None:
    clothes = look.clothes
    collar: list[Point] = [
        (59, 188),
        (76, 197),
        (100, 220),
        (117, 250),
        (106, 268),
        (84, 262),
        (67, 240),
    ]
    outer: list[Point] = [(106, 268), (138, 282), (124, 316), (88, 366), (40, 420), (0, 446)]
    lapel = smooth(_ROLL[1:]) + " L" + smooth(outer[::-1], tension=0.55)[1:] + " L84,262Z"
    with canvas.moved(4, 7):
        canvas.fill(lapel, "030812", 0.60, 6)
        canvas.fill(smooth(collar, closed=True, tension=0.5), "030812", 0.5, 5)
    tones = (
        (clothes.light, clothes.base, clothes.base)
        if lit
        else (clothes.base, clothes.base, clothes.dark)
    )
    canvas.fill(lapel, Linear((60, 220), (110, 400), even(*tones)))
    with canvas.clip(lapel):
        canvas.stroke(smooth(_ROLL), clothes.light, 12, 0.40 if lit else 0.22, 8)
        canvas.stroke(smooth(outer), clothes.edge, 5, 0.35, 3)
    canvas.fill(
        smooth(collar, closed=True, tension=0.5), Linear((60, 188), (112, 266), even(*tones))
    )
    canvas.stroke(smooth(outer, tension=0.55), clothes.edge, 1.2, 0.7)
    canvas.stroke(
        smooth([(x - 1.8, y - 1.4) for x, y in outer], tension=0.55), clothes.rim, 0.7, 0.20
    )
    canvas.stroke(smooth([(106, 268), (84, 262), (67, 240)], tension=0.5), clothes.edge, 1.3, 0.7)
    canvas.stroke(smooth(_ROLL), clothes.rim, 1.0, 0.22 if lit else 0.14, 0.5)
    canvas.stroke(smooth(collar[:4], tension=0.5), clothes.rim, 1.2, 0.24, 0.8)


def _draw_fastening(canvas: Canvas, look: Look) -> None:
    clothes = look.clothes
    overlap = smooth([(0, 440), (5, 480), (8, 560), (20, 660)])
    canvas.stroke(overlap, "030812", 7, 0.5, 4)
    canvas.stroke(overlap, clothes.edge, 1.6, 0.8, 0.4)
    canvas.fill(ellipse(-6, 462, 8.2, 8.2), "030812", 0.5, 2)
    light, metal, dark = clothes.button
    canvas.fill(ellipse(-7, 460, 7, 7), Radial((-9, 457), 10, even(light, metal, dark)))


def _draw_microphone(canvas: Canvas) -> None:
    canvas.fill(polygon([(-67, 322), (-61, 320), (-57, 346), (-62, 348)]), "0A0D12", 0.9)
    canvas.fill(
        ellipse(-64, 318, 5.2, 8.4, -8),
        Linear((-70, 310), (-58, 324), even("59626E", "1A1F27", "07090C")),
    )
    canvas.fill(ellipse(-66, 314, 1.5, 2.6), "C9D8E6", 0.7, 0.5)
    canvas.stroke(smooth([(-60, 346), (-52, 372), (-34, 400)]), "0A0D12", 1.3, 0.7)
