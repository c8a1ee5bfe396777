"""A canvas that writes SVG: filled and stroked paths, gradients, blurs, clips.

The art modules draw on it; ``raster`` turns it into pixels. It knows nothing of faces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

Point = tuple[float, float]
Stop = tuple[float, str, float]
"""Offset 0..1, colour as six hex digits, opacity 0..1."""

_NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")


@dataclass(frozen=True, slots=True)
class Linear:
    """A gradient along a line, in user units."""

    start: Point
    end: Point
    stops: Sequence[Stop]


@dataclass(frozen=True, slots=True)
class Radial:
    """A gradient from a centre outwards, in user units."""

    centre: Point
    radius: float
    stops: Sequence[Stop]


Paint = str | Linear | Radial
"""A colour as six hex digits, or a gradient."""


def even(*colours: str, alpha: float = 1.0) -> list[Stop]:
    """Stops at equal distances."""
    last = max(1, len(colours) - 1)
    return [(index / last, colour, alpha) for index, colour in enumerate(colours)]


def fade(colour: str, *alphas: float) -> list[Stop]:
    """Stops of one colour at equal distances, with these opacities."""
    last = max(1, len(alphas) - 1)
    return [(index / last, colour, alpha) for index, alpha in enumerate(alphas)]


class Canvas:
    """Collects shapes in drawing order."""

    def __init__(self) -> None:
        self._defs: list[str] = []
        self._shapes: list[str] = []
        self._count = 0

    def fill(self, path: str, paint: Paint, alpha: float = 1.0, blur: float = 0.0) -> None:
        """A filled path; ``blur`` is the standard deviation of a Gaussian, in units."""
        self._shapes.append(
            f'<path d="{path}" fill="{self._paint(paint)}" fill-opacity="{alpha:.3f}"'
            f"{self._blur(path, blur, 0.0)}/>"
        )

    def stroke(
        self, path: str, paint: Paint, width: float, alpha: float = 1.0, blur: float = 0.0
    ) -> None:
        """A line with round ends and joins."""
        self._shapes.append(
            f'<path d="{path}" fill="none" stroke="{self._paint(paint)}" '
            f'stroke-opacity="{alpha:.3f}" stroke-width="{width:.2f}" stroke-linecap="round" '
            f'stroke-linejoin="round"{self._blur(path, blur, width)}/>'
        )

    @contextmanager
    def clip(self, path: str) -> Iterator[None]:
        """What is drawn inside the block shows only inside ``path``."""
        name = self._name("c")
        self._defs.append(f'<clipPath id="{name}"><path d="{path}"/></clipPath>')
        with self._group(f'clip-path="url(#{name})"'):
            yield

    @contextmanager
    def moved(
        self,
        x: float = 0.0,
        y: float = 0.0,
        scale: float = 1.0,
        mirror: bool = False,
        stretch: float = 1.0,
    ) -> Iterator[None]:
        """Draw in a frame of reference of its own; ``stretch`` widens it."""
        across = (-scale if mirror else scale) * stretch
        with self._group(f'transform="translate({x:.2f},{y:.2f}) scale({across:.4f},{scale:.4f})"'):
            yield

    @contextmanager
    def layer(self, alpha: float = 1.0, mode: str = "normal", blur: float = 0.0) -> Iterator[None]:
        """Several shapes as one: one opacity, one blend mode, one blur."""
        style = f"opacity:{alpha:.3f};mix-blend-mode:{mode}"
        extra = ""
        if blur:
            name = self._name("f")
            self._defs.append(
                f'<filter id="{name}" x="-50%" y="-50%" width="200%" height="200%" '
                f'color-interpolation-filters="sRGB"><feGaussianBlur stdDeviation="{blur:.2f}"/>'
                "</filter>"
            )
            extra = f' filter="url(#{name})"'
        with self._group(f'style="{style}"{extra}'):
            yield

    def svg(self, view: tuple[float, float, float, float], width: int, height: int) -> str:
        """The document: ``view`` (x, y, width, height in units) as so many pixels."""
        box = " ".join(f"{value:.3f}" for value in view)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="{box}" preserveAspectRatio="none"><defs>{"".join(self._defs)}</defs>'
            f"{''.join(self._shapes)}</svg>"
        )

    def _name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    @contextmanager
    def _group(self, attributes: str) -> Iterator[None]:
        self._shapes.append(f"<g {attributes}>")
        yield
        self._shapes.append("</g>")

    def _paint(self, paint: Paint) -> str:
        if isinstance(paint, str):
            return f"#{paint}"
        name = self._name("g")
        stops = "".join(
            f'<stop offset="{at:.3f}" stop-color="#{colour}" stop-opacity="{alpha:.3f}"/>'
            for at, colour, alpha in paint.stops
        )
        if isinstance(paint, Linear):
            (x1, y1), (x2, y2) = paint.start, paint.end
            place = f'x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}"'
            kind = "linearGradient"
        else:
            (x, y), kind = paint.centre, "radialGradient"
            place = f'cx="{x:.2f}" cy="{y:.2f}" r="{paint.radius:.2f}"'
        self._defs.append(
            f'<{kind} id="{name}" gradientUnits="userSpaceOnUse" {place}>{stops}</{kind}>'
        )
        return f"url(#{name})"

    def _blur(self, path: str, blur: float, width: float) -> str:
        if not blur:
            return ""
        name = self._name("f")
        numbers = [float(number) for number in _NUMBER.findall(path)]
        xs, ys = numbers[0::2], numbers[1::2]
        margin = 3.2 * blur + width + 2
        left, top = min(xs) - margin, min(ys) - margin
        across, down = max(xs) + margin - left, max(ys) + margin - top
        self._defs.append(
            f'<filter id="{name}" filterUnits="userSpaceOnUse" x="{left:.1f}" y="{top:.1f}" '
            f'width="{across:.1f}" height="{down:.1f}" color-interpolation-filters="sRGB">'
            f'<feGaussianBlur stdDeviation="{blur:.2f}"/></filter>'
        )
        return f' filter="url(#{name})"'
