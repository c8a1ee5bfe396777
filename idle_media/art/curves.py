"""Paths through points: the art lists where a contour passes and these draw it smoothly.

Every path is written in absolute pairs only (``M``, ``C``, ``L``, ``Z``), which the canvas needs to
find the bounds of a blur.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from idle_media.art.svg import Point


def smooth(points: Sequence[Point], closed: bool = False, tension: float = 1.0) -> str:
    """A Catmull-Rom spline as cubic Beziers; ``tension`` 0 gives straight lines."""
    count = len(points)
    parts = [f"M{points[0][0]:.2f},{points[0][1]:.2f}"]
    for index in range(count if closed else count - 1):
        before, start, end, after = (
            points[(index + shift) % count]
            if closed
            else points[min(max(index + shift, 0), count - 1)]
            for shift in (-1, 0, 1, 2)
        )
        reach = tension / 6
        parts.append(
            f"C{start[0] + (end[0] - before[0]) * reach:.2f},"
            f"{start[1] + (end[1] - before[1]) * reach:.2f} "
            f"{end[0] - (after[0] - start[0]) * reach:.2f},"
            f"{end[1] - (after[1] - start[1]) * reach:.2f} {end[0]:.2f},{end[1]:.2f}"
        )
    return " ".join(parts) + ("Z" if closed else "")


def polygon(points: Sequence[Point]) -> str:
    """Straight lines, closed."""
    return "M" + " L".join(f"{x:.2f},{y:.2f}" for x, y in points) + "Z"


def line(*points: Point) -> str:
    """Straight lines, open."""
    return "M" + " L".join(f"{x:.2f},{y:.2f}" for x, y in points)


def ellipse(x: float, y: float, across: float, down: float, turn_deg: float = 0.0) -> str:
    """An ellipse of these half axes, as four cubic arcs."""
    turn = math.radians(turn_deg)
    cos, sin, kappa = math.cos(turn), math.sin(turn), 0.5523

    def at(u: float, v: float) -> str:
        right, low = u * across * cos - v * down * sin, u * across * sin + v * down * cos
        return f"{x + right:.2f},{y + low:.2f}"

    arcs = "".join(
        f"C{at(*a)} {at(*b)} {at(*c)} "
        for a, b, c in (
            ((1, kappa), (kappa, 1), (0, 1)),
            ((-kappa, 1), (-1, kappa), (-1, 0)),
            ((-1, -kappa), (-kappa, -1), (0, -1)),
            ((kappa, -1), (1, -kappa), (1, 0)),
        )
    )
    return f"M{at(1, 0)} {arcs}Z"


def mirrored(points: Sequence[Point]) -> list[Point]:
    """The points on the other side of x = 0, in reverse, so that contours can be closed."""
    return [(-x, y) for x, y in reversed(points)]


def sampled(points: Sequence[Point], count: int) -> list[Point]:
    """``count`` points at equal parameters along the spline through ``points``."""
    last = len(points) - 1
    found = []
    for step in range(count):
        at = step * last / (count - 1)
        index = min(int(at), last - 1)
        t = at - index
        a, b, c, d = (points[min(max(index + shift, 0), last)] for shift in (-1, 0, 1, 2))
        found.append(
            (
                _catmull(a[0], b[0], c[0], d[0], t),
                _catmull(a[1], b[1], c[1], d[1], t),
            )
        )
    return found


def _catmull(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )


def between(first: Sequence[Point], second: Sequence[Point], t: float) -> list[Point]:
    """The points a part ``t`` of the way from one contour to the other."""
    return [
        (ax + (bx - ax) * t, ay + (by - ay) * t)
        for (ax, ay), (bx, by) in zip(first, second, strict=True)
    ]


def tapered(points: Sequence[Point], widths: Sequence[float], count: int = 24) -> str:
    """A brush stroke: closed outline along a spline, the width running through ``widths``."""
    spine = sampled(points, count)
    width = sampled([(value, 0.0) for value in widths], count)
    left, right = [], []
    for index, (x, y) in enumerate(spine):
        ax, ay = spine[max(index - 1, 0)]
        bx, by = spine[min(index + 1, count - 1)]
        length = math.hypot(bx - ax, by - ay) or 1.0
        half = max(0.0, width[index][0]) / 2
        nx, ny = -(by - ay) / length * half, (bx - ax) / length * half
        left.append((x + nx, y + ny))
        right.append((x - nx, y - ny))
    return smooth(left + right[::-1], closed=True, tension=0.9)
