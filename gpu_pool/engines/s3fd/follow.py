"""The authors' boxes of an avatar's face: detected, padded, held where nothing is seen, steadied.

Where an avatar is made, beside the air. Detection, pads and smoothing as in Wav2Lip's published
inference; what is ours is that large pictures are looked at smaller, that of long clips only every
few pictures are looked at, and that a picture without a face is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.checkpoint import open_checkpoint
from gpu_pool.engines.face.points import NOSE_BASE
from gpu_pool.engines.face.values import Points
from gpu_pool.engines.photo.box import Bgr, Box
from gpu_pool.engines.s3fd.detect import Found, faces_in
from gpu_pool.engines.s3fd.network import S3fd
from gpu_pool.engines.wav2lip.face import smoothed
from gpu_pool.engines.wav2lip.faces_file import MISSED, NOT_LOOKED_AT, SEEN, Faces

NAMES = ("s3fd.pth", "s3fd-619a316812.pth")
"""What the weights' file may be called."""

PADS = (0, 10, 0, 0)
"""Pixels above, below, before and behind; the published default."""

_LONGEST_PX = 640
"""Side of what is looked at: 1.2 s on a core, where 1280x720 takes 4.8. A face of an avatar is many
times larger than the smallest that the network finds."""

_MOST_LOOKED_AT = 300
"""Pictures of a clip: six minutes on a core."""

Detect = Callable[[Bgr], list[Found]]
"""The faces of a picture, the surest first."""


def weights_in(folder: Path) -> Path | None:
    """The detector's weights in a folder of models, if they are there."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def detector(weights: Path) -> Detect:
    """The network, on the CPU.

    Raises:
        CheckpointRefused: the file is no S3FD.
    """
    network = S3fd(open_checkpoint(weights))

    def detect(picture: Bgr) -> list[Found]:
        scale = min(1.0, _LONGEST_PX / max(picture.shape[:2]))
        if scale < 1:
            how = cv2.INTER_AREA
            picture = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=how))
        return [each.scaled(1 / scale) for each in faces_in(network, picture)]

    return detect


class FaceBoxes:
    """The boxes of one avatar.

    Args:
        detect: finds faces.
        picture: a stored picture by its number.
        points: (pictures, POINTS, 2) landmarks, which say whose face it is.
    """

    def __init__(self, detect: Detect, picture: Callable[[int], Bgr], points: Points) -> None:
        self._detect, self._picture, self._points = detect, picture, points
        self._boxes = np.zeros((len(points), 4), np.int64)
        self._seen = np.full(len(points), NOT_LOOKED_AT, np.int8)

    def look(self) -> Iterator[tuple[int, int]]:
        """Look at one picture after the other; yields how many are done, and of how many."""
        count = len(self._points)
        which = [*range(0, count, -(-count // _MOST_LOOKED_AT))]
        for done, number in enumerate(which, 1):
            picture = self._picture(number)
            found = _of(self._detect(picture), self._points[number, NOSE_BASE])
            self._seen[number] = MISSED if found is None else SEEN
            if found is not None:
                self._boxes[number] = _padded(found, *picture.shape[:2])
            yield done, len(which)

    def faces(self) -> Faces:
        """What was found, held over what was not, steadied over five pictures."""
        known = np.flatnonzero(self._seen == SEEN)
        boxes = self._boxes
        if len(known):
            every = np.arange(len(boxes))
            sides = [np.interp(every, known, boxes[known, side]) for side in range(4)]
            boxes = smoothed(np.rint(np.stack(sides, axis=1)).astype(np.int64))
        return Faces(boxes.astype(np.int32), self._seen)


def _of(faces: list[Found], nose: NDArray[np.float32]) -> Found | None:
    """The surest face around this point: others may stand in the picture."""
    x, y = (float(each) for each in nose)
    return next((f for f in faces if f.left <= x <= f.right and f.top <= y <= f.bottom), None)


def _padded(found: Found, height: int, width: int) -> tuple[int, int, int, int]:
    """Whole pixels inside the picture, then the pads, inside it again."""
    left, top, right, bottom = (
        int(max(0.0, side)) for side in (found.left, found.top, found.right, found.bottom)
    )
    box = Box(top, bottom, left, right).padded(PADS, height, width)
    return box.left, box.top, box.right, box.bottom
