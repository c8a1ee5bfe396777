"""``faces.npz`` in an avatar's folder: the boxes that the authors' face detector found in it.

Written where an avatar is made with the detector's weights, read wherever its boxes are wanted; it
need not be there. No pickle, and checked on load.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_pool.contracts import AvatarRefused

FILE = "faces.npz"

SEEN, NOT_LOOKED_AT, MISSED = 1, 0, -1

_MOST_BYTES = 1 << 20
"""Far more than the longest clip's boxes."""


@dataclass(frozen=True, slots=True)
class Faces:
    """Boxes of stored pictures, with the authors' pads, steadied.

    Attributes:
        boxes: (pictures, 4) ``int32``: left, top, right, bottom in stored pixels.
        seen: (pictures,) ``int8``: ``SEEN``, ``NOT_LOOKED_AT`` or ``MISSED``; the boxes of the last
            two are those of their neighbours.
    """

    boxes: NDArray[np.int32]
    seen: NDArray[np.int8]

    @property
    def found(self) -> bool:
        """Whether there is a face anywhere."""
        return bool((self.seen == SEEN).any())

    @property
    def warning(self) -> str:
        """What a person should know; mostly nothing."""
        missed, looked = int((self.seen == MISSED).sum()), int((self.seen != NOT_LOOKED_AT).sum())
        if not missed:
            return ""
        held = "those around hold" if self.found else "the landmarks say where it is"
        return f"the detector found no face in {missed} of {looked} pictures: {held}"


def write_faces(folder: Path, faces: Faces) -> None:
    """Put the file into a folder that is being made."""
    np.savez(folder / FILE, allow_pickle=False, boxes=faces.boxes, seen=faces.seen)


def read_faces(folder: Path, pictures: int, width: int, height: int) -> Faces | None:
    """The file of an avatar of so many stored pictures of this size; None where there is none.

    Raises:
        AvatarRefused: it is not what ``write_faces`` writes.
    """
    file = folder / FILE
    if not file.exists():
        return None
    try:
        with zipfile.ZipFile(file) as packed:
            if sum(each.file_size for each in packed.infolist()) > _MOST_BYTES:
                raise AvatarRefused(f"{file}: it is too large")
        with np.load(file, allow_pickle=False) as arrays:
            boxes, seen = arrays["boxes"], arrays["seen"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise AvatarRefused(f"{file}: it cannot be read") from error
    if (boxes.shape, seen.shape) != ((pictures, 4), (pictures,)):
        raise AvatarRefused(f"{file}: a box for each of {pictures} pictures is needed")
    if boxes.dtype != np.int32 or seen.dtype != np.int8:
        raise AvatarRefused(f"{file}: int32 and int8 are needed")
    outside = (boxes < 0).any() or (boxes > np.array([width, height, width, height])).any()
    if outside or (boxes[:, 2:] < boxes[:, :2]).any():
        raise AvatarRefused(f"{file}: a box lies outside the picture")
    return Faces(boxes, seen)
