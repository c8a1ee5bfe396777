"""How a photo avatar's face is aligned in every picture for LatentSync, and what of it may change.

Between the avatar's landmarks and the engine; also when an avatar is made. Needs no torch. The
alignment remembers the pictures before, so it goes through the whole clip in its order.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from gpu_pool.contracts import AvatarRefused
from gpu_pool.engines.face.points import (
    CHIN,
    LEFT_BROW,
    LEFT_CHEEK,
    LEFT_LID,
    NOSE_BASE,
    RIGHT_BROW,
    RIGHT_CHEEK,
    RIGHT_LID,
)
from gpu_pool.engines.face.values import Points
from gpu_pool.engines.latentsync.face import FACE_HEIGHT, FACE_WIDTH, Aligner, Landmarks, Matrix
from gpu_pool.engines.photo.box import Box
from gpu_pool.engines.photo.looped import LoopedPictures

_SMALLEST_SCALE = 6.0
"""The aligned face may be so many times larger than in the picture; beyond it is all blur."""

_TIP = 0.75
"""The mean of iBUG's nose points (bridge and base) from the eyes' line to the nose's base."""

_RIM_PX = 4


def matrices_in(loop: LoopedPictures) -> list[Matrix]:
    """The alignment of every stored picture."""
    aligner = Aligner()
    return [aligner.matrix(ibug68(points)) for points in loop.points]


def boxes_in(loop: LoopedPictures, matrices: Sequence[Matrix] | None = None) -> list[Box]:
    """What of every stored picture may change, even edges, in pixels of the channel's.

    Raises:
        AvatarRefused: a face is too small.
    """
    found = []
    for matrix in matrices_in(loop) if matrices is None else matrices:
        box = bounds(matrix, loop.area)
        if np.hypot(*matrix[0, :2]) > _SMALLEST_SCALE or min(box.width, box.height) < 2:
            raise AvatarRefused("the face is too small in the picture")
        found.append(box)
    return found


def ibug68(points: Points) -> Landmarks:
    """The 68 landmarks that the alignment takes, as far as it looks at them.

    It uses the means of brows and nose, and the face's width.
    """
    eyes = np.concatenate([points[LEFT_LID], points[RIGHT_LID]]).mean(axis=0)
    made = np.repeat(points[None, NOSE_BASE].astype(np.float64), 68, axis=0)
    made[0], made[16], made[8] = points[LEFT_CHEEK], points[RIGHT_CHEEK], points[CHIN]
    made[17:22], made[22:27] = points[LEFT_BROW], points[RIGHT_BROW]
    made[27:36] = eyes + _TIP * (points[NOSE_BASE] - eyes)
    return made


def bounds(matrix: Matrix, area: Box) -> Box:
    """Even edges about the aligned face's rectangle, within an area of even edges."""
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0], [FACE_WIDTH, 0], [0, FACE_HEIGHT], [FACE_WIDTH, FACE_HEIGHT]])
    placed = corners @ inverse[:, :2].T + inverse[:, 2]
    low, high = placed.min(axis=0) - _RIM_PX, placed.max(axis=0) + _RIM_PX
    return Box(
        top=max(area.top, int(low[1])) & ~1,
        bottom=min(area.bottom, int(high[1]) + 1) & ~1,
        left=max(area.left, int(low[0])) & ~1,
        right=min(area.right, int(high[0]) + 1) & ~1,
    )
