"""The head's drawing as planes, with the mouth and the eyes of the moment set into it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.presenter import colour
from gpu_pool.engines.presenter.sheet import Box, Sheet
from gpu_pool.engines.presenter.values import Mouth

Flat = NDArray[np.uint8]

_FEATHER_PX = 6
"""Border over which a sprite fades into the head: WebP codes the two a little differently."""


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))


def opening_of(mouth: Mouth) -> float:
    """How far the mouth is open, 0..1."""
    return _clip(mouth.open)


def spread_of(mouth: Mouth) -> float:
    """-1 round .. 1 wide."""
    return _clip(mouth.wide) - _clip(mouth.round)


def bracket(steps: Sequence[float], value: float) -> tuple[int, float]:
    """The step at or below a value, and the part of the way to the next one."""
    value = min(max(value, steps[0]), steps[-1])
    index = min(bisect_right(steps, value) - 1, len(steps) - 2)
    low, high = steps[index], steps[index + 1]
    return index, (value - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Weighted:
    """Sprites and their shares, which sum to 1."""

    sprites: Sequence[Flat]
    shares: Sequence[float]


class Patch:
    """A rectangle of the head whose content is mixed from sprites."""

    def __init__(self, sheet: Sheet, part: str, size: float) -> None:
        self._sheet, self._part = sheet, part
        head, box = sheet.boxes["head"], sheet.boxes[part]
        scaled = _scaled(Box(box.left - head.left, box.top - head.top, box.width, box.height), size)
        self.box = scaled
        whole = sheet.sprite("head", sheet.at["head"])
        top, left = box.top - head.top, box.left - head.left
        own = whole[top : top + box.height, left : left + box.width]
        self._ground = own[..., :3].astype(np.float32)
        self._alpha = _packed_alpha(own[..., 3], scaled)
        self._mask = _feathered(box.height, box.width)
        edge, end = slice(None, _FEATHER_PX), slice(-_FEATHER_PX, None)
        inner = slice(_FEATHER_PX, -_FEATHER_PX)
        self._border = ((edge,), (end,), (inner, edge), (inner, end))

    def sprites(self, corners: Sequence[Sequence[int]]) -> list[Flat]:
        """Sprites of the atlas as packed planes at the head's size."""
        return [self._packed(self._sheet.sprite(self._part, corner)) for corner in corners]

    def _packed(self, sprite: NDArray[np.uint8]) -> Flat:
        bgr = np.ascontiguousarray(sprite[..., :3])
        for strip in self._border:
            mixed = self._ground[strip] + (bgr[strip] - self._ground[strip]) * self._mask[strip]
            bgr[strip] = (mixed + 0.5).astype(np.uint8)
        if bgr.shape[:2] != (self.box.height, self.box.width):
            size = (self.box.width, self.box.height)
            bgr = np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), np.uint8)
        flat = np.asarray(colour.packed(colour.planes(bgr)), np.uint8)
        return colour.times(flat, self._alpha).reshape(-1)

    def mixed(self, choice: Weighted) -> colour.Planes:
        """Planes of a mixture."""
        flat = _mix(choice)
        return colour.unpack(flat, self.box.height, self.box.width)


def _mix(choice: Weighted) -> Flat:
    """Shares of 8-bit sprites, summed in pairs by OpenCV."""
    pairs = [(s, w) for s, w in zip(choice.sprites, choice.shares, strict=True) if w > 0.002]
    mixed, total = pairs[0]
    for sprite, share in pairs[1:]:
        total += share
        part = share / total
        blended = cv2.addWeighted(mixed, 1 - part, sprite, part, 0)
        mixed = np.asarray(blended, np.uint8).reshape(-1)
    return mixed


def _packed_alpha(alpha: NDArray[np.uint8], box: Box) -> Flat:
    """The head's opacity under a patch, once for luma and once for each chroma plane."""
    full = cv2.resize(alpha, (box.width, box.height), interpolation=cv2.INTER_AREA)
    half = cv2.resize(full, (box.width // 2, box.height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(colour.packed((full, half, half)), np.uint8)


def _feathered(height: int, width: int) -> NDArray[np.float32]:
    down = np.minimum(np.arange(height), np.arange(height)[::-1])[:, None]
    across = np.minimum(np.arange(width), np.arange(width)[::-1])[None, :]
    near = np.minimum(down, across) / _FEATHER_PX
    return np.asarray(np.clip(near, 0, 1)[..., None], np.float32)


def _scaled(box: Box, size: float) -> Box:
    def even(value: float) -> int:
        return 2 * round(value * size / 2)

    return Box(even(box.left), even(box.top), even(box.width), even(box.height))


class Head:
    """The head at one size.

    Args:
        sheet: the atlas.
        size: of the head's drawing, as a part of the atlas's.
    """

    def __init__(self, sheet: Sheet, size: float) -> None:
        box = sheet.boxes["head"]
        self.box = _scaled(box, size)
        bgra = sheet.sprite("head", sheet.at["head"])
        self._luma, self.alpha, self._chroma, self.half_alpha = _premultiplied(bgra, self.box)
        self._mouth, self._eyes = Patch(sheet, "mouth", size), Patch(sheet, "eyes", size)
        self._steps = sheet.steps
        corners: Any = sheet.at["mouth"]
        self._grid, self._press, self._tuck, self._tongue = (
            self._mouth.sprites(corners[group]) for group in ("grid", "press", "tuck", "tongue")
        )
        self._lids = self._eyes.sprites(sheet.at["eyes"])

    def planes(self, mouth: Mouth, lid: float, gaze: float) -> tuple[Flat, Flat, Flat]:
        """Premultiplied Y, U and V with this mouth and these eyes.

        The arrays are the head's own and change with the next call.
        """
        for patch, choice in (
            (self._eyes, self._look(lid, gaze)),
            (self._mouth, self._speak(mouth)),
        ):
            luma, u, v = patch.mixed(choice)
            box = patch.box
            self._luma[box.top : box.top + box.height, box.left : box.left + box.width] = luma
            rows = slice(box.top // 2, (box.top + box.height) // 2)
            columns = slice(box.left // 2, (box.left + box.width) // 2)
            self._chroma[0][rows, columns] = u
            self._chroma[1][rows, columns] = v
        return self._luma, self._chroma[0], self._chroma[1]

    def _look(self, lid: float, gaze: float) -> Weighted:
        row, down = bracket(self._steps["lid"], lid)
        column, across = bracket(self._steps["gaze"], gaze)
        return self._four(self._lids, row, down, column, across, len(self._steps["gaze"]))

    def _speak(self, mouth: Mouth) -> Weighted:
        opening, spread = opening_of(mouth), spread_of(mouth)
        row, down = bracket(self._steps["open"], opening)
        column, across = bracket(self._steps["spread"], spread)
        grid = self._four(self._grid, row, down, column, across, len(self._steps["spread"]))
        sprites, shares = list(grid.sprites), list(grid.shares)
        for group, name, at, weight in (
            (self._tongue, "tongue", opening, _clip(mouth.tongue) * _clip(opening / 0.12)),
            (self._tuck, "tuck", opening, _clip(mouth.tuck)),
            (self._press, "press", spread, _clip(mouth.press) * _clip(1 - opening / 0.3)),
        ):
            if weight > 0.002:
                index, part = bracket(self._steps[name], at)
                shares = [share * (1 - weight) for share in shares]
                sprites += [group[index], group[index + 1]]
                shares += [weight * (1 - part), weight * part]
        return Weighted(sprites, shares)

    @staticmethod
    def _four(
        sprites: Sequence[Flat], row: int, down: float, column: int, across: float, columns: int
    ) -> Weighted:
        first = row * columns + column
        return Weighted(
            [sprites[first + shift] for shift in (0, 1, columns, columns + 1)],
            [(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across],
        )


def _premultiplied(
    bgra: NDArray[np.uint8], box: Box
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[NDArray[np.uint8]], NDArray[np.uint8]]:
    size = (box.width, box.height)
    if bgra.shape[:2] != (box.height, box.width):
        bgra = np.asarray(cv2.resize(bgra, size, interpolation=cv2.INTER_AREA), np.uint8)
    luma, u, v = colour.planes(np.ascontiguousarray(bgra[..., :3]))
    alpha = np.ascontiguousarray(bgra[..., 3])
    half = cv2.resize(alpha, (box.width // 2, box.height // 2), interpolation=cv2.INTER_AREA)
    half_alpha = np.asarray(half, np.uint8)
    return (
        colour.times(luma, alpha),
        alpha,
        [colour.times(plane, half_alpha) for plane in (u, v)],
        half_alpha,
    )
