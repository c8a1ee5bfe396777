"""Where a photo avatar's face is in a channel's picture, as MuseTalk wants it cut out.

Between the avatar's landmarks and the engine; also when an avatar is made. Needs no torch.
"""

from __future__ import annotations

import numpy as np

from gpu_pool.contracts import AvatarRefused
from gpu_pool.engines.face.points import (
    CHIN,
    LEFT_CHEEK,
    LEFT_LID,
    NOSE_BASE,
    RIGHT_CHEEK,
    RIGHT_LID,
)
from gpu_pool.engines.face.values import Points
from gpu_pool.engines.photo.box import Box
from gpu_pool.engines.photo.looped import LoopedPictures

MARGIN_PX = 10
"""Below the chin, since 1.5: the jaw may drop."""

_BRIDGE = 0.55
"""Landmark 29 of iBUG's 68 (the bridge of the nose, above the tip) lies so far from the eyes' line
to the base of the nose. The authors' box is centred there, and the mask begins there."""

_SMALLEST_PX = 48


def boxes_in(loop: LoopedPictures, margin_px: int = MARGIN_PX) -> list[Box]:
    """The face's box in every stored picture, in pixels of the channel's.

    Brought along by the avatar with its margin, or laid about its landmarks.

    Raises:
        AvatarRefused: a face is too small.
    """
    brought = loop.boxes_for("musetalk")
    if brought is None:
        return [face_box(points, loop.area, margin_px) for points in loop.points]
    return [_large_enough(box) for box in brought]


def face_box(points: Points, area: Box, margin_px: int) -> Box:
    """The box of one face, (POINTS, 2), as the authors lay it, within an area of the picture.

    Raises:
        AvatarRefused: the face is too small, or outside.
    """
    eyes = np.concatenate([points[LEFT_LID], points[RIGHT_LID]])[:, 1].mean()
    middle = eyes + _BRIDGE * (points[NOSE_BASE, 1] - eyes)
    chin = points[CHIN, 1]
    found = Box(
        top=max(area.top, round(2 * middle - chin)),
        bottom=min(area.bottom, round(chin) + margin_px),
        left=max(area.left, round(points[LEFT_CHEEK, 0])),
        right=min(area.right, round(points[RIGHT_CHEEK, 0])),
    )
    return _large_enough(found)


def _large_enough(found: Box) -> Box:
    if min(found.width, found.height) < _SMALLEST_PX:
        raise AvatarRefused(f"the face is smaller than {_SMALLEST_PX} pixels in the picture")
    return found
