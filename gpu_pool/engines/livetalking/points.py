"""Where eyes and mouth are in the pictures of a brought avatar, of which boxes alone are known.

At import only. The idle loop needs the mouth, to shut it, and the face's middle, to frame it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.face import mesh
from gpu_pool.engines.face.judge import face_of
from gpu_pool.engines.face.models import FaceModels
from gpu_pool.engines.face.points import from_handles
from gpu_pool.engines.face.values import Face, FaceBox, Handles, Points
from gpu_pool.engines.livetalking.layout import WAV2LIP
from gpu_pool.engines.photo.create import filled
from gpu_pool.engines.photo.source import Bgr
from gpu_pool.engines.photo.stored_boxes import Edges

_FEWEST_SEEN = 0.8
"""Part of the pictures in which landmarks have to be found, or else none are used."""


@dataclass(frozen=True, slots=True)
class _Proportions:
    """Parts of a box's width beside its middle, and of its height below its top."""

    eyes: float
    mouth: float
    eyes_y: float
    mouth_y: float
    chin_y: float


# Measured with the landmarks of two people on film and two that are drawn: to .03 all alike.
_OF_WAV2LIP = _Proportions(0.23, 0.16, 0.35, 0.71, 0.955)
_OF_MUSETALK = _Proportions(0.235, 0.165, 0.345, 0.72, 0.965)
"""With the margin of ten pixels below the chin, at 250 pixels."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Points (pictures, POINTS, 2), by landmarks or by the boxes; ``yaws`` in degrees."""

    points: Points
    by_landmarks: bool
    yaws: Sequence[float]


class BoxedFollower:
    """Looks for the landmarks of the face that each box is about.

    Args:
        models: None never finds any.
        engine: whose boxes they are.
    """

    def __init__(self, models: FaceModels | None, engine: str) -> None:
        self._models = models
        self._parts = _OF_WAV2LIP if engine == WAV2LIP else _OF_MUSETALK
        self._seen: list[Face | None] = []

    def see(self, bgr: Bgr, box: NDArray[np.float32]) -> None:
        """The next picture."""
        self._seen.append(None if self._models is None else self._found(self._models, bgr, box))

    def _found(self, models: FaceModels, bgr: Bgr, box: NDArray[np.float32]) -> Face | None:
        left, top, right, bottom = (float(each) for each in box)
        about = FaceBox(left, top, right - left, bottom - top)
        landmarks = mesh.refined(models.mesh, bgr, mesh.Square.around(about))
        if landmarks is None:
            return None
        x, y = landmarks[:, :2].mean(axis=0)
        inside = left < x < right and top < y < bottom
        return face_of(landmarks) if inside else None

    def placed(self, boxes: Edges) -> Placed:
        """The points of every picture that was seen; ``boxes`` are theirs."""
        there = [number for number, face in enumerate(self._seen) if face is not None]
        if len(there) < _FEWEST_SEEN * len(boxes) or not there:
            return Placed(np.stack([from_handles(self._handles(box)) for box in boxes]), False, ())
        faces = [face for face in self._seen if face is not None]
        points = filled(np.stack([face.points for face in faces]), there, len(boxes))
        return Placed(points, True, [face.yaw_deg for face in faces])

    def _handles(self, box: NDArray[np.float32]) -> Handles:
        left, top, right, bottom = (float(each) for each in box)
        middle, width, height = (left + right) / 2 - 0.5, right - left, bottom - top
        part = self._parts
        eyes_y, mouth_y, chin_y = (
            top + each * height - 0.5 for each in (part.eyes_y, part.mouth_y, part.chin_y)
        )
        return Handles(
            left_eye=(middle - part.eyes * width, eyes_y),
            right_eye=(middle + part.eyes * width, eyes_y),
            mouth_left=(middle - part.mouth * width, mouth_y),
            mouth_right=(middle + part.mouth * width, mouth_y),
            upper_lip=(middle, mouth_y),
            lower_lip=(middle, mouth_y),
            chin=(middle, chin_y),
        )
