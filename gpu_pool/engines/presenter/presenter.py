"""The presenter: from a tick, a mouth and a gesture to an I420 picture.

No clock, no state that shows: the same arguments give the same bytes. Nothing here gains from
OpenCV's own threads: a worker sets ``cv2.setNumThreads(1)`` when it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.presenter import colour
from gpu_pool.engines.presenter.head import Head, opening_of, spread_of
from gpu_pool.engines.presenter.pose import LOOP_S, Pose, pose_at
from gpu_pool.engines.presenter.sheet import Sheet, read_sheet
from gpu_pool.engines.presenter.stage import Place, Stage
from gpu_pool.engines.presenter.tiles import Tile, Tiler
from gpu_pool.engines.presenter.values import REST, STILL, AtlasError, Gesture, Mouth
from gpu_pool.engines.presenter.warp import Frame, Grid, Warp, moved

Plane = NDArray[np.uint8]
_Cut = Callable[[Grid], Iterable[Tile]]

_OVERSAMPLED = 1.5
"""The head is kept up to this much larger than it is shown: slow sway then does not shimmer."""

_REACH_UNITS = 24.0
"""How far the head's outline may move in any pose."""

_CHEEK_UNITS = 2.2
"""How far the cheeks rise in the widest mouth."""


class Presenter:
    """One presenter at one picture size. Not for several threads at once; make one for each."""

    def __init__(self, sheet: Sheet, width: int, height: int) -> None:
        self._width, self._height = width, height
        place = Place.of(sheet, width, height)
        self._stage = Stage(sheet, place)
        size = min(1.0, place.size * _OVERSAMPLED)
        self._head = Head(sheet, size)
        self._frame = _head_frame(sheet, place)
        box = self._head.box
        self._warp = Warp(
            self._frame,
            place.origin(sheet),
            sheet.scale * place.size,
            sheet.scale * size,
            (-box.left, -box.top),
        )
        self._jaw_drop, self._rest_lid = sheet.jaw_drop, sheet.rest_lid
        self._tiler = Tiler(
            self._head.alpha, size / place.size, self._frame.width, self._frame.height
        )

    @classmethod
    def load(cls, atlas: Path, width: int, height: int) -> Presenter:
        """Read an atlas and prepare it for pictures of this size.

        Args:
            atlas: the WebP; its JSON lies beside it.
            width: pixels, even.
            height: pixels, even. The composition fills the picture; another aspect ratio cuts it.

        Raises:
            AtlasError: an atlas that cannot be used.
            ValueError: an odd size.
        """
        if width % 2 or height % 2 or min(width, height) < 64:
            raise ValueError(f"{width}x{height}: both sides have to be even and 64 or more")
        sheet = read_sheet(atlas)
        if (sheet.width > sheet.height) != (width > height) and width != height:
            raise AtlasError(f"{atlas} is for the other orientation than {width}x{height}")
        return cls(sheet, width, height)

    def loop_ticks(self, fps: int) -> int:
        """Ticks after which the idle pose begins again."""
        return LOOP_S * fps

    def picture(
        self, tick: int, fps: int, mouth: Mouth = REST, gesture: Gesture = STILL
    ) -> NDArray[np.uint8]:
        """I420, BT.709 limited range, uint8 of shape (height*3//2, width); the caller's own."""
        return self._composed(pose_at(tick, fps, gesture), mouth, self._tiler.tiles)

    def picture_untiled(
        self, tick: int, fps: int, mouth: Mouth = REST, gesture: Gesture = STILL
    ) -> NDArray[np.uint8]:
        """The same picture, blended everywhere: what the tiles are checked and measured against."""
        return self._composed(pose_at(tick, fps, gesture), mouth, self._tiler.whole)

    def opacity_at_the_edge(self, tick: int, fps: int, gesture: Gesture) -> int:
        """Most opacity, 0..255, on the border of the rectangle in which the head is drawn.

        Anything but 0 would show as a straight cut; the picture's own border does not count.
        """
        coarse = self._coarse(pose_at(tick, fps, gesture), Mouth(open=1.0))
        alpha = moved(self._head.alpha, self._warp.spread(coarse, 1))
        frame = self._frame
        edges = [alpha[0]] if frame.top > 0 else []
        edges += [alpha[-1]] if frame.top + frame.height < self._height else []
        edges += [alpha[:, 0]] if frame.left > 0 else []
        edges += [alpha[:, -1]] if frame.left + frame.width < self._width else []
        return max((int(edge.max()) for edge in edges), default=0)

    def _composed(self, pose: Pose, mouth: Mouth, cut: _Cut) -> NDArray[np.uint8]:
        picture = self._stage.picture(pose.breath)
        outputs = colour.unpack(picture.reshape(-1), self._height, self._width)
        sources = self._head.planes(mouth, pose.lid * self._rest_lid, pose.gaze)
        head, warp, coarse = self._head, self._warp, self._coarse(pose, mouth)
        tiles = list(cut(coarse))
        luma, *chroma = (self._area(o, s) for o, s in zip(outputs, (1, 2, 2), strict=True))
        _lay([luma], sources[:1], head.alpha, _Where(warp.spread(coarse, 1), 1), tiles)
        _lay(chroma, sources[1:], head.half_alpha, _Where(warp.spread(coarse, 2), 2), tiles)
        return picture

    def _coarse(self, pose: Pose, mouth: Mouth) -> NDArray[np.float32]:
        spread = spread_of(mouth)
        jaw = self._jaw_drop * opening_of(mouth) * (1 - 0.25 * max(0.0, -spread))
        return self._warp.coarse(pose, jaw, _CHEEK_UNITS * max(0.0, spread))

    def _area(self, plane: Plane, step: int) -> Plane:
        frame = self._frame
        return plane[
            frame.top // step : (frame.top + frame.height) // step,
            frame.left // step : (frame.left + frame.width) // step,
        ]


@dataclass(frozen=True, slots=True)
class _Where:
    """Source coordinates of an area's pixels, and whether the area is of half size (step 2)."""

    map: NDArray[np.float32]
    step: int


def _lay(
    areas: Sequence[Plane], sources: Sequence[Plane], alpha: Plane, where: _Where, tiles: list[Tile]
) -> None:
    """Lay premultiplied planes over areas of the picture, moved as ``where`` says."""
    for tile in tiles:
        part = tile.area(where.step)
        at = where.map[part]
        clear = None
        if not tile.covered:
            clear = cv2.bitwise_not(moved(alpha, at))
        for area, source in zip(areas, sources, strict=True):
            drawn = moved(source, at)
            target = area[part]
            if clear is None:
                np.copyto(target, drawn)
            else:
                cv2.add(cv2.multiply(target, clear, scale=1 / 255), drawn, dst=target)


def _head_frame(sheet: Sheet, place: Place) -> Frame:
    box, units = sheet.boxes["head"], sheet.scale * place.size
    x, y = place.origin(sheet)
    reach = _REACH_UNITS * units
    left = max(0, 2 * int((x + box.left * place.size - reach) / 2))
    top = max(0, 2 * int((y + box.top * place.size - reach) / 2))
    right = min(place.width, 2 * int((x + (box.left + box.width) * place.size + reach) / 2))
    bottom = min(place.height, 2 * int((y + (box.top + box.height) * place.size + reach) / 2))
    return Frame(left, top, right - left, bottom - top)
