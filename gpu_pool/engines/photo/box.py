"""A rectangle of a picture: where a face is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bgr = NDArray[np.uint8]
"""(height, width, 3)."""


@dataclass(frozen=True, slots=True)
class Box:
    """Rows ``top`` to below ``bottom``, columns ``left`` to below ``right`` of a frame."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def width(self) -> int:
        """Pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Pixels."""
        return self.bottom - self.top

    def padded(self, pads: Sequence[int], height: int, width: int) -> Box:
        """Larger by ``pads`` (top, bottom, left, right), within a frame of this size."""
        above, below, before, behind = pads
        return Box(
            max(0, self.top - above),
            min(height, self.bottom + below),
            max(0, self.left - before),
            min(width, self.right + behind),
        )
