"""Faces as Wav2Lip sees them, and its pictures back in the frame the way its authors put them.

Between frames with boxes and the network. Everything is BGR uint8 as OpenCV reads it; must give the
authors' bytes. The air uses ``paste`` instead, which leaves no seam.
"""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.photo.box import Bgr, Box

Edges = TypeVar("Edges", NDArray[np.int64], NDArray[np.float64])
"""(n, 4): of boxes."""

_SMOOTHED_OVER = 5
"""Boxes whose mean is taken, against the detector's trembling."""


def smoothed(boxes: Edges) -> Edges:
    """Each box (n, 4) the mean of itself and the four after it; whole numbers stay so, cut.

    The last four take the last five, of which the first are already smoothed: so the authors do it.
    """
    made = boxes.copy()
    for index in range(len(made)):
        start = min(index, max(0, len(made) - _SMOOTHED_OVER))
        made[index] = made[start : start + _SMOOTHED_OVER].mean(axis=0)
    return made


def cut(frame: Bgr, box: Box, size: int) -> Bgr:
    """The face in a box, (size, size, 3)."""
    face = frame[box.top : box.bottom, box.left : box.right]
    return np.asarray(cv2.resize(face, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


def network_faces(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Faces (n, size, size, 3) to what the network is given, (n, 6, size, size), still 0 to 255.

    First the face with its lower half black, then the whole face.
    """
    masked = faces.copy()
    masked[:, faces.shape[1] // 2 :] = 0
    return np.concatenate((masked, faces), axis=3).transpose(0, 3, 1, 2)


def overwrite(frame: Bgr, box: Box, face: Bgr) -> None:
    """Put a drawn face into its box, with hard edges, as the authors do."""
    how = cv2.INTER_LINEAR
    frame[box.top : box.bottom, box.left : box.right] = cv2.resize(
        face, (box.width, box.height), interpolation=how
    )


def to_and_fro(index: int, count: int) -> int:
    """Which of ``count`` pictures is shown: forwards, backwards; both ends twice in a row."""
    turn, at = divmod(index, count)
    return count - 1 - at if turn % 2 else at
