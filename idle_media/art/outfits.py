"""What the presenters wear, by name: drawn over neck and chest."""

from __future__ import annotations

from idle_media.art.curves import ellipse, smooth
from idle_media.art.jacket import draw_jacket
from idle_media.art.palette import Look
from idle_media.art.svg import Canvas, Linear, Point, Radial, even


def draw_blazer(canvas: Canvas, look: Look) -> None:
    """A blazer over a silk top, with a pendant."""
    _draw_top(canvas, look)
    _draw_chain(canvas, look)
    draw_jacket(canvas, look)


def _draw_top(canvas: Canvas, look: Look) -> None:
    clothes, skin = look.clothes, look.skin
    neckline: list[Point] = [
        (-78, 214),
        (-66, 262),
        (-36, 312),
        (0, 334),
        (36, 312),
        (66, 262),
        (78, 214),
    ]
    area = smooth(neckline) + " L120,240 120,470 -120,470 -120,240Z"
    canvas.stroke(smooth([(x, y - 2) for x, y in neckline]), skin.deep, 7, 0.55, 4)
    canvas.fill(
        area, Linear((-70, 240), (80, 420), even("FFFFFF", clothes.under, clothes.under_shade))
    )
    with canvas.clip(area):
        canvas.stroke(smooth(neckline), clothes.under_shade, 5, 0.9, 2.2)
        canvas.stroke(smooth([(x * 0.96, y + 6) for x, y in neckline]), "FFFFFF", 2, 0.8, 1.0)
        for points, alpha in (
            ([(-40, 318), (-26, 360), (-16, 410), (-10, 460)], 0.50),
            ([(34, 318), (22, 366), (12, 420), (6, 460)], 0.62),
            ([(-8, 338), (-2, 376), (-4, 430)], 0.40),
            ([(12, 336), (8, 380), (2, 440)], 0.34),
        ):
            canvas.stroke(smooth(points), clothes.under_shade, 5, alpha, 3)
        canvas.stroke(smooth([(-22, 338), (-14, 380), (-8, 430)]), "FFFFFF", 4, 0.8, 3)


def _draw_chain(canvas: Canvas, look: Look) -> None:
    light, metal, dark = look.clothes.accent
    chain = smooth([(-64, 206), (-42, 250), (-18, 276), (0, 283), (18, 276), (42, 250), (64, 206)])
    canvas.stroke(chain, dark, 1.8, 0.45, 1.2)
    canvas.stroke(chain, metal, 1.3, 0.95)
    canvas.stroke(chain, light, 0.5, 0.8)
    canvas.fill(ellipse(1.2, 291, 5.2, 6.6), look.skin.deep, 0.5, 2)
    canvas.fill(ellipse(0, 289, 4.2, 5.6), Radial((-1.5, 286.5), 7, even(light, metal, dark)))


def draw_suit(canvas: Canvas, look: Look) -> None:
    """A suit with shirt and tie."""
    _draw_shirt(canvas, look)
    _draw_tie(canvas, look)
    _draw_collar(canvas, look)
    draw_jacket(canvas, look)


def _draw_shirt(canvas: Canvas, look: Look) -> None:
    clothes = look.clothes
    area = "M-78,196 L-30,214 0,238 30,214 78,196 120,240 120,470 -120,470 -120,240Z"
    canvas.fill(
        area, Linear((-60, 220), (70, 420), even("FFFFFF", clothes.under, clothes.under_shade))
    )
    with canvas.clip(area):
        for side in (-1, 1):
            fold = [(side * 40, 260), (side * 30, 320), (side * 20, 400)]
            canvas.stroke(smooth(fold), clothes.under_shade, 6, 0.6, 4)
            canvas.fill(ellipse(side * 74, 250, 18, 60), clothes.under_shade, 0.5, 9)


def _draw_tie(canvas: Canvas, look: Look) -> None:
    light, base, dark = look.clothes.accent
    blade: list[Point] = [
        (-11, 258),
        (11, 258),
        (17, 330),
        (22, 400),
        (26, 470),
        (-26, 470),
        (-22, 400),
        (-17, 330),
    ]
    shape = smooth(blade, closed=True, tension=0.3)
    with canvas.moved(3, 4):
        canvas.fill(shape, "0A1018", 0.42, 4)
    canvas.fill(shape, Linear((-20, 260), (22, 420), even(light, base, dark)))
    with canvas.clip(shape):
        for step in range(-2, 14):
            y = 250 + step * 20
            canvas.stroke(smooth([(-40, y + 26), (40, y - 14)]), light, 2.4, 0.32, 0.4)
        canvas.stroke(smooth([(15, 262), (20, 340), (27, 470)]), dark, 8, 0.6, 4)
    knot: list[Point] = [
        (-17, 222),
        (0, 227),
        (17, 222),
        (15, 240),
        (10, 262),
        (-10, 262),
        (-15, 240),
    ]
    knotted = smooth(knot, closed=True, tension=0.5)
    canvas.fill(knotted, Linear((-15, 222), (15, 262), even(light, base, dark)))
    canvas.stroke(smooth([(-10, 259), (0, 261), (10, 259)]), dark, 3, 0.7, 1.5)
    canvas.stroke(smooth([(-9, 230), (-7, 246), (-5, 258)]), light, 3, 0.45, 1.8)


def _draw_collar(canvas: Canvas, look: Look) -> None:
    clothes, skin = look.clothes, look.skin
    for side in (-1, 1):
        wide = look.bones.neck
        leaf: list[Point] = [
            (side * 48 * wide, 170), (side * 58 * wide, 180), (side * 64, 212),
            (side * 44, 262), (side * 14, 224), (side * 32, 206),
        ]  # fmt: skip
        path = smooth(leaf, closed=True, tension=0.35)
        with canvas.moved(side * -1.5, 4):
            canvas.fill(path, "0A1018", 0.45, 4)
        canvas.stroke(
            smooth([(side * 46 * wide, 172), (side * 31, 204), (side * 12, 222)]),
            skin.deep,
            5,
            0.5,
            3,
        )
        shade = clothes.under_shade if side > 0 else clothes.under
        canvas.fill(
            path, Linear((side * 20, 180), (side * 56, 250), even("FFFFFF", clothes.under, shade))
        )
        canvas.stroke(
            smooth([(side * 14, 224), (side * 44, 262), (side * 64, 212)], tension=0.3),
            clothes.under_shade,
            1.2,
            0.8,
            0.4,
        )


STYLES = {"blazer": draw_blazer, "suit": draw_suit}
