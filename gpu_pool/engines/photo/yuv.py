"""BGR pictures to I420 by BT.709, limited range (the presenter's colours)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.presenter import colour

Plane = NDArray[np.uint8]
Planes = tuple[Plane, Plane, Plane]


def to_i420(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(height, width, 3) of even sides to (height * 3 / 2, width)."""
    height, width = bgr.shape[:2]
    flat = colour.packed(colour.planes(bgr))
    return np.asarray(flat, np.uint8).reshape(height * 3 // 2, width)


def planes_of(i420: NDArray[np.uint8]) -> Planes:
    """Views of Y, U and V of a picture (height * 3 / 2, width)."""
    rows, width = i420.shape
    luma, u, v = colour.unpack(i420.reshape(-1), rows * 2 // 3, width)
    return luma, u, v
