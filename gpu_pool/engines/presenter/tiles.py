"""Which parts of the head's rectangle need which work in a picture.

Much of the rectangle is not covered by the head at all, and most of the rest is covered wholly.
What is not covered is left alone, what is covered wholly needs no blending; both are looked up on
the coarse grid of the warp, in opacities that were widened by a cell beforehand.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.presenter.warp import CELL, Grid, moved

_BAND_CELLS = 12
"""Rows of cells per band: fewer bands cost fewer calls, more bands follow the outline closer."""

_SHORTEST_CELLS = 6
"""A wholly covered or empty stretch shorter than this is not worth calls of its own."""

_SLACK_PX = 3
"""For the bend of the warp within a cell and the reach of the interpolation."""

_EMPTY, _MIXED, _COVERED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Tile:
    """A piece of the rectangle, in luma pixels from its upper left corner; all even."""

    top: int
    bottom: int
    left: int
    right: int
    covered: bool

    def area(self, step: int) -> tuple[slice, slice]:
        """The piece in a plane; ``step`` 2 for half-size planes."""
        rows = slice(self.top // step, self.bottom // step)
        return rows, slice(self.left // step, self.right // step)


class Tiler:
    """Finds the tiles of a head.

    Args:
        alpha: opacity of the head's drawing.
        size: pixels of the drawing per pixel of the output.
        width: of the rectangle.
        height: of the rectangle.
    """

    def __init__(self, alpha: NDArray[np.uint8], size: float, width: int, height: int) -> None:
        radius = int(CELL * size * 0.75) + _SLACK_PX
        kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * radius + 1,) * 2)
        some, least = cv2.dilate(alpha, kernel) > 0, cv2.erode(alpha, kernel) == 255
        self._kinds = some.astype(np.uint8) + least.astype(np.uint8)
        self._width, self._height = width, height

    def whole(self, _: Grid) -> Iterator[Tile]:
        """The whole rectangle as one tile to be blended."""
        yield Tile(0, self._height, 0, self._width, False)

    def tiles(self, coarse: Grid) -> Iterator[Tile]:
        """Tiles for source coordinates on the coarse grid, shape (rows, columns, 2)."""
        kinds = moved(self._kinds, coarse, cv2.INTER_NEAREST)
        starts = range(0, kinds.shape[0], _BAND_CELLS)
        least = np.minimum.reduceat(kinds, starts, axis=0)
        most = np.maximum.reduceat(kinds, starts, axis=0)
        bands = np.where(least == most, most, _MIXED)
        for first, band in zip(starts, bands, strict=True):
            top, bottom = first * CELL, min((first + _BAND_CELLS) * CELL, self._height)
            for kind, left, right in _stretches(band):
                if kind != _EMPTY:
                    yield Tile(
                        top, bottom, left * CELL, min(right * CELL, self._width), kind == _COVERED
                    )


def _stretches(kinds: NDArray[np.integer]) -> list[list[int]]:
    """Runs [kind, start, end] of equal kind; a short run is mixed, whatever it was."""
    edges = [0, *(np.flatnonzero(np.diff(kinds)) + 1).tolist(), len(kinds)]
    runs: list[list[int]] = []
    for left, right in itertools.pairwise(edges):
        inner = left > 0 and right < len(kinds)
        kind = _MIXED if inner and right - left < _SHORTEST_CELLS else int(kinds[left])
        if runs and runs[-1][0] == kind:
            runs[-1][2] = right
        else:
            runs.append([kind, left, right])
    return runs
