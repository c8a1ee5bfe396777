"""How one face moves through a clip: landmarks of every picture, or the head's shift and turn.

At import of an avatar only. One picture at a time is held.
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.face import mesh
from gpu_pool.engines.face.judge import face_of, the_face, with_landmarks
from gpu_pool.engines.face.models import FaceModels
from gpu_pool.engines.face.points import from_handles
from gpu_pool.engines.face.values import Face, Handles, Points

Bgr = NDArray[np.uint8]

_FEWEST_MARKS = 20
"""With fewer marks left new ones are taken: the head has turned, or a hand passed by."""

_MARKS, _MARK_QUALITY, _MARKS_APART_PX = 120, 0.01, 5

_STRAYED_PX = 1.0
"""A mark that does not come back to where it was, followed backwards, has slipped."""


class Follower(Protocol):
    """Sees the pictures of a clip one after the other."""

    def see(self, bgr: Bgr) -> Face | None:
        """The face in the next picture; None where it is out of sight.

        Raises:
            AvatarRefused: the first picture does not show one face.
        """
        ...


class MeshFollower:
    """Landmarks in every picture, each looked for where they were seen last."""

    def __init__(self, models: FaceModels) -> None:
        self._models = models
        self._last: Points | None = None
        self._begun = False

    def see(self, bgr: Bgr) -> Face | None:
        """As ``Follower``."""
        if not self._begun:
            the_face(self._models, bgr)
            self._begun = True
        found = None
        if self._last is not None:
            found = mesh.landmarks_in(self._models.mesh, bgr, mesh.Square.about(self._last))
        if found is None:
            seen = with_landmarks(self._models, bgr, thorough=self._last is None)
            found = seen[0][1] if seen else None
        if found is None:
            return None
        self._last = found
        return face_of(found)


class HeadFollower:
    """Shift, turn and size of the head, by marks on it; the mouth's own motion is not seen.

    Args:
        handles: of the first picture; None has them guessed from the face's box.
    """

    def __init__(self, handles: Handles | None) -> None:
        self._handles = handles
        self._points: Points | None = None
        self._face: Face | None = None
        self._grey: Bgr | None = None
        self._from = self._now = np.zeros((0, 1, 2), np.float32)

    def see(self, bgr: Bgr) -> Face | None:
        """As ``Follower``."""
        grey = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), np.uint8)
        if self._face is None or self._grey is None or self._points is None:
            self._face = self._first(bgr)
            self._points = self._face.points
        else:
            moved = self._moved(self._grey, grey)
            if moved is None:
                return None
            points = cv2.transform(self._points[None], moved)[0].astype(np.float32)
            handles = Handles(*(_xy(each) for each in self._carried(moved)))
            self._face = Face(points, handles, 0.0, self._face.warnings)
        if len(self._now) < _FEWEST_MARKS:
            self._begin_again(grey)
        self._grey = grey
        return self._face

    def _first(self, bgr: Bgr) -> Face:
        if self._handles is None:
            face = the_face(None, bgr)
            self._handles = face.handles
            return face
        return Face(from_handles(self._handles), self._handles, 0.0)

    def _carried(self, moved: NDArray[np.float64]) -> NDArray[np.float32]:
        assert self._handles is not None, "the first picture has set them"
        carried: NDArray[np.float32] = cv2.transform(self._handles.array()[None], moved)[0]
        return carried

    def _moved(self, last: Bgr, grey: Bgr) -> NDArray[np.float64] | None:
        """The motion since marks were taken; Lucas and Kanade's flow, pyramids by Bouguet."""
        if not len(self._now):
            return None
        there, _, _ = cv2.calcOpticalFlowPyrLK(last, grey, self._now, np.empty(0, np.float32))
        back, _, _ = cv2.calcOpticalFlowPyrLK(grey, last, there, np.empty(0, np.float32))
        held = np.linalg.norm(back - self._now, axis=(1, 2)) < _STRAYED_PX
        self._from, self._now = self._from[held], there[held]
        if len(self._now) < 3:
            return None
        moved, _ = cv2.estimateAffinePartial2D(self._from, self._now)
        return None if moved is None else np.asarray(moved, np.float64)

    def _begin_again(self, grey: Bgr) -> None:
        """Marks on the face above the mouth, from where the face is now."""
        assert self._face is not None, "a face was seen"
        self._points, self._handles = self._face.points, self._face.handles
        mask = np.zeros(grey.shape, np.uint8)
        own = self._handles.array()
        hull = np.concatenate([self._points[64:69], own[2:4]])
        cv2.fillConvexPoly(mask, cv2.convexHull(hull.astype(np.int32)), 255)
        marks = cv2.goodFeaturesToTrack(grey, _MARKS, _MARK_QUALITY, _MARKS_APART_PX, mask=mask)
        self._from = self._now = (
            np.zeros((0, 1, 2), np.float32) if marks is None else np.asarray(marks, np.float32)
        )


def _xy(point: NDArray[np.float32]) -> tuple[float, float]:
    return float(point[0]), float(point[1])
