"""Where an avatar stands in a channel's picture, and what is beside a narrower one."""

from __future__ import annotations

import cv2
import numpy as np

from gpu_pool.contracts import Picture, PictureFormat
from gpu_pool.engines.photo.framing import Cut
from gpu_pool.engines.photo.painter import Area
from gpu_pool.engines.photo.source import Bgr
from gpu_pool.engines.photo.yuv import Planes, planes_of, to_i420

_BACKDROP_DARK = 0.45
_BACKDROP_BLUR_PX = 24.0


class Frame:
    """Where an avatar stands in a channel's picture, and what is beside it if it is narrower."""

    def __init__(
        self, picture: PictureFormat, cut: Cut, place: tuple[int, int, int, int] | None, bgr: Bgr
    ) -> None:
        self.width, self.height = cut.width, cut.height
        self.shape = picture.shape
        self._place = place
        self._ground = None if place is None else to_i420(_backdrop(bgr, picture))

    def clear(self, picture: Picture) -> None:
        """Lay what is beside the avatar into a picture."""
        if self._ground is not None:
            np.copyto(picture, self._ground)

    def inner(self, picture: Picture) -> Planes:
        """Views of the avatar's part of a picture."""
        luma, u, v = planes_of(picture)
        if self._place is None:
            return luma, u, v
        left, top, width, height = self._place
        area = Area(left, top, width, height)
        return area.of(luma), area.of(u, 2), area.of(v, 2)


def _backdrop(bgr: Bgr, picture: PictureFormat) -> Bgr:
    """The picture itself, filling the frame, dark and out of focus."""
    height, width = bgr.shape[:2]
    scale = max(picture.width / width, picture.height / height)
    cut = Cut(
        round((width - picture.width / scale) / 2), round((height - picture.height / scale) / 2),
        scale, picture.width, picture.height,
    )  # fmt: skip
    blurred = cv2.GaussianBlur(cut.picture(bgr), (0, 0), _BACKDROP_BLUR_PX)
    return np.asarray(cv2.convertScaleAbs(blurred, alpha=_BACKDROP_DARK), np.uint8)
