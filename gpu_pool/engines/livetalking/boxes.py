"""The boxes and masks of a brought avatar, checked against its pictures.

Between the stranger's files and our own folder. Pictures without a face get the box in between.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.face.refused import AvatarRefused
from gpu_pool.engines.livetalking.coordinates import MOST_BYTES, Corners, read_boxes
from gpu_pool.engines.livetalking.layout import BOXES, MASKS, PICTURES, SQUARES, WAV2LIP, Layout
from gpu_pool.engines.livetalking.stranger import StrangersFolder
from gpu_pool.engines.photo.create import filled
from gpu_pool.engines.photo.source import picture_of
from gpu_pool.engines.photo.stored_boxes import MASK_SIDE, Edges

_NO_FACE: Corners = (0, 0, 0, 0)
"""What MuseTalk's preparation writes for a picture in which it found none."""

_LARGEST_MASK_PX = 4096
_MOST_MASK_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Boxes:
    """Of every picture, in its pixels.

    Attributes:
        boxes: (pictures, 4): left, top, right and bottom edge.
        held: numbers of the pictures without a face; they have the boxes in between.
        squares: what the masks cover, likewise; None without masks.
    """

    boxes: Edges
    held: tuple[int, ...]
    squares: Edges | None = None

    def first(self, count: int) -> Boxes:
        """Those of the first pictures."""
        squares = None if self.squares is None else self.squares[:count]
        held = tuple(number for number in self.held if number < count)
        return replace(self, boxes=self.boxes[:count], held=held, squares=squares)

    def go_back(self) -> bool:
        """Whether the second half is the first one, backwards."""
        every = self.boxes if self.squares is None else np.hstack([self.boxes, self.squares])
        return len(every) > 2 and len(every) % 2 == 0 and bool((every == every[::-1]).all())


def boxes_of(folder: StrangersFolder, layout: Layout, width: int, height: int) -> Boxes:
    """The boxes of a folder whose pictures have this size.

    Raises:
        AvatarRefused: names the file and the entry.
    """
    corners = _read(folder, BOXES, layout)
    if layout.engine == WAV2LIP:
        corners = [(x1, y1, x2, y2) for y1, y2, x1, x2 in corners]
    there = [number for number, each in enumerate(corners) if each != _NO_FACE]
    if not there:
        raise AvatarRefused(f"{BOXES}: there is a face in no picture")
    for number in there:
        _check_box(corners[number], width, height, f"{BOXES}: entry {number}")
    count = len(corners)
    held = tuple(sorted(set(range(count)) - set(there)))
    boxes = filled(np.array([corners[n] for n in there], np.float32), there, count)
    if not layout.masks:
        return Boxes(boxes, held)
    around = _read(folder, SQUARES, layout)
    for number in there:
        _check_square(around[number], corners[number], f"{SQUARES}: entry {number}")
    squares = filled(np.array([around[n] for n in there], np.float32), there, count)
    squares[:, :2] = np.minimum(squares[:, :2], boxes[:, :2])
    squares[:, 2:] = np.maximum(squares[:, 2:], boxes[:, 2:])
    return Boxes(boxes, held, squares)


def masks_of(folder: StrangersFolder, layout: Layout, boxes: Boxes) -> NDArray[np.uint8]:
    """The masks, (pictures, MASK_SIDE, MASK_SIDE); a picture without a face has its neighbour's.

    Raises:
        AvatarRefused: one is damaged, or has another size than its entry says.
    """
    assert boxes.squares is not None, "they come with masks"
    found: dict[int, NDArray[np.uint8]] = {}
    for number, (name, edges) in enumerate(zip(layout.masks, boxes.squares, strict=False)):
        if number not in boxes.held:
            size = int(edges[2] - edges[0]), int(edges[3] - edges[1])
            found[number] = _mask(folder, name, size)
    there = np.array(list(found))
    count = len(boxes.boxes)
    nearest = (int(there[np.abs(there - number).argmin()]) for number in range(count))
    return np.stack([found[number] for number in nearest])


def _read(folder: StrangersFolder, file: str, layout: Layout) -> list[Corners]:
    found = read_boxes(folder.read(file, MOST_BYTES), file)
    if len(found) != len(layout.pictures):
        raise AvatarRefused(
            f"{file}: {len(found)} boxes, and {len(layout.pictures)} pictures in {PICTURES}"
        )
    return found


def _check_box(box: Corners, width: int, height: int, place: str) -> None:
    left, top, right, bottom = box
    if left >= right or top >= bottom:
        raise AvatarRefused(f"{place}: the box is empty")
    if min(left, top) < 0 or right > width or bottom > height:
        raise AvatarRefused(f"{place}: the box lies outside the picture of {width}x{height}")


def _check_square(square: Corners, box: Corners, place: str) -> None:
    left, top, right, bottom = square
    if (
        not 0
        < min(right - left, bottom - top)
        <= max(right - left, bottom - top)
        <= (_LARGEST_MASK_PX)
    ):
        raise AvatarRefused(f"{place}: sides of 1 to {_LARGEST_MASK_PX} pixels are needed")
    if left > box[0] or top > box[1] or right < box[2] or bottom < box[3]:
        raise AvatarRefused(f"{place}: it does not hold the box of its face")


def _mask(folder: StrangersFolder, name: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    data = folder.read(name, _MOST_MASK_BYTES, MASKS)
    try:
        bgr = picture_of(data, most_pixels=_LARGEST_MASK_PX**2, shortest_side=1)
    except AvatarRefused as error:
        raise AvatarRefused(f"{MASKS}/{name}: {error}") from error
    if (bgr.shape[1], bgr.shape[0]) != size:
        raise AvatarRefused(
            f"{MASKS}/{name}: it has {bgr.shape[1]}x{bgr.shape[0]} pixels,"
            f" and {size[0]}x{size[1]} in {SQUARES}"
        )
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    how = cv2.INTER_AREA if min(size) >= MASK_SIDE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(grey, (MASK_SIDE, MASK_SIDE), interpolation=how), np.uint8)


def told_held(held: Sequence[int]) -> str:
    """Which pictures had no face, as ``3, 7 to 9``."""
    runs = []
    for _, run in itertools.groupby(enumerate(held), lambda each: each[1] - each[0]):
        numbers = [number for _, number in run]
        runs.append(f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else str(numbers[0]))
    return ", ".join(runs[:10]) + (", ..." if len(runs) > 10 else "")
