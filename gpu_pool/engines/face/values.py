"""Faces as values: the handles that a person can drag, and the points that the warp needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.face.refused import AvatarRefused

Points = NDArray[np.float32]
"""(..., 2): x to the right and y down, in pixels; (0, 0) is the middle of the first pixel."""

XY = tuple[float, float]

SMALLEST_MOUTH_PX = 24.0
"""Narrower than this a mouth has too few pixels to be opened."""

GOOD_MOUTH_PX = 60.0
"""From here on opening looks photographic."""


@dataclass(frozen=True, slots=True)
class FaceBox:
    """A face as a detector gives it, in pixels.

    Attributes:
        left, top, width, height: the box, brows to chin.
        tilt: clockwise angle of the line through the eyes, in radians.
        score: 0 to 1.
    """

    left: float
    top: float
    width: float
    height: float
    tilt: float = 0.0
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Handles:
    """Seven points of a face in pixels of the avatar's picture; left is the picture's left.

    ``upper_lip`` and ``lower_lip`` are where the lips meet in the middle of the mouth: the lower
    edge of the upper lip and the upper edge of the lower one. Shut lips have both at one place.
    """

    left_eye: XY
    right_eye: XY
    mouth_left: XY
    mouth_right: XY
    upper_lip: XY
    lower_lip: XY
    chin: XY

    def json(self) -> dict[str, list[float]]:
        """For ``avatar.json``; lengths with a tenth of a pixel."""
        return {name: [round(x, 1), round(y, 1)] for name, (x, y) in asdict(self).items()}

    def array(self) -> Points:
        """float32 (7, 2) in the order of the fields."""
        return np.array([getattr(self, each.name) for each in fields(self)], np.float32)

    @property
    def mouth_width(self) -> float:
        """Pixels from corner to corner."""
        return math.dist(self.mouth_left, self.mouth_right)


@dataclass(frozen=True, slots=True)
class Face:
    """One face: ``points`` (POINTS, 2), see ``points``, and by which way it was found."""

    points: Points
    handles: Handles
    yaw_deg: float
    warnings: tuple[str, ...] = ()


HANDLE_NAMES = tuple(each.name for each in fields(Handles))


def handles_from_json(told: object, width: int, height: int) -> Handles:
    """Handles of somebody's JSON, checked.

    Args:
        told: name -> [x, y], as ``Handles.json`` writes it.
        width: of the picture in which they lie, in pixels.
        height: likewise.

    Raises:
        AvatarRefused: a handle is missing, no point, outside, or they form no face.
    """
    if not isinstance(told, Mapping):
        raise AvatarRefused("handles: an object of names and points is needed")
    unknown = sorted(str(name) for name in set(told) - set(HANDLE_NAMES))
    if unknown:
        raise AvatarRefused(f"handles: {unknown[0][:40]!r} is none of {', '.join(HANDLE_NAMES)}")
    handles = Handles(*(_point(told, name) for name in HANDLE_NAMES))
    check_handles(handles, width, height)
    return handles


def _point(told: Mapping[object, object], name: str) -> XY:
    point = told.get(name)
    if not isinstance(point, (list, tuple)) or len(point) != 2:
        raise AvatarRefused(f"handles: {name} has to be a point [x, y]")
    x, y = point
    for value in (x, y):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise AvatarRefused(f"handles: {name} has to be two numbers")
        if not abs(value) < 1e6:  # also what is not a number
            raise AvatarRefused(f"handles: {name} lies outside the picture")
    return float(x), float(y)


def check_handles(handles: Handles, width: int, height: int) -> None:
    """Whether these can be the handles of a face in a picture of this size.

    Raises:
        AvatarRefused: they cannot.
    """
    for name, (x, y) in zip(HANDLE_NAMES, handles.array().tolist(), strict=True):
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise AvatarRefused(f"handles: {name} lies outside the picture of {width}x{height}")
    if handles.mouth_width < SMALLEST_MOUTH_PX:
        raise AvatarRefused(
            f"the face is too small: its mouth is {handles.mouth_width:.0f} pixels wide, "
            f"{SMALLEST_MOUTH_PX:.0f} are needed and {GOOD_MOUTH_PX:.0f} look good"
        )
    _check_order(handles)


def _check_order(handles: Handles) -> None:
    """Upright and the right way round, in coordinates along the mouth."""
    across = np.subtract(handles.mouth_right, handles.mouth_left).astype(np.float64)
    if across[0] <= 0 or abs(across[1]) > across[0]:
        raise AvatarRefused("handles: mouth_left has to lie left of mouth_right, about level")
    across /= np.hypot(*across)
    down = np.array([-across[1], across[0]])
    middle = np.add(handles.mouth_left, handles.mouth_right) / 2
    own = handles.array() - middle
    (left_x, right_x), height = own[:2] @ across, own @ down / handles.mouth_width
    if left_x >= right_x:
        raise AvatarRefused("handles: left_eye has to lie left of right_eye")
    if max(height[0], height[1]) > -0.3:
        raise AvatarRefused("handles: the eyes have to lie well above the mouth")
    upper, lower, chin = height[4], height[5], height[6]
    if not (-0.6 < upper <= lower + 0.05 and lower < 0.9):
        raise AvatarRefused("handles: upper_lip and lower_lip have to lie at the mouth, in order")
    if not lower + 0.1 < chin < 3.0:
        raise AvatarRefused("handles: chin has to lie below the mouth")
