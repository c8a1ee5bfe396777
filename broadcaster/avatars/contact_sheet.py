"""A contact sheet of an avatar: both compositions, mouths, eyes, gestures.

It shows exactly what goes on air: pictures of the renderer, converted back from I420.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

import idle_media
from broadcaster.avatars.pictures import Picture, to_bgr
from gpu_pool.engines.presenter import REST, STILL, Gesture, Mouth, Presenter

_FINE_FPS = 1000
"""A picture rate at which a tick is a millisecond: any moment of the loop can be named."""

_PAPER, _INK = (30, 24, 20), (232, 226, 222)
_MARGIN, _TILE = 12, (252, 280)
_COLUMNS = 6


@dataclass(frozen=True, slots=True)
class Shot:
    """One tile: what it is called and how to get it."""

    title: str
    mouth: Mouth = REST
    gesture: Gesture = STILL
    time_s: float = 0.6


SHOTS: Sequence[Shot] = (
    Shot("at rest"),
    Shot("ah", Mouth(open=0.95, wide=0.15)),
    Shot("eh", Mouth(open=0.55, wide=0.45)),
    Shot("ee", Mouth(open=0.32, wide=0.8)),
    Shot("oh", Mouth(open=0.65, round=0.65)),
    Shot("oo", Mouth(open=0.28, round=1.0)),
    Shot("p b m", Mouth(press=1.0)),
    Shot("f v", Mouth(open=0.12, tuck=1.0)),
    Shot("th n d l", Mouth(open=0.25, wide=0.15, tongue=1.0)),
    Shot("s z", Mouth(open=0.13, wide=0.45)),
    Shot("sh ch", Mouth(open=0.25, round=0.55)),
    Shot("between", Mouth(open=0.41, wide=0.2, round=0.4)),
    Shot("blink begins", time_s=1.405),
    Shot("shut", time_s=1.465),
    Shot("look left", time_s=6.4),
    Shot("look right", time_s=2.5),
    Shot("brows up", gesture=Gesture(brow=1.0)),
    Shot("brows down", gesture=Gesture(brow=-1.0)),
    Shot("nod", gesture=Gesture(nod=1.0)),
    Shot("chin up", gesture=Gesture(nod=-1.0)),
    Shot("turn left", gesture=Gesture(turn=-1.0)),
    Shot("turn right", gesture=Gesture(turn=1.0)),
    Shot("tilt", gesture=Gesture(tilt=1.0)),
    Shot("stress", Mouth(open=0.7, wide=0.3), Gesture(brow=0.7, nod=0.5)),
)


class Body(Protocol):
    """Who can be drawn at any moment with any mouth: a drawn presenter, a photograph."""

    def picture(
        self, tick: int, fps: int, mouth: Mouth = REST, gesture: Gesture = STILL
    ) -> Picture:
        """I420, (height * 3 / 2, width)."""
        ...


@dataclass(frozen=True, slots=True)
class FaceBox:
    """The face in a picture of 1920x1080, in pixels."""

    left: float
    top: float
    right: float
    bottom: float


_PRESENTERS_FACE = FaceBox(726, 236, 1194, 756)


def draw_sheet(name: str) -> Picture:
    """The contact sheet of a presenter, BGR.

    Raises:
        KeyError: there is no such presenter.
        AtlasError: its atlas cannot be used.
    """
    wide = Presenter.load(idle_media.atlas(name, 1920, 1080), 1920, 1080)
    tall = Presenter.load(idle_media.atlas(name, 720, 1280), 720, 1280)
    return draw_bodies(wide, tall, name, _PRESENTERS_FACE)


def draw_bodies(wide: Body, tall: Body, name: str, face: FaceBox) -> Picture:
    """The contact sheet of anybody, BGR; ``wide`` is drawn at 1920x1080, ``tall`` upright."""
    width = _COLUMNS * (_TILE[0] + _MARGIN) + _MARGIN
    parts = [_head_row(wide, tall, name, width)]
    tiles = [_tile(wide, shot, face) for shot in SHOTS]
    for first in range(0, len(tiles), _COLUMNS):
        row = [_paper(_TILE[1], _MARGIN)]
        for tile in tiles[first : first + _COLUMNS]:
            row += [tile, _paper(_TILE[1], _MARGIN)]
        parts += [np.hstack(row), _paper(_MARGIN, width)]
    return np.vstack(parts)


def _paper(height: int, width: int) -> Picture:
    return np.full((height, width, 3), _PAPER, np.uint8)


def _write(picture: Picture, words: str, at: tuple[int, int], scale: float) -> None:
    cv2.putText(picture, words, at, cv2.FONT_HERSHEY_DUPLEX, scale, _INK, 1, cv2.LINE_AA)


def _head_row(wide: Body, tall: Body, name: str, width: int) -> Picture:
    landscape, portrait = to_bgr(wide.picture(0, 25)), to_bgr(tall.picture(0, 25))
    high = 634
    row = _paper(high + 60, width)
    _write(row, name, (_MARGIN, 34), 0.9)
    left = _MARGIN
    for picture in (landscape, portrait):
        across = round(picture.shape[1] * high / picture.shape[0])
        small = cv2.resize(picture, (across, high), interpolation=cv2.INTER_AREA)
        row[48 : 48 + high, left : left + across] = small
        left = width - _MARGIN - round(portrait.shape[1] * high / portrait.shape[0])
    return row


def _tile(body: Body, shot: Shot, face: FaceBox) -> Picture:
    """The face, cut from a 1080p picture."""
    tick = round(shot.time_s * _FINE_FPS)
    picture = to_bgr(body.picture(tick, _FINE_FPS, shot.mouth, shot.gesture))
    tile = np.asarray(
        cv2.resize(_cut(picture, face), _TILE, interpolation=cv2.INTER_AREA), np.uint8
    )
    cv2.rectangle(tile, (0, 0), (_TILE[0], 24), _PAPER, -1)
    _write(tile, shot.title, (8, 17), 0.5)
    return tile


def _cut(picture: Picture, face: FaceBox) -> Picture:
    """The face in the shape of a tile, inside the picture."""
    rows, columns = picture.shape[:2]
    high = max(face.bottom - face.top, (face.right - face.left) * _TILE[1] / _TILE[0])
    high = min(high, rows, columns * _TILE[1] / _TILE[0])
    wide = high * _TILE[0] / _TILE[1]
    left = min(max(0.0, (face.left + face.right - wide) / 2), columns - wide)
    top = min(max(0.0, (face.top + face.bottom - high) / 2), rows - high)
    return picture[round(top) : round(top + high), round(left) : round(left + wide)]
