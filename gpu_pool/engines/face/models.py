"""The two networks that find faces and landmarks: optional files, checked, read by OpenCV.

They come out of the mediapipe 0.10.21 wheel (Apache-2.0) by ``make avatars``. Without them faces
are found by OpenCV's own cascade.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2

from gpu_pool.engines.face.refused import AvatarRefused

DETECTOR, MESH = "face_detection_short_range.tflite", "face_landmark.tflite"

SHA256 = {
    DETECTOR: "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    MESH: "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
}
"""Of the files of mediapipe 0.10.21; another file could be anything, so it is not read."""

DEFAULT_FOLDER = Path(__file__).resolve().parents[3] / "models" / "face"
"""Where ``make avatars`` puts them: inside the clone."""


@dataclass(frozen=True, slots=True)
class FaceModels:
    """Both networks, loaded; for one thread at a time."""

    detector: cv2.dnn.Net
    mesh: cv2.dnn.Net

    @classmethod
    def load(cls, folder: Path | None = None) -> FaceModels | None:
        """The networks in ``folder``, or None where neither file is.

        Raises:
            AvatarRefused: a file is missing, or is not the one it should be.
        """
        folder = DEFAULT_FOLDER if folder is None else folder
        files = [folder / name for name in SHA256]
        if not any(file.exists() for file in files):
            return None
        checked = [_checked(file) for file in files]
        return cls(cv2.dnn.readNetFromTFLite(checked[0]), cv2.dnn.readNetFromTFLite(checked[1]))


def _checked(file: Path) -> str:
    try:
        found = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise AvatarRefused(f"{file} cannot be read: {error.strerror}; run make avatars") from error
    if found != SHA256[file.name]:
        raise AvatarRefused(f"{file} is not the file that is meant; remove it and run make avatars")
    return str(file)
