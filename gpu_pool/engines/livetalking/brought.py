"""A brought avatar, opened: its layout and boxes checked, its pictures one at a time.

At import only. A picture's size is read before it is decoded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import cv2

from gpu_pool.engines.face.refused import AvatarRefused
from gpu_pool.engines.livetalking.boxes import Boxes, boxes_of
from gpu_pool.engines.livetalking.layout import FACES, PICTURES, Layout, recognised
from gpu_pool.engines.livetalking.stranger import StrangersFolder
from gpu_pool.engines.photo.clip import MOST_PIXELS
from gpu_pool.engines.photo.source import MOST_BYTES, Bgr, picture_of

_FACES_LOOKED_AT = 8
_FAR_LEVELS = 12.0
"""Mean difference from which on a cut-out face is not what its box cuts out; a resize by another
library makes 1 to 3, another person 30."""


class BroughtAvatar:
    """A brought folder whose names, boxes and counts were checked; its pictures, one at a time.

    Args:
        source: the folder.
        layout: what it is.
        boxes: of its pictures.
        size: width and height of them all.
    """

    def __init__(
        self, source: StrangersFolder, layout: Layout, boxes: Boxes, size: tuple[int, int]
    ) -> None:
        self.source, self.layout, self.boxes, self.size = source, layout, boxes, size
        self._digest = hashlib.sha256()

    @classmethod
    def of(cls, source: StrangersFolder) -> BroughtAvatar:
        """Look into a folder.

        Raises:
            AvatarRefused: it is no avatar's, or does not fit together.
        """
        layout = recognised(source)
        first = _picture(_data(source, layout.pictures[0]), layout.pictures[0])
        height, width = first.shape[:2]
        boxes = boxes_of(source, layout, width, height)
        if boxes.go_back() and _pictures_go_back(source, layout.pictures):
            half = len(layout.pictures) // 2
            boxes = boxes.first(half)
            note = f"the last {half} pictures are the first ones backwards: they are left out"
            layout = replace(layout, pictures=layout.pictures[:half], notes=(*layout.notes, note))
        return cls(source, layout, boxes, (width, height))

    @property
    def sha256(self) -> str:
        """Of all pictures, once they were read."""
        return self._digest.hexdigest()

    def pictures(self) -> Iterator[Bgr]:
        """Every picture, in order.

        Raises:
            AvatarRefused: one is damaged, or of another size.
        """
        self._digest = hashlib.sha256()
        for name in self.layout.pictures:
            data = _data(self.source, name)
            self._digest.update(data)
            picture = _picture(data, name)
            if (picture.shape[1], picture.shape[0]) != self.size:
                raise AvatarRefused(
                    f"{PICTURES}/{name}: {picture.shape[1]}x{picture.shape[0]} pixels,"
                    f" and {self.size[0]}x{self.size[1]} in the first one"
                )
            yield picture

    def looks_odd(self, number: int, picture: Bgr) -> bool:
        """Whether a face that was brought is not what its box cuts out of the picture.

        Some of them are looked at.
        """
        layout, step = self.layout, -(-len(self.layout.pictures) // _FACES_LOOKED_AT)
        if not layout.faces or number % step or number in self.boxes.held:
            return False
        name = layout.faces[number]
        brought = _picture(self.source.read(name, MOST_BYTES, FACES), name, FACES)
        left, top, right, bottom = self.boxes.boxes[number].astype(int)
        size = brought.shape[1], brought.shape[0]
        own = cv2.resize(picture[top:bottom, left:right], size, interpolation=cv2.INTER_LINEAR)
        return float(cv2.absdiff(own, brought).mean()) > _FAR_LEVELS


def _data(source: StrangersFolder, name: str) -> bytes:
    return source.read(name, MOST_BYTES, PICTURES)


def _picture(data: bytes, name: str, folder: str = PICTURES) -> Bgr:
    try:
        return picture_of(data, most_pixels=MOST_PIXELS)
    except AvatarRefused as error:
        raise AvatarRefused(f"{folder}/{name}: {error}") from error


def _pictures_go_back(source: StrangersFolder, names: tuple[str, ...]) -> bool:
    """Whether the files of the second half are those of the first one, backwards."""
    seen = [hashlib.sha256(_data(source, name)).digest() for name in names]
    return seen == seen[::-1]
