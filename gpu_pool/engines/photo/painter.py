"""Lays a talking mouth over a picture: only the rectangle around it, plane by plane.

Between the body (idle life, or the clip's own motion) and the picture ring. Where nothing moves it
copies exactly what lies there, so there is no edge to hide.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.photo.cavity import Cavity
from gpu_pool.engines.photo.lips import Lips, Shape, Target, target
from gpu_pool.engines.photo.warp import Grid, Sources, sources
from gpu_pool.engines.photo.yuv import Planes

CELL = 4
"""Pixels between grid points of the mouth's fields, which bend over a dozen pixels or more."""

_OPEN_PX = 0.8
"""Lips nearer to each other than this are shut: nothing is drawn between them."""

_NO_SECOND_MAP: NDArray[np.float32] = np.empty(0, np.float32)


class Desk:
    """Arrays that are used again for every picture: fresh ones cost more than what is drawn."""

    def __init__(self) -> None:
        self._papers: dict[str, NDArray[np.float32]] = {}

    def paper(self, use: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The array for a use; what was on it is lost."""
        held = self._papers.get(use)
        if held is None or held.shape != shape:
            held = self._papers[use] = np.empty(shape, np.float32)
        return held

    def clear(self) -> None:
        """Let go of every array."""
        self._papers.clear()


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of a picture in pixels, all even; its grid has one cell more all around."""

    left: int
    top: int
    width: int
    height: int
    cell: int = CELL

    @classmethod
    def within(
        cls, box: tuple[float, float, float, float], width: int, height: int, cell: int = CELL
    ) -> Area:
        """The rectangle around left, top, right, bottom, inside a picture of this size."""
        left, top = (2 * int(max(0.0, low) // 2) for low in box[:2])
        right, bottom = (
            min(most, 2 * int(-(-max(0.0, high) // 2)))
            for high, most in zip(box[2:], (width, height), strict=True)
        )
        return cls(left, top, max(0, right - left), max(0, bottom - top), cell)

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of the grid, without the cells around."""
        return -(-self.height // self.cell), -(-self.width // self.cell)

    def grid(self) -> Grid:
        """Middles of the cells, (rows + 2, columns + 2, 2) x and y in pixels of the picture."""
        rows, columns = self.cells
        half = (self.cell - 1) / 2
        x = (np.arange(columns + 2) - 1) * self.cell + half + self.left
        y = (np.arange(rows + 2) - 1) * self.cell + half + self.top
        return np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32)

    def spread(self, grid: Grid, step: int = 1, desk: Desk | None = None, use: str = "") -> Grid:
        """Values for every pixel (step 1) or every second one (step 2, chroma), from the grid's.

        With a desk they lie on it until the next call for the same ``use``.
        """
        rows, columns = grid.shape[:2]
        cell = self.cell // step
        shape = (rows * cell, columns * cell, *grid.shape[2:])
        fine = np.empty(shape, np.float32) if desk is None else desk.paper(f"{use}{step}", shape)
        size = shape[1], shape[0]
        cv2.resize(grid, size, dst=fine, interpolation=cv2.INTER_LINEAR)
        return fine[cell : cell + self.height // step, cell : cell + self.width // step]

    def of(self, plane: NDArray[np.uint8], step: int = 1) -> NDArray[np.uint8]:
        """The rectangle's part of a plane."""
        top, left = self.top // step, self.left // step
        return plane[top : top + self.height // step, left : left + self.width // step]


def chroma(at: Grid) -> Grid:
    """Places in a chroma plane of places in luma."""
    return at * np.float32(0.5) - np.float32(0.25)


def take(
    plane: NDArray[np.uint8], at: Grid, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """A plane's values at places (x, y), into ``out``; beyond its border the last ones go on."""
    how = cv2.INTER_LINEAR
    found = cv2.remap(plane, at, _NO_SECOND_MAP, how, dst=out, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.uint8)


@dataclass(frozen=True, slots=True)
class Canvas:
    """What is painted on and from where.

    Attributes:
        out: planes of the picture that is made.
        source: planes that colours are taken from.
        area: the rectangle to paint, in ``out``.
        at: for each point of the area's grid its place in ``source``'s luma.
    """

    out: Planes
    source: Planes
    area: Area
    at: Grid


class MouthPainter:
    """Paints one avatar's mouth."""

    def __init__(self, cavity: Cavity) -> None:
        self._cavity = cavity
        self._desk = Desk()

    def paint(self, canvas: Canvas, lips: Lips, shape: Shape) -> None:
        """Warp the mouth of ``lips``, which lies in the source's pixels, to a shape."""
        own = (canvas.at - lips.centre) @ lips.turn.T / np.float32(lips.unit_px)
        x, y = np.ascontiguousarray(own[..., 0]), np.ascontiguousarray(own[..., 1])
        to = target(lips, shape)
        found = sources(lips, shape, to, x, y)
        self._warp(canvas, lips, found)
        if max(to.gap, lips.gap) * lips.unit_px >= _OPEN_PX:
            self._fill(canvas, lips, shape, to, own)

    def _warp(self, canvas: Canvas, lips: Lips, found: Sources) -> None:
        above, beneath = (_places(lips, found.x, y) for y in (found.upper, found.lower))
        area = canvas.area
        for step in (1, 2):
            if step == 2:
                above, beneath = chroma(above), chroma(beneath)
            at = area.spread(above, step, self._desk, "above")
            below = area.spread(found.below, step, self._desk, "below") > 0
            cv2.copyTo(area.spread(beneath, step, self._desk, "beneath"), below.view(np.uint8), at)
            for out, source in _pairs(canvas, step):
                take(source, at, area.of(out, step))

    def _fill(self, canvas: Canvas, lips: Lips, shape: Shape, to: Target, own: Grid) -> None:
        part = _aperture(canvas.area, to, own)
        if part is None:
            return
        hole, grid = part
        fine = hole.spread(grid)
        inside = self._cavity.draw(
            lips, shape, to, np.ascontiguousarray(fine[..., 0]), np.ascontiguousarray(fine[..., 1])
        )
        half = (hole.width // 2, hole.height // 2)
        small, opacity = (
            np.asarray(cv2.resize(each, half, interpolation=cv2.INTER_AREA), np.float32)
            for each in (inside.colours, inside.opacity)
        )
        _blend(hole.of(canvas.out[0]), inside.colours[..., 0], inside.opacity)
        for number in (1, 2):
            _blend(hole.of(canvas.out[number], 2), small[..., number], opacity)


def _pairs(canvas: Canvas, step: int) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    chosen = slice(0, 1) if step == 1 else slice(1, 3)
    return list(zip(canvas.out[chosen], canvas.source[chosen], strict=True))


def _places(lips: Lips, x: Grid, y: Grid) -> Grid:
    """From the mouth's coordinates to pixels."""
    own = np.stack([x, y], axis=-1) * np.float32(lips.unit_px)
    return np.asarray(own @ lips.turn + lips.centre, np.float32)


def _aperture(area: Area, to: Target, own: Grid) -> tuple[Area, Grid] | None:
    """The part of an area that the open mouth can touch, and its grid."""
    x, y = own[1:-1, 1:-1, 0], own[1:-1, 1:-1, 1]
    margin = 0.04
    inside = np.abs(x) < to.half + margin
    inside &= (y > to.upper.min() - margin) & (y < to.lower.max() + margin)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    cell = area.cell
    height = min((int(rows[-1]) + 1 - top) * cell, area.height - top * cell)
    width = min((int(columns[-1]) + 1 - left) * cell, area.width - left * cell)
    hole = Area(area.left + left * cell, area.top + top * cell, width, height, cell)
    return hole, own[top : int(rows[-1]) + 3, left : int(columns[-1]) + 3]


def _blend(target: NDArray[np.uint8], over: Grid, opacity: Grid) -> None:
    mixed = target + (over - target) * opacity
    target[:] = np.clip(mixed + np.float32(0.5), 0, 255).astype(np.uint8)
