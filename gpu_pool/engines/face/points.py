"""The 69 points of a face that the warp needs, from landmarks or from handles.

Left and right are the picture's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.face.values import FaceBox, Handles, Points

# Numbers of the 468 landmarks (MediaPipe's face mesh topology).
_INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
_INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
_LEFT_LID = (33, 246, 161, 160, 159, 158, 157, 173, 133)
_LEFT_LOWER_LID = (33, 7, 163, 144, 145, 153, 154, 155, 133)
_RIGHT_LID = (362, 398, 384, 385, 386, 387, 388, 466, 263)
_RIGHT_LOWER_LID = (362, 382, 381, 380, 374, 373, 390, 249, 263)

_EDGES = (*_INNER_UPPER, *_INNER_LOWER, *_LEFT_LID, *_LEFT_LOWER_LID, *_RIGHT_LID)
MESH = np.array((*_EDGES, *_RIGHT_LOWER_LID, 0, 17, 61, 291, 2, 152, 105, 334, 234, 454, 10))
"""Landmark of each point."""

POINTS = len(MESH)

INNER_UPPER, INNER_LOWER = slice(0, 11), slice(11, 22)
"""Edges of the lips where the mouth opens, corner to corner."""
LEFT_LID, LEFT_LOWER_LID = slice(22, 31), slice(31, 40)
RIGHT_LID, RIGHT_LOWER_LID = slice(40, 49), slice(49, 58)
TOP_OF_LIPS, BOTTOM_OF_LIPS, OUTER_LEFT, OUTER_RIGHT = 58, 59, 60, 61
NOSE_BASE, CHIN, LEFT_BROW, RIGHT_BROW = 62, 63, 64, 65
LEFT_CHEEK, RIGHT_CHEEK, FOREHEAD = 66, 67, 68


def from_mesh(landmarks: Points) -> Points:
    """Points (..., POINTS, 2) of landmarks (..., 468, 2 or more)."""
    return np.ascontiguousarray(landmarks[..., MESH, :2], np.float32)


def handles_of(points: Points) -> Handles:
    """Where the handles of a face lie."""

    def middle(*parts: slice) -> tuple[float, float]:
        x, y = np.concatenate([points[part] for part in parts]).mean(axis=0)
        return float(x), float(y)

    def at(index: int) -> tuple[float, float]:
        return float(points[index, 0]), float(points[index, 1])

    return Handles(
        left_eye=middle(LEFT_LID, LEFT_LOWER_LID),
        right_eye=middle(RIGHT_LID, RIGHT_LOWER_LID),
        mouth_left=at(INNER_UPPER.start),
        mouth_right=at(INNER_UPPER.stop - 1),
        upper_lip=at(INNER_UPPER.start + 5),
        lower_lip=at(INNER_LOWER.start + 5),
        chin=at(CHIN),
    )


def handles_of_box(box: FaceBox) -> Handles:
    """Handles from the proportions of a face in a box of OpenCV's frontal cascade.

    Measured on three people: eyes at .38 to .40 of the height, mouth at .75 to .79.
    """
    x, y, w, h = box.left, box.top, box.width, box.height
    middle, mouth_y = x + w / 2, y + 0.77 * h
    return Handles(
        left_eye=(x + 0.31 * w, y + 0.39 * h),
        right_eye=(x + 0.69 * w, y + 0.39 * h),
        mouth_left=(middle - 0.15 * w, mouth_y),
        mouth_right=(middle + 0.15 * w, mouth_y),
        upper_lip=(middle, mouth_y),
        lower_lip=(middle, mouth_y),
        chin=(middle, y + 1.01 * h),
    )


def from_handles(handles: Handles) -> Points:
    """Points of a face of ordinary proportions that has these handles."""
    left, right = np.array(handles.mouth_left), np.array(handles.mouth_right)
    across = (right - left) / handles.mouth_width
    face = np.array([across, [-across[1], across[0]]])
    middle, width = (left + right) / 2, handles.mouth_width
    own = (handles.array() - middle) @ face.T
    made = np.zeros((POINTS, 2))
    part = np.linspace(-1, 1, 11)
    bow = 1 - part**2
    x = part * width / 2 + own[4, 0] * bow
    made[INNER_UPPER] = np.stack([x, own[4, 1] * bow], axis=1)
    made[INNER_LOWER] = np.stack([x, own[5, 1] * bow], axis=1)
    distance = float(np.hypot(*(own[1] - own[0])))
    tilt = (own[1] - own[0]) / distance
    for eye, lid, lower in (
        (own[0], LEFT_LID, LEFT_LOWER_LID),
        (own[1], RIGHT_LID, RIGHT_LOWER_LID),
    ):
        made[lid], made[lower] = _eye(eye, tilt, distance)
    lips = 0.17 * width
    eyes = (own[0] + own[1]) / 2
    chin, centre = own[6], np.array([own[4, 0], 0.0])
    made[TOP_OF_LIPS] = own[4, 0], own[4, 1] - lips
    made[BOTTOM_OF_LIPS] = own[5, 0], own[5, 1] + 1.25 * lips
    made[OUTER_LEFT], made[OUTER_RIGHT] = (-0.56 * width, 0), (0.56 * width, 0)
    made[NOSE_BASE] = centre + 0.38 * (eyes - centre)
    made[CHIN] = chin
    up = np.array([0.0, -0.38 * distance])
    made[LEFT_BROW], made[RIGHT_BROW] = own[0] + up, own[1] + up
    side = np.array([1.05 * distance, 0.0])
    made[LEFT_CHEEK], made[RIGHT_CHEEK] = eyes - side, eyes + side
    made[FOREHEAD] = eyes + 0.9 * (eyes - chin) * 0.62
    return np.asarray(made @ face + middle, np.float32)


def _eye(
    centre: NDArray[np.float64], along: NDArray[np.float64], distance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Upper and lower lid of an open eye, left to right; the eyes are ``distance`` apart."""
    part = np.linspace(-1, 1, 9)[:, None]
    bow = 1 - part**2
    down = np.array([-along[1], along[0]])
    line = centre + part * 0.23 * distance * along
    return line - 0.10 * distance * bow * down, line + 0.07 * distance * bow * down
