"""Teeth: the avatar's own where some picture shows them, drawn ones otherwise.

They are fixed to the skull: in the mouth's own coordinates they stay where they are while the lips
move over them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.face.values import Points
from gpu_pool.engines.photo.lips import NODES, Lips
from gpu_pool.engines.photo.source import Bgr

_WIDE, _HIGH = 192, 96
"""Pixels of the texture."""

SPAN_X, SPAN_Y = 1.2, 0.6
"""Units that it covers: x around the middle, y around where the lips meet."""

_SHOWN_GAP = 0.08
"""Lips this far apart, in mouth widths, can show teeth."""

_LOOKED_AT = 24
"""Pictures of a clip, those of the widest mouths, that are looked at for teeth."""

_BRIGHT = 0.80
"""Of the skin's brightness: teeth are about as bright, tongue and cavity never."""

_SKIN_U, _SKIN_V = 115.0, 146.0
"""Chroma of skin in white light, BT.709."""

_VALLEY = 0.90
"""Between the rows of teeth it is at least so much darker than on both."""

_ENOUGH = 0.35
"""Part of the open mouth that has to be bright."""

Texture = NDArray[np.floating[Any]]
"""Planes of the texture's size."""


def best_teeth(points: Points, picture_at: Callable[[int], Bgr]) -> int | None:
    """The number of the picture that shows teeth best, None where none does.

    Args:
        points: (pictures, POINTS, 2).
        picture_at: the BGR picture of a number.
    """
    unit = unit_of(points)
    gaps = np.array([Lips.of(each, unit).gap for each in points])
    best, most = None, _ENOUGH
    for number in np.argsort(-gaps)[:_LOOKED_AT]:
        if gaps[number] < _SHOWN_GAP:
            break
        grey = np.asarray(cv2.cvtColor(picture_at(int(number)), cv2.COLOR_BGR2GRAY), np.uint8)
        lips = Lips.of(points[number], unit)
        inside = sample(grey, lips)[_between(lips)]
        bright = float((inside > _BRIGHT * skin_level(grey, lips)).mean())
        if bright > most:
            best, most = int(number), bright
    return best


def unit_of(points: Points) -> float:
    """The resting mouth's width in pixels: the median of all pictures."""
    return float(np.median(np.linalg.norm(points[:, 10] - points[:, 0], axis=1)))


def _grid() -> tuple[Texture, Texture]:
    x = (np.arange(_WIDE, dtype=np.float32) + 0.5) / _WIDE * SPAN_X - SPAN_X / 2
    y = (np.arange(_HIGH, dtype=np.float32) + 0.5) / _HIGH * SPAN_Y - SPAN_Y / 2
    across, down = np.meshgrid(x, y)
    return across, down


_X, _Y = _grid()


def _between(lips: Lips) -> NDArray[np.bool_]:
    """Which pixels of the texture lie between the lips."""
    y = _Y + np.interp(_X, NODES, lips.closed)
    upper, lower = (np.interp(_X, NODES, curve) for curve in (lips.upper, lips.lower))
    inside = (y > upper + 0.01) & (y < lower - 0.01) & (np.abs(_X) < 0.9 * lips.half)
    return np.asarray(inside, np.bool_)


def sample(plane: NDArray[np.uint8], lips: Lips, step: int = 1) -> Texture:
    """What a plane shows where the texture lies, float32 (_HIGH, _WIDE); lips are not left out."""
    y = _Y + np.interp(_X, NODES, lips.closed).astype(np.float32)
    at = np.stack([_X, y], axis=-1) * np.float32(lips.unit_px) @ lips.turn + lips.centre
    at = ((at + 0.5) / step - 0.5).astype(np.float32)
    found = cv2.remap(plane, at, np.empty(0, np.float32), cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    return found.astype(np.float32)


def skin_level(luma: NDArray[np.uint8], lips: Lips, step: int = 1) -> float:
    """What a plane has on the cheeks beside the mouth, 0 to 255; chroma planes have step 2."""
    at = np.array([[-0.95, -0.25], [-0.8, -0.35], [0.8, -0.35], [0.95, -0.25]], np.float32)
    places = (at * np.float32(lips.unit_px) @ lips.turn + lips.centre) / step
    levels = []
    for x, y in places:
        column, row = round(float(x)), round(float(y))
        patch = luma[max(0, row - 4) : row + 5, max(0, column - 4) : column + 5]
        levels.append(float(np.median(patch)) if patch.size else 150.0)
    return float(np.median(levels))


@dataclass(frozen=True, slots=True)
class Light:
    """The light on a face: how bright its skin is, and how far its colour is from plain skin's."""

    luma: float
    u: float
    v: float

    @classmethod
    def on(cls, planes: tuple[NDArray[np.uint8], ...], lips: Lips) -> Light:
        """As seen on the cheeks."""
        luma, u, v = (skin_level(p, lips, step) for p, step in zip(planes, (1, 2, 2), strict=True))
        return cls(luma, u - _SKIN_U, v - _SKIN_V)


@dataclass(frozen=True, slots=True)
class Teeth:
    """Texture (_HIGH, _WIDE, 4): Y, U, V and opacity, each 0 to 255; ``own`` if photographed."""

    texture: Texture
    own: bool

    @classmethod
    def drawn(cls, light: Light) -> Teeth:
        """A row of upper teeth, as bright as the light on the skin allows."""
        x, y = np.abs(_X) / 0.5, _Y
        edge = 0.105 * (1 - 0.5 * x**2.2) - 0.02
        opacity = np.clip((edge - y) / 0.012 + 0.5, 0, 1) * np.clip((0.84 - x) / 0.12, 0, 1)
        gaps = 1 - 0.07 * np.exp(-((((_X / 0.5 * 4.0 + 0.5) % 1 - 0.5) / 0.08) ** 2))
        bright = float(np.clip(light.luma / 165, 0.5, 1.12))
        luma = 158 * bright * (1 - 0.42 * x**1.7) * gaps
        return cls(_stacked(luma, 122.0 + light.u, 132.0 + light.v, 255 * opacity), own=False)

    @classmethod
    def photographed(cls, planes: tuple[NDArray[np.uint8], ...], lips: Lips) -> Teeth:
        """Those of a picture; above its lip the uppermost row goes on."""
        luma, u, v = (sample(p, lips, step) for p, step in zip(planes, (1, 2, 2), strict=True))
        closed, upper, lower = (
            np.interp(_X[0], NODES, curve) for curve in (lips.closed, lips.upper, lips.lower)
        )
        gap = np.maximum(lower - upper, 0.01)
        first, last = (upper - closed) + 0.16 * gap, (lower - closed) - 0.10 * gap
        last = np.minimum(last, _end_of_upper_row(luma, first, last))
        rows = np.clip(_Y, first, last)
        back = ((rows + SPAN_Y / 2) / SPAN_Y * _HIGH - 0.5).astype(np.float32)
        columns = np.broadcast_to(np.arange(_WIDE, dtype=np.float32), back.shape).copy()
        luma, u, v = (_moved(plane, columns, back) for plane in (luma, u, v))
        bottom = last + 0.06 * gap
        opacity = np.clip((bottom - _Y) / 0.016 + 0.5, 0, 1)
        opacity = opacity * np.clip((0.95 - np.abs(_X) / lips.half) / 0.12, 0, 1)
        return cls(_stacked(luma, u, v, 255 * opacity), own=True)


def _moved(plane: Texture, columns: Texture, rows: Texture) -> Texture:
    return np.asarray(cv2.remap(plane, columns, rows, cv2.INTER_LINEAR), np.float32)


def _end_of_upper_row(
    luma: Texture, first: NDArray[np.float64], last: NDArray[np.float64]
) -> float:
    """Where the upper teeth end above lower ones, in units; far down where only one row shows."""
    middle = slice(_WIDE // 2 - 24, _WIDE // 2 + 24)
    low, high = float(first[middle].mean()), float(last[middle].mean())
    rows = np.flatnonzero((_Y[:, 0] > low) & (_Y[:, 0] < high))
    if len(rows) < 8:
        return SPAN_Y
    bright = np.convolve(luma[rows, middle].mean(axis=1), np.ones(3) / 3, mode="same")[1:-1]
    upper = int(bright[: max(1, len(bright) * 2 // 3)].argmax())
    for at in range(upper + 1, len(bright) - 1):
        deep = bright[at] < _VALLEY * min(bright[: at + 1].max(), bright[at:].max())
        if deep and bright[at] <= bright[at + 1]:
            return float(_Y[rows[at + 1], 0])
    return SPAN_Y


def _stacked(luma: Texture, u: Texture | float, v: Texture | float, opacity: Texture) -> Texture:
    texture = np.empty((_HIGH, _WIDE, 4), np.float32)
    texture[..., 0], texture[..., 1], texture[..., 2], texture[..., 3] = luma, u, v, opacity
    return texture
