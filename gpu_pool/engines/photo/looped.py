"""A photo avatar's loop as the neural engines use it: each picture with the face's points in it.

Between the photo avatar's body and an engine. What an engine makes of a picture does not depend on
the sound; it is made once and kept, within a bound of memory. The body is the idle loop's at the
picture's tick, so nothing jumps where a task begins or ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.contracts import Picture, PictureFormat
from gpu_pool.engines.face.values import Points
from gpu_pool.engines.photo.body import Body, ClipBody, load
from gpu_pool.engines.photo.box import Box
from gpu_pool.engines.photo.folder import read_avatar
from gpu_pool.engines.photo.framing import shown_cut
from gpu_pool.engines.prepared import Prepared

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FaceMask:
    """How much of a drawn face is taken.

    Attributes:
        around: left, top, right and bottom of what it covers, in pixels of the channel's picture.
        mask: of that size, 0 to 255.
    """

    around: tuple[int, int, int, int]
    mask: NDArray[np.uint8]


class LoopedPictures:
    """The pictures of an avatar's loop at one format.

    Args:
        folder: of a photo avatar, a picture or a clip.
        picture: the channel's format.

    Raises:
        AvatarRefused: the folder is no avatar.
    """

    def __init__(self, folder: Path, picture: PictureFormat) -> None:
        self._body: Body = load(folder, picture)
        self._fps = picture.fps
        avatar = read_avatar(folder)
        self.stored = stored = avatar.summary
        """What the folder tells of itself."""
        shown, place = shown_cut(
            stored.width, stored.height, avatar.points, picture.width, picture.height
        )
        left, top, width, height = place or (0, 0, picture.width, picture.height)
        self._brought, self._brought_for = avatar.boxes, stored.boxes_for
        self._shown, self._origin = shown, np.array([left, top], np.float32)
        self.area = Box(top, top + height, left, left + width)
        """Of the channel's picture, in which the avatar is seen."""
        self.points: Points = self.placed(avatar.points)
        """(stored pictures, POINTS, 2) in pixels of the channel's picture, in the clip's order."""
        self.loop_ticks = self._body.loop_ticks(picture.fps)
        self._first: dict[int, int] = {}
        if isinstance(self._body, ClipBody):
            for tick in range(self.loop_ticks):
                self._first.setdefault(self._body.number_at(tick, self._fps), tick)

    def placed(self, points: Points) -> Points:
        """Where points of stored pictures lie in the channel's."""
        moved: Points = self._shown.points(points) + self._origin
        return moved

    def place(self, tick: int) -> int:
        """The first tick with the same picture: a clip has it on the way there and back."""
        if isinstance(self._body, ClipBody):
            return self._first[self._body.number_at(tick, self._fps)]
        return tick % self.loop_ticks

    def number(self, place: int) -> int:
        """Which stored picture is shown there; a row of ``points``."""
        if isinstance(self._body, ClipBody):
            return self._body.number_at(place, self._fps)
        return 0

    def places(self) -> list[int]:
        """Every place, in the order in which they are first shown."""
        return list(dict.fromkeys(self.place(tick) for tick in range(self.loop_ticks)))

    def boxes_for(self, engine: str) -> list[Box] | None:
        """The boxes that the avatar brought along for an engine, one a stored picture.

        In pixels of the channel's picture, within the avatar's part of it; None: it brought none.
        """
        if self._brought is None or self._brought_for != engine:
            return None
        area = self.area
        low = np.array([area.left, area.top] * 2)
        high = np.array([area.right, area.bottom] * 2)
        rounded = np.clip(np.rint(self._edges(self._brought.boxes)), low, high).astype(int)
        return [Box(top, bottom, left, right) for left, top, right, bottom in rounded.tolist()]

    def mask_for(self, engine: str, number: int) -> FaceMask | None:
        """The mask that a stored picture brought along for an engine; None: it brought none."""
        brought = self._brought
        if brought is None or self._brought_for != engine or brought.squares is None:
            return None
        assert brought.masks is not None, "they come together"
        edges = self._edges(brought.squares[number])
        return self._drawn_mask(brought.masks[number], edges.astype(float).tolist())

    def _drawn_mask(self, mask: NDArray[np.uint8], edges: list[float]) -> FaceMask:
        """What is seen of a mask: the part of it that lies within the avatar's part."""
        left, top, right, bottom = edges
        area = self.area
        x1, y1 = max(area.left, math.floor(left)), max(area.top, math.floor(top))
        x2, y2 = min(area.right, math.ceil(right)), min(area.bottom, math.ceil(bottom))
        rows, columns = mask.shape
        across, down = columns / (right - left), rows / (bottom - top)
        into = np.array(
            [
                [across, 0, (x1 + 0.5 - left) * across - 0.5],
                [0, down, (y1 + 0.5 - top) * down - 0.5],
            ]
        )
        how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        drawn = cv2.warpAffine(
            mask, into, (x2 - x1, y2 - y1), flags=how, borderMode=cv2.BORDER_REPLICATE
        )
        return FaceMask((x1, y1, x2, y2), np.asarray(drawn, np.uint8))

    def _edges(self, edges: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._shown.edges(edges) + np.tile(self._origin, 2)

    def picture(self, place: int) -> Picture:
        """The picture there, I420; the caller's own."""
        return self._body.picture(place, self._fps)


@dataclass(frozen=True, slots=True)
class Sized(Generic[T]):
    """Something that was made, and the bytes it takes."""

    made: T
    size_bytes: int


class Kept(Generic[T]):
    """What was made for the places of a loop, for as many as there is room for.

    Args:
        make: makes those of several places together.
        keep_bytes: the room.
    """

    def __init__(
        self, make: Callable[[Sequence[int]], Sequence[Sized[T]]], keep_bytes: int
    ) -> None:
        self._make, self._room = make, keep_bytes
        self._kept: dict[int, T] = {}

    def of(self, places: Sequence[int]) -> list[T]:
        """What belongs to these places, in their order."""
        fresh = [place for place in dict.fromkeys(places) if place not in self._kept]
        found = dict(zip(fresh, self._make(fresh), strict=True)) if fresh else {}
        for place, sized in found.items():
            if sized.size_bytes <= self._room:
                self._room -= sized.size_bytes
                self._kept[place] = sized.made
        return [self._kept[p] if p in self._kept else found[p].made for p in places]


def whole_loop(
    loop: LoopedPictures, prepared: Prepared[T], at_once: int
) -> Iterator[tuple[int, int, int]]:
    """Work out and keep what is not kept yet of a whole loop.

    Yields:
        How many pictures are done, how many there are, and how many were done before.
    """
    places = loop.places()
    for done, before in prepared.complete(places, at_once):
        yield done, len(places), before
