"""The 468 landmarks of one face, from a rough place of it.

At import of an avatar only. The network sees the face upright in a square of 192 pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.face.values import FaceBox, Points

_SIDE = 192
_MARGIN = 1.5
"""The square is so much larger than the face, as in the network's training."""

_PRESENT = 0.5
"""Share of certainty from which on there is a face in the square."""

_LEFT_EYE, _RIGHT_EYE, _LEFT_SIDE, _RIGHT_SIDE, _NOSE_TIP = 33, 263, 234, 454, 1


@dataclass(frozen=True, slots=True)
class Square:
    """Where to look: middle, side in pixels, and clockwise tilt in radians."""

    x: float
    y: float
    side: float
    tilt: float

    @classmethod
    def around(cls, box: FaceBox) -> Square:
        """The square for a detected box."""
        side = _MARGIN * max(box.width, box.height)
        return cls(box.left + box.width / 2, box.top + box.height / 2, side, box.tilt)

    @classmethod
    def about(cls, landmarks: Points) -> Square:
        """The square for a face whose landmarks are known from a look before."""
        eyes = landmarks[_RIGHT_EYE, :2] - landmarks[_LEFT_EYE, :2]
        tilt = math.atan2(eyes[1], eyes[0])
        along = np.array([math.cos(tilt), math.sin(tilt)])
        turned = landmarks[:, :2] @ np.stack([along, [-along[1], along[0]]], axis=1)
        low, high = turned.min(axis=0), turned.max(axis=0)
        middle = (low + high) / 2
        x, y = middle[0] * along + middle[1] * np.array([-along[1], along[0]])
        return cls(float(x), float(y), _MARGIN * float((high - low).max()), tilt)


def landmarks_in(net: cv2.dnn.Net, bgr: NDArray[np.uint8], square: Square) -> Points | None:
    """float32 (468, 3), x y z in pixels of the picture; None where there is no face."""
    scale = _SIDE / square.side
    cos, sin = math.cos(square.tilt) * scale, math.sin(square.tilt) * scale
    into = np.array([[cos, sin, 0], [-sin, cos, 0]])
    into[:, 2] = (_SIDE - 1) / 2 - into[:, :2] @ (square.x, square.y)
    cut = cv2.warpAffine(bgr, into, (_SIDE, _SIDE), flags=cv2.INTER_AREA)
    net.setInput(cv2.dnn.blobFromImage(cut, 1 / 255, swapRB=True))
    sure, told = net.forward(("conv2d_31", "conv2d_21"))
    if float(sure.reshape(-1)[0]) < math.log(_PRESENT / (1 - _PRESENT)):
        return None
    own = told.reshape(468, 3).astype(np.float64)
    found = np.empty((468, 3), np.float32)
    found[:, :2] = (own[:, :2] - into[:, 2]) @ np.linalg.inv(into[:, :2]).T
    found[:, 2] = own[:, 2] / scale
    return found


def refined(net: cv2.dnn.Net, bgr: NDArray[np.uint8], square: Square) -> Points | None:
    """Landmarks, looked at again from where the first look found them: about 1 pixel better."""
    first = landmarks_in(net, bgr, square)
    return first if first is None else landmarks_in(net, bgr, Square.about(first))


def yaw_of(landmarks: Points) -> float:
    """Degrees by which a face is turned; 0 looks into the camera, to the picture's right is more.

    The larger of two estimates, each good to some ten degrees: from the depths that the network
    tells, which flat pictures mislead, and from where the nose stands between the sides.
    """
    left, right = landmarks[_LEFT_SIDE], landmarks[_RIGHT_SIDE]
    across = right - left
    flat = math.hypot(float(across[0]), float(across[1]))
    by_depth = math.degrees(math.atan2(float(across[2]), flat))
    along = (landmarks[_NOSE_TIP] - (left + right) / 2)[:2] @ across[:2] / (flat * flat / 2)
    by_nose = math.degrees(math.asin(max(-1.0, min(1.0, float(along)))))
    return max(by_depth, by_nose, key=abs)
