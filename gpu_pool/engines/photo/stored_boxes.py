"""Face boxes and masks that an avatar brought along: an npz without pickle, beside the clip.

Written at import, read by workers. Engines that draw a box anew lay it by the landmarks; an avatar
that was made for one of them elsewhere keeps the boxes and masks that it was made with.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.face.refused import AvatarRefused

BOXES = "boxes.npz"

MASK_SIDE = 128
"""Pixels of a stored mask. Masks are blurred over a tenth of their width: 2.5 levels of 255 are
lost at most, and 1500 pictures hold 25 MB."""

Edges = NDArray[np.float32]
"""(pictures, 4): left, top, right and bottom edge; the first pixel lies between 0 and 1."""

_ARRAYS = ("boxes", "squares", "masks")
_FARTHEST_PX = 100_000.0


@dataclass(frozen=True, slots=True)
class StoredBoxes:
    """Of every picture, in pixels of the stored ones.

    Attributes:
        boxes: where the face is.
        squares: what the masks cover; may reach beyond the picture. None without masks.
        masks: (pictures, MASK_SIDE, MASK_SIDE), 0 to 255: how much of the drawn face is taken.
    """

    boxes: Edges
    squares: Edges | None = None
    masks: NDArray[np.uint8] | None = None


def pack(stored: StoredBoxes) -> bytes:
    """The file's content."""
    every = {name: getattr(stored, name) for name in _ARRAYS}
    packed = io.BytesIO()
    np.savez_compressed(packed, **{n: array for n, array in every.items() if array is not None})
    return packed.getvalue()


def most_bytes(pictures: int) -> int:
    """How large the file may be."""
    return pictures * (32 + MASK_SIDE * MASK_SIDE + 64) + 8192


def read(file: Path, pictures: int, width: int, height: int) -> StoredBoxes:
    """The content of a file whose size and hash were checked.

    Args:
        file: ``boxes.npz``.
        pictures: how many the avatar has.
        width: of its stored pictures, in which every box lies.
        height: likewise.

    Raises:
        AvatarRefused: names the file and the array.
    """
    names = _names(file, pictures)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in names}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, NotImplementedError) as error:
        raise AvatarRefused(f"{file}: it cannot be read") from error
    for name, array in found.items():
        shape = (pictures, MASK_SIDE, MASK_SIDE) if name == "masks" else (pictures, 4)
        dtype = np.uint8 if name == "masks" else np.float32
        if array.dtype != dtype or array.shape != shape:
            raise AvatarRefused(f"{file}: {name}: {np.dtype(dtype)} of {shape} is needed")
    stored = StoredBoxes(**found)
    _check_edges(file, "boxes", stored.boxes)
    if stored.squares is not None:
        _check_edges(file, "squares", stored.squares)
        if not _holds(stored.squares, stored.boxes):
            raise AvatarRefused(f"{file}: squares: each has to hold the box of its face")
    frame = np.array([[0, 0, width, height]], np.float32)
    if not _holds(frame, stored.boxes):
        raise AvatarRefused(f"{file}: boxes: some lie outside the picture")
    return stored


def _names(file: Path, pictures: int) -> tuple[str, ...]:
    """Which of the arrays there are; none is larger than it can be."""
    try:
        with zipfile.ZipFile(file) as packed:
            infos = packed.infolist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise AvatarRefused(f"{file}: it cannot be read") from error
    names = tuple(each.filename.removesuffix(".npy") for each in infos)
    if names not in {_ARRAYS[:1], _ARRAYS}:
        raise AvatarRefused(f"{file}: it has to hold boxes, or boxes, squares and masks")
    if max(each.file_size for each in infos) > most_bytes(pictures):
        raise AvatarRefused(f"{file}: it is too large")
    return names


def _check_edges(file: Path, name: str, edges: Edges) -> None:
    if not (np.isfinite(edges).all() and np.abs(edges).max() < _FARTHEST_PX):
        raise AvatarRefused(f"{file}: {name}: some lie outside the picture")
    if not (edges[:, 2:] > edges[:, :2]).all():
        raise AvatarRefused(f"{file}: {name}: some are empty")


def _holds(outer: Edges, inner: Edges) -> bool:
    low, high = outer[:, :2] <= inner[:, :2], outer[:, 2:] >= inner[:, 2:]
    return bool(low.all() and high.all())
