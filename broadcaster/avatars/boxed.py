"""Makes avatars for engines that draw a box anew: photo avatars, whose landmarks say where it is.

Loaded in the limited child only, which needs neither torch nor any network's weights. What differs
between engines is handed in: where their box lies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from broadcaster.avatars import photo
from broadcaster.avatars.maker import Facts, Picture
from broadcaster.avatars.pictures import to_bgr
from gpu_pool.contracts import PictureFormat
from gpu_pool.engines.photo.box import Box
from gpu_pool.engines.photo.looped import LoopedPictures

BoxesIn = Callable[[LoopedPictures], list[Box]]
"""The box of every stored picture; raises ``AvatarRefused`` where a face is too small."""

_WIDE, _TALL = PictureFormat(1280, 720, 25), PictureFormat(406, 720, 25)
_MOMENTS = 8
_TILE_PX, _MARGIN_PX = 200, 12
_PAPER, _INK, _LINE = (30, 24, 20), (232, 226, 222), (64, 220, 64)


def read(files: Path, boxes_in: BoxesIn) -> Facts:
    """As ``Maker``; the face is large enough for the network as well."""
    facts = photo.read(files)
    with photo.told():
        boxes_in(LoopedPictures(files, _WIDE))
    return facts


def contact_sheet(files: Path, name: str, boxes_in: BoxesIn) -> Picture:
    """As ``Maker``: where the face is drawn; its lips only the weights can tell."""
    with photo.told():
        wide, tall = (_Boxed(files, each, boxes_in) for each in (_WIDE, _TALL))
        ticks = [wide.loop.loop_ticks * n // _MOMENTS for n in range(_MOMENTS)]
        rows = [_row([wide.shown(0), tall.shown(0)]), _row([wide.face(tick) for tick in ticks])]
    across = max(row.shape[1] for row in rows)
    title = _paper(50, across)
    cv2.putText(title, name, (_MARGIN_PX, 34), cv2.FONT_HERSHEY_DUPLEX, 0.9, _INK, 1, cv2.LINE_AA)
    filled = [np.hstack([row, _paper(row.shape[0], across - row.shape[1])]) for row in rows]
    return np.vstack([title, *filled])


class _Boxed:
    """The idle loop at a channel's format, with a line around the part that is drawn anew."""

    def __init__(self, files: Path, picture: PictureFormat, boxes_in: BoxesIn) -> None:
        self.loop = LoopedPictures(files, picture)
        self._boxes = boxes_in(self.loop)

    def shown(self, tick: int) -> Picture:
        """The whole picture."""
        return self._drawn(tick)[0]

    def face(self, tick: int) -> Picture:
        """The box alone, square."""
        picture, box = self._drawn(tick)
        cut = picture[box.top : box.bottom, box.left : box.right]
        size = (_TILE_PX, _TILE_PX)
        return np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.uint8)

    def _drawn(self, tick: int) -> tuple[Picture, Box]:
        place = self.loop.place(tick)
        picture = to_bgr(self.loop.picture(place))
        box = self._boxes[self.loop.number(place)]
        corners = (box.left, box.top), (box.right - 1, box.bottom - 1)
        cv2.rectangle(picture, *corners, _LINE, 2)
        return picture, box


def _row(pictures: Sequence[Picture]) -> Picture:
    """Side by side on paper, a margin around each."""
    high, parts = pictures[0].shape[0], [_paper(pictures[0].shape[0], _MARGIN_PX)]
    for picture in pictures:
        parts += [picture, _paper(high, _MARGIN_PX)]
    row = np.hstack(parts)
    return np.vstack([row, _paper(_MARGIN_PX, row.shape[1])])


def _paper(height: int, width: int) -> Picture:
    return np.full((height, width, 3), _PAPER, np.uint8)
