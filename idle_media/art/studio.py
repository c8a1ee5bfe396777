"""The room behind the presenter: a window on a city at dusk, screens, light columns, bokeh.

Drawn in frame units (1280x720 or 720x1280). Everything is out of focus, as behind a lens that looks
at a face; a dark floor leaves room for lower thirds.
"""

from __future__ import annotations

import random

from idle_media.art.curves import ellipse, line, polygon, smooth
from idle_media.art.palette import Look, Studio
from idle_media.art.svg import Canvas, Linear, Point, Radial, even, fade


def _box(left: float, top: float, right: float, bottom: float) -> str:
    return polygon([(left, top), (right, top), (right, bottom), (left, bottom)])


def draw_studio(canvas: Canvas, look: Look, width: float, height: float, head: Point) -> None:
    """``head`` is where the head's middle will be."""
    tone, dice = look.studio, random.Random(look.seed + 40)
    everything = _box(-20, -20, width + 20, height + 20)
    canvas.fill(
        everything,
        Linear((0, 0), (0, height), even(tone.dark, tone.base, tone.far, tone.base, tone.dark)),
    )
    floor = height * 0.80 if width > height else height * 0.74
    _draw_city(canvas, tone, width, floor, dice)
    _draw_screens(canvas, tone, width, floor, head)
    _draw_columns(canvas, tone, width, height, head)
    halo = Radial(head, 460, fade(tone.glow, 0.62, 0.26, 0.0))
    canvas.fill(everything, halo, 0.85)
    _draw_floor(canvas, tone, width, height, floor)
    _draw_bokeh(canvas, tone, width, floor, dice)
    corner = (width**2 + height**2) ** 0.5 / 2
    vignette = Radial(
        (head[0], height * 0.46),
        corner * 1.08,
        [(0, "00040C", 0), (0.52, "00040C", 0.10), (1, "00040C", 0.74)],
    )
    canvas.fill(everything, vignette)


def _draw_city(
    canvas: Canvas, tone: Studio, width: float, floor: float, dice: random.Random
) -> None:
    horizon = floor - 40
    sky = Linear(
        (0, horizon - 300),
        (0, horizon),
        [(0, tone.second, 0.0), (0.6, tone.second, 0.30), (1, tone.warm, 0.38)],
    )
    canvas.fill(_box(-20, horizon - 320, width + 20, floor), sky)
    for depth, alpha, blur in ((0, 0.34, 5.0), (1, 0.55, 3.5)):
        x = -30.0
        while x < width + 30:
            across = dice.uniform(38, 92)
            top = horizon - dice.uniform(60, 240 - 70 * depth)
            canvas.fill(
                _box(x, top, x + across, floor + 6), tone.dark if depth else tone.base, alpha, blur
            )
            for _ in range(int(across / 9)):
                at = (dice.uniform(x + 5, x + across - 5), dice.uniform(top + 10, floor - 10))
                colour = dice.choice((tone.warm, tone.warm, tone.key, tone.line))
                size = dice.uniform(2.4, 8.5)
                canvas.fill(ellipse(*at, size, size), colour, dice.uniform(0.10, 0.42), 1.2)
            x += across + dice.uniform(-6, 16)


def _draw_screens(canvas: Canvas, tone: Studio, width: float, floor: float, head: Point) -> None:
    """A tilted screen on each side: bars left, a rising line right."""
    reach = max(width * 0.5, 420)
    for side in (-1, 1):
        inner, outer = head[0] + side * reach * 0.47, head[0] + side * reach * 0.95
        top, low = floor * 0.13, floor * 0.84
        panel: list[Point] = [
            (inner, top + 34),
            (outer, top - 12),
            (outer, low + 16),
            (inner, low - 34),
        ]
        glass = Linear((inner, top), (outer, low), fade(tone.glow, 0.42, 0.24, 0.30))
        canvas.fill(polygon(panel), tone.dark, 0.55, 4)
        canvas.fill(polygon(panel), glass, 1.0, 3)
        with canvas.clip(polygon(panel)):
            _draw_grid(canvas, tone, panel)
            if side < 0:
                _draw_bars(canvas, tone, panel)
            else:
                _draw_graph(canvas, tone, panel)
        canvas.stroke(polygon(panel), tone.line, 2.6, 0.55, 2.0)


def _at(panel: list[Point], u: float, v: float) -> Point:
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = panel
    top, low = (ax + (bx - ax) * u, ay + (by - ay) * u), (dx + (cx - dx) * u, dy + (cy - dy) * u)
    return (top[0] + (low[0] - top[0]) * v, top[1] + (low[1] - top[1]) * v)


def _draw_grid(canvas: Canvas, tone: Studio, panel: list[Point]) -> None:
    for part in (0.2, 0.4, 0.6, 0.8):
        canvas.stroke(line(_at(panel, 0, part), _at(panel, 1, part)), tone.line, 1.4, 0.22, 1.3)
        canvas.stroke(line(_at(panel, part, 0), _at(panel, part, 1)), tone.line, 1.4, 0.16, 1.3)


def _draw_bars(canvas: Canvas, tone: Studio, panel: list[Point]) -> None:
    for index, tall in enumerate((0.30, 0.46, 0.38, 0.58, 0.54, 0.72)):
        left, right = 0.10 + 0.14 * (5 - index), 0.19 + 0.14 * (5 - index)
        top, low = 0.88 - tall, 0.88
        bar = polygon(
            [
                _at(panel, left, top),
                _at(panel, right, top),
                _at(panel, right, low),
                _at(panel, left, low),
            ]
        )
        (_, high), (_, down) = _at(panel, left, top), _at(panel, left, low)
        canvas.fill(bar, Linear((0, high), (0, down), fade(tone.key, 0.66, 0.10)), 1.0, 2.6)


def _draw_graph(canvas: Canvas, tone: Studio, panel: list[Point]) -> None:
    heights = (0.80, 0.70, 0.74, 0.56, 0.60, 0.42, 0.46, 0.22)
    points = [_at(panel, index / 7, value) for index, value in enumerate(heights)]
    area = smooth(points) + " L{:.1f},{:.1f} {:.1f},{:.1f}Z".format(*panel[2], *panel[3])
    top = min(y for _, y in points)
    canvas.fill(area, Linear((0, top), (0, panel[3][1]), fade(tone.warm, 0.40, 0.0)), 1.0, 3)
    canvas.stroke(smooth(points), tone.warm, 5, 0.85, 2.4)


def _draw_columns(canvas: Canvas, tone: Studio, width: float, height: float, head: Point) -> None:
    reach = max(width * 0.5, 420)
    for side in (-1, 1):
        x = head[0] + side * reach * 0.42
        column = _box(x - 4, -30, x + 4, height + 30)
        canvas.fill(column, tone.glow, 0.75, 22)
        canvas.fill(column, tone.line, 0.75, 7)
        canvas.fill(_box(x - 2.6, -30, x + 2.6, height + 30), "FFFFFF", 0.80, 1.8)


def _draw_floor(canvas: Canvas, tone: Studio, width: float, height: float, floor: float) -> None:
    edge: list[Point] = [
        (-30, floor + 8),
        (width * 0.25, floor - 4),
        (width * 0.5, floor - 9),
        (width * 0.75, floor - 4),
        (width + 30, floor + 8),
    ]
    area = smooth(edge) + f" L{width + 30:.1f},{height + 30:.1f} -30,{height + 30:.1f}Z"
    canvas.fill(
        area, Linear((0, floor - 10), (0, height), even(tone.base, tone.dark, "03070F")), 0.97, 3
    )
    with canvas.clip(area):
        for x, colour, alpha in (
            (0.14, tone.glow, 0.30),
            (0.86, tone.warm, 0.20),
            (0.5, tone.glow, 0.30),
        ):
            canvas.fill(ellipse(width * x, floor + 30, width * 0.14, 60), colour, alpha, 26)
    canvas.stroke(smooth(edge), tone.glow, 8, 0.55, 6)
    canvas.stroke(smooth(edge), tone.line, 2.4, 0.90, 1.4)


def _draw_bokeh(
    canvas: Canvas, tone: Studio, width: float, floor: float, dice: random.Random
) -> None:
    for _ in range(int(width * floor / 21000)):
        size = dice.uniform(6, 25)
        at = (dice.uniform(0, width), dice.uniform(0, floor * 0.96))
        colour = dice.choice((tone.line, tone.warm, tone.second, tone.key))
        alpha = dice.uniform(0.04, 0.17)
        canvas.fill(ellipse(*at, size, size), colour, alpha, 1.4)
        canvas.stroke(ellipse(*at, size, size), colour, 1.2, alpha * 0.8, 1.0)
