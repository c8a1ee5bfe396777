"""What shows between open lips: dark, the tongue, and the upper teeth.

In Y, U and V of the aperture's rectangle only. Nothing here knows where the lips lie in a picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from gpu_pool.engines.photo.lips import NODES, Lips, Shape, Target
from gpu_pool.engines.photo.teeth import SPAN_X, SPAN_Y, Light, Teeth
from gpu_pool.engines.photo.warp import Grid, smooth

_DARK = (27.0, 124.0, 135.0)
_THROAT = (52.0, 118.0, 150.0)
_TONGUE = (96.0, 112.0, 158.0)
"""Y, U and V, BT.709 limited range, for skin of luma 150; they follow the light."""

_SKIN = 150.0


@dataclass(frozen=True, slots=True)
class Inside:
    """``colours`` (rows, columns, 3) Y, U, V as float32, and the aperture's ``opacity`` 0 to 1."""

    colours: Grid
    opacity: Grid


class Cavity:
    """Draws the inside of one avatar's mouth."""

    def __init__(self, teeth: Teeth, light: Light) -> None:
        self._teeth = teeth
        bright = float(np.clip(light.luma / _SKIN, 0.4, 1.15))
        self._dark, self._throat_at, self._tongue = (
            np.array((luma * bright, u + tint * light.u, v + tint * light.v), np.float32)
            for (luma, u, v), tint in ((_DARK, 0.3), (_THROAT, 0.7), (_TONGUE, 0.9))
        )

    def draw(self, lips: Lips, shape: Shape, to: Target, x: Grid, y: Grid) -> Inside:
        """The inside at points (x, y), a rectangle of pixels in the mouth's coordinates."""
        upper, lower, closed = (
            np.interp(x, NODES, curve).astype(np.float32)
            for curve in (to.upper, to.lower, _closed(lips, to))
        )
        pixel = np.float32(1 / lips.unit_px)
        near = np.minimum(y - upper, lower - y)
        opacity = np.clip(near / (1.6 * pixel) + 0.35, 0, 1)
        opacity *= np.clip((np.float32(to.half) - np.abs(x)) / (2 * pixel), 0, 1)
        across = x / np.float32(to.half)
        down = np.clip((y - upper) / np.maximum(lower - upper, 1e-3), 0, 1)
        colours = self._throat(shape, to, across, y, lower, down)
        self._lay_teeth(colours, shape, x, y, upper, closed)
        colours[..., 0] *= np.clip(near / 0.06, 0, 1) * 0.45 + 0.55
        return Inside(colours, cv2.GaussianBlur(opacity, (0, 0), 0.7))

    def _throat(
        self, shape: Shape, to: Target, across: Grid, y: Grid, lower: Grid, down: Grid
    ) -> Grid:
        part = down[..., None]
        colours = _mixed(self._dark, self._throat_at, part)
        lift = 0.15 + 0.16 * shape.tongue
        high = np.float32(max(0.05, min(lift, 0.75 * to.gap + 0.05)))
        bulge = np.clip(1 - ((across / 0.66) ** 2 + ((y - lower) / high) ** 2), 0, 1)
        return _mixed(colours, self._tongue, smooth(bulge * 1.5)[..., None])

    def _lay_teeth(
        self, colours: Grid, shape: Shape, x: Grid, y: Grid, upper: Grid, closed: Grid
    ) -> None:
        texture = self._teeth.texture
        rows, columns = texture.shape[:2]
        height = y - closed + np.float32(0.09 * shape.round)
        at_x = (x + SPAN_X / 2) * (columns / SPAN_X) - 0.5
        at_y = (height + SPAN_Y / 2) * (rows / SPAN_Y) - 0.5
        found = cv2.remap(texture, at_x.astype(np.float32), at_y.astype(np.float32),
                          cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
        least = 0.80 if self._teeth.own else 0.62
        sampled: Grid = np.asarray(found, np.float32)
        sampled[..., 0] *= np.clip((y - upper) / 0.07, 0, 1) * (1 - least) + least
        colours += (sampled[..., :3] - colours) * (sampled[..., 3:] / 255)


def _closed(lips: Lips, to: Target) -> Grid:
    return np.asarray(np.interp(NODES * (lips.half / to.half), NODES, lips.closed), np.float32)


def _mixed(one: Grid, other: Grid, part: Grid) -> Grid:
    return np.asarray(one + (other - one) * part)
