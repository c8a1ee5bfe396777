"""Where a photo avatar's face is in a channel's picture, as Wav2Lip wants it cut out.

Between the avatar's landmarks, or the boxes that the authors' detector found, and the engine; also
when an avatar is made. Needs no torch, so that an avatar can be made where none of it is installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_pool.contracts import AvatarRefused
from gpu_pool.engines.face.points import CHIN, FOREHEAD, LEFT_CHEEK, RIGHT_CHEEK
from gpu_pool.engines.face.values import Points
from gpu_pool.engines.photo.box import Box
from gpu_pool.engines.photo.looped import LoopedPictures
from gpu_pool.engines.wav2lip.faces_file import Faces, read_faces

_ABOVE, _BELOW, _BESIDE = 0.02, 0.05, 0.02
"""Parts of the face's height by which the box is larger than its landmarks: what the authors'
detector gives plus their pads, which let the chin drop."""

_SMALLEST_PX = 32
"""Of a box's height: below it there is no mouth to speak of."""


def boxes_in(loop: LoopedPictures) -> list[Box]:
    """The face's box in every stored picture, in pixels of the channel's.

    Brought along by the avatar, or laid about its landmarks.

    Raises:
        AvatarRefused: a face is too small.
    """
    brought = loop.boxes_for("wav2lip")
    if brought is not None:
        return large_enough(brought)
    area, stored = loop.area, loop.stored
    faces = read_faces(stored.folder, stored.pictures, stored.width, stored.height)
    if faces is not None and faces.found:
        return _detected(faces, loop)
    points = loop.points - np.array([area.left, area.top], np.float32)
    return [
        Box(box.top + area.top, box.bottom + area.top, box.left + area.left, box.right + area.left)
        for box in face_boxes(points, area.width, area.height)
    ]


def face_boxes(points: Points, width: int, height: int) -> list[Box]:
    """The box of each picture's face.

    Args:
        points: (pictures, POINTS, 2), in pixels of the picture.
        width: of the picture; boxes stay inside.
        height: likewise.

    Raises:
        AvatarRefused: a face is too small, or outside.
    """
    top, bottom = points[:, FOREHEAD, 1], points[:, CHIN, 1]
    left, right = points[:, LEFT_CHEEK, 0], points[:, RIGHT_CHEEK, 0]
    tall = bottom - top
    edges = np.stack(
        [top - _ABOVE * tall, bottom + _BELOW * tall, left - _BESIDE * tall, right + _BESIDE * tall]
    )
    limits = np.array([[height], [height], [width], [width]])
    return _rounded(np.clip(np.rint(edges), 0, limits).T)


def _detected(faces: Faces, loop: LoopedPictures) -> list[Box]:
    corners = loop.placed(faces.boxes.reshape(-1, 2, 2).astype(np.float32))
    area = loop.area
    x = np.clip(np.rint(corners[..., 0]), area.left, area.right)
    y = np.clip(np.rint(corners[..., 1]), area.top, area.bottom)
    return _rounded(np.column_stack([y, x]))


def _rounded(edges: NDArray[np.floating[Any]]) -> list[Box]:
    return large_enough([Box(*(int(edge) for edge in row)) for row in edges])


def large_enough(boxes: list[Box]) -> list[Box]:
    """The same boxes.

    Raises:
        AvatarRefused: one is too small for a face.
    """
    if min(min(box.width, box.height) for box in boxes) < _SMALLEST_PX:
        raise AvatarRefused(f"the face is smaller than {_SMALLEST_PX} pixels in the picture")
    return boxes
