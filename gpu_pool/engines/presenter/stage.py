"""Studio and body: a picture for each phase of the breath, made once at load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.presenter import colour
from gpu_pool.engines.presenter.sheet import Sheet

PHASES = 16
"""Pictures from breath out to breath in: steps of a quarter of a pixel at 1080p."""

_RISE_UNITS, _WIDEN = 1.9, 0.0035
"""What a breath does to the shoulders: lift them, and make the chest this much wider."""

_NOISE_SEED = 20


@dataclass(frozen=True, slots=True)
class Place:
    """How the atlas's composition lies in the output.

    Attributes:
        width: of the output, pixels.
        height: of the output, pixels.
        size: output pixels per atlas pixel.
        left: output pixels cut off on the left.
        top: output pixels cut off above.
    """

    width: int
    height: int
    size: float
    left: int
    top: int

    @classmethod
    def of(cls, sheet: Sheet, width: int, height: int) -> Place:
        """Fill the output; what sticks out is cut: both sides alike, more below than above."""
        size = max(width / sheet.width, height / sheet.height)
        spare_x, spare_y = sheet.width * size - width, sheet.height * size - height
        return cls(width, height, size, 2 * round(spare_x / 4), 2 * round(spare_y * 0.25 / 2))

    def origin(self, sheet: Sheet) -> tuple[float, float]:
        """The point between the eyes, in output pixels."""
        return (sheet.head[0] * self.size - self.left, sheet.head[1] * self.size - self.top)


def studio_planes(sheet: Sheet, place: Place) -> colour.Planes:
    """The empty room as float32 planes with 1-2 levels of noise: dark gradients do not band."""
    bgr = sheet.cut(sheet.at["studio"], sheet.width, sheet.height)[..., :3]
    wide, high = round(sheet.width * place.size), round(sheet.height * place.size)
    if (wide, high) != (sheet.width, sheet.height):
        bgr = np.asarray(cv2.resize(bgr, (wide, high), interpolation=cv2.INTER_AREA))
    bgr = bgr[place.top : place.top + place.height, place.left : place.left + place.width]
    luma, u, v = colour.planes(np.ascontiguousarray(bgr).astype(np.float32))
    return luma + _noise(luma.shape, 1.5), u + _noise(u.shape, 0.6), v + _noise(v.shape, 0.6)


def _noise(shape: tuple[int, ...], reach: float) -> NDArray[np.float32]:
    """Triangular noise up to ``reach`` levels, the same in every process and on every machine."""
    dice = np.random.Generator(np.random.PCG64(_NOISE_SEED))
    first, second = dice.random((2, *shape), np.float32)
    return np.asarray((first - second) * reach, np.float32)


def _rounded(planes: colour.Planes) -> list[NDArray[np.uint8]]:
    return [np.clip(plane + 0.5, 0, 255).astype(np.uint8) for plane in planes]


class Stage:
    """Studio and body: the upper part once, the part with the body for each phase of the breath."""

    def __init__(self, sheet: Sheet, place: Place) -> None:
        self._place = place
        body = _Body(sheet, place)
        still = _rounded(studio_planes(sheet, place))
        self._top = body.top
        self._upper = [plane[: self._top // step] for plane, step in _steps(still)]
        rooms = [np.ascontiguousarray(plane[self._top // step :]) for plane, step in _steps(still)]
        self._phases = [body.over(rooms, phase / (PHASES - 1)) for phase in range(PHASES)]

    def picture(self, breath: float) -> NDArray[np.uint8]:
        """I420 without the head, uint8 of shape (height*3//2, width); the caller's own."""
        height, width = self._place.height, self._place.width
        picture = np.empty((height * 3 // 2, width), np.uint8)
        lower = self._phases[round(breath * (PHASES - 1))]
        planes = colour.unpack(picture.reshape(-1), height, width)
        for (plane, step), above, below in zip(_steps(planes), self._upper, lower, strict=True):
            plane[: self._top // step] = above
            plane[self._top // step :] = below
        return picture


def _steps(planes: Sequence[NDArray[np.uint8]]) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Planes with the luma pixels that one of their pixels stands for, each way."""
    return zip(planes, (1, 2, 2), strict=True)


class _Body:
    """The body's layer, stretched a little for each phase and laid over the room.

    Attributes:
        top: the first row of the output that the body may touch; even.
    """

    def __init__(self, sheet: Sheet, place: Place) -> None:
        self._place, self._units = place, sheet.scale * place.size
        self._box = box = sheet.boxes["body"]
        self._origin = place.origin(sheet)
        reach = _RISE_UNITS * self._units + 2
        self.top = max(0, 2 * int((self._origin[1] + box.top * place.size - reach) / 2))
        bgra = sheet.sprite("body", sheet.at["body"])
        alpha, size = np.ascontiguousarray(bgra[..., 3]), (box.width // 2, box.height // 2)
        half = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.uint8)

        planes = colour.planes(np.ascontiguousarray(bgra[..., :3]))
        self._alphas = (alpha, half, half)
        self._planes = [
            colour.times(plane, cover) for plane, cover in zip(planes, self._alphas, strict=True)
        ]

    def over(self, rooms: list[NDArray[np.uint8]], breath: float) -> list[NDArray[np.uint8]]:
        """The rows from ``top`` on, as planes, with the body of one phase before the room."""
        full, half = self._where(breath, 1), self._where(breath, 2)
        clear, half_clear = (
            255 - np.asarray(cv2.remap(alpha, *where, cv2.INTER_LINEAR), np.uint8)
            for alpha, where in zip(self._alphas, (full, half), strict=False)
        )
        stacked = []
        for room, plane, where, see in zip(
            rooms, self._planes, (full, half, half), (clear, half_clear, half_clear), strict=True
        ):
            body = cv2.remap(plane, *where, cv2.INTER_LINEAR)
            stacked.append(np.asarray(cv2.add(colour.times(room, see), body), np.uint8))
        return stacked

    def _where(self, breath: float, step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Where in the layer's planes each pixel of the output's planes takes its value."""
        rows, columns = (self._place.height - self.top) // step, self._place.width // step
        size = self._place.size
        x = (np.arange(columns) + 0.5) * step - self._origin[0]
        y = (np.arange(rows) + 0.5) * step + self.top - self._origin[1]
        # most at the shoulders, little at the waist
        lift = np.interp(y / self._units, [60, 200, 300, 640], [0.5, 1.0, 0.9, 0.3])
        across = x / (1 + _WIDEN * breath)
        down = y + breath * _RISE_UNITS * self._units * lift
        across = (across / size - self._box.left) / step - 0.5
        down = (down / size - self._box.top) / step - 0.5
        map_x, map_y = np.meshgrid(across.astype(np.float32), down.astype(np.float32))
        return map_x, map_y
