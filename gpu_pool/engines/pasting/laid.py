"""What of an idle picture a face may change, on the network's device: made once per picture.

Between an avatar's pictures and the paste on the device. Only the rectangle in which a face has any
weight is kept, filled up to a multiple of ``GRAIN_PX`` so that pictures can be pasted together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_pool.contracts import Picture
from gpu_pool.engines.pasting.sampling import How, Positions
from gpu_pool.engines.photo.box import Box
from gpu_pool.engines.photo.paste import Patch, planes_of
from gpu_pool.engines.transfer import uploaded

GRAIN_PX = 32
"""The boxes of a clip differ by a few pixels; so most of them have the same shape here."""


class Way(Protocol):
    """How a face is laid over the picture."""

    @property
    def how(self) -> How:
        """See there."""
        ...

    def positions(self, part: Box) -> Positions:
        """Where in the face the pixels of a part of the picture lie."""
        ...


@dataclass(frozen=True, slots=True)
class Laid:
    """One picture's part.

    Attributes:
        part: of the picture, even edges.
        shape: rows and columns that are kept, ``part`` in their upper left corner.
        how: the face is sampled.
        idle: ``uint8``, flat: Y, U and V of the idle picture.
        numbers: float32, flat: column_x, column_y, row_x, row_y of ``Positions``, then the face's
            weights for Y, U and V.
    """

    part: Box
    shape: tuple[int, int]
    how: How
    idle: Tensor
    numbers: Tensor

    @property
    def size_bytes(self) -> int:
        """On the device."""
        return int(self.idle.nbytes + self.numbers.nbytes)


def laid(picture: Picture, patch: Patch, way: Way, device: torch.device) -> Laid:
    """Lay a patch of an idle picture out on the device."""
    part = _weighty(patch)
    rows, columns = _up(part.height), _up(part.width)
    lack = (rows - part.height, columns - part.width)
    within = slice(part.top - patch.outer.top, part.bottom - patch.outer.top)
    across = slice(part.left - patch.outer.left, part.right - patch.outer.left)
    half = slice(within.start // 2, within.stop // 2), slice(across.start // 2, across.stop // 2)
    weights = patch.luma[within, across], patch.chroma[half], patch.chroma[half]
    at = way.positions(part)
    lines = (
        *(np.pad(each, (0, lack[1]), "edge") for each in (at.column_x, at.column_y)),
        *(np.pad(each, (0, lack[0]), "edge") for each in (at.row_x, at.row_y)),
    )
    numbers = [*lines, *(_flat(each, lack, n) for n, each in enumerate(weights))]
    idle = [_flat(each, lack, n) for n, each in enumerate(planes_of(picture, part))]
    return Laid(
        part,
        (rows, columns),
        way.how,
        uploaded(np.concatenate(idle).astype(np.uint8), device),
        uploaded(np.concatenate(numbers).astype(np.float32), device),
    )


def _up(length: int) -> int:
    return -(-length // GRAIN_PX) * GRAIN_PX


def _flat(plane: NDArray[np.generic], lack: tuple[int, int], number: int) -> NDArray[np.generic]:
    """A plane filled up with zeros; the first is luma, the others have half its size."""
    below, beside = (each // 2 if number else each for each in lack)
    filled: NDArray[np.generic] = np.pad(plane, ((0, below), (0, beside))).reshape(-1)
    return filled


def _weighty(patch: Patch) -> Box:
    """The smallest part of even edges with all the weights in it; never empty."""
    outer = patch.outer
    rows = np.flatnonzero(patch.luma.any(axis=1))
    columns = np.flatnonzero(patch.luma.any(axis=0))
    top, bottom = (int(rows[0]), int(rows[-1])) if len(rows) else (0, 0)
    left, right = (int(columns[0]), int(columns[-1])) if len(columns) else (0, 0)
    return Box(
        outer.top + (top & ~1),
        outer.top + (bottom | 1) + 1,
        outer.left + (left & ~1),
        outer.left + (right | 1) + 1,
    )
