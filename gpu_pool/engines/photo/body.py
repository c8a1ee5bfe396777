"""An avatar at a channel's size: the picture of any tick, with any mouth. A pure function of both.

What the idle loop is made of and what a task is drawn on: so their pictures follow each other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from gpu_pool.contracts import Picture, PictureFormat
from gpu_pool.engines.photo.cavity import Cavity
from gpu_pool.engines.photo.folder import AvatarFolder, read_avatar
from gpu_pool.engines.photo.frame import Frame
from gpu_pool.engines.photo.framing import Cut, shown_cut
from gpu_pool.engines.photo.lids import Lids
from gpu_pool.engines.photo.lips import Lips, Shape
from gpu_pool.engines.photo.painter import Area, Canvas, Desk, MouthPainter, chroma, take
from gpu_pool.engines.photo.source import Bgr
from gpu_pool.engines.photo.stored_clip import ClipPictures
from gpu_pool.engines.photo.sway import BREATHS, Sway, breath_level
from gpu_pool.engines.photo.sway import Body as Torso
from gpu_pool.engines.photo.teeth import Light, Teeth, unit_of
from gpu_pool.engines.photo.warp import Grid, reach
from gpu_pool.engines.photo.yuv import Planes, planes_of, to_i420
from gpu_pool.engines.presenter.pose import LOOP_S, pose_at
from gpu_pool.engines.presenter.values import REST, STILL, Gesture, Mouth

_OVERSAMPLED = 1.5
"""A photograph is kept this much larger than it is shown: slow sway then does not shimmer."""

_SWAY_CELL = 16
"""Pixels between grid points of the sway, whose fields bend over a hundred or more."""

_MOVES_PX = 6.0
"""Room around the mouth and the eyes for the head's motion."""

_OPEN_LID = 0.99
"""From this height on lids are as photographed."""


class Body(Protocol):
    """One avatar at one picture format. Not for several threads at once."""

    def loop_ticks(self, fps: int) -> int:
        """Ticks after which the idle pictures begin again: whole seconds of them."""
        ...

    def picture(
        self, tick: int, fps: int, mouth: Mouth = REST, gesture: Gesture = STILL
    ) -> Picture:
        """I420, BT.709 limited range, (height * 3 / 2, width); the caller's own.

        At rest the mouth is shut, whatever the picture or the clip shows.
        """
        ...

    def draw(self, out: Picture, tick: int, fps: int, mouth: Mouth, gesture: Gesture) -> None:
        """The same into ``out``."""
        ...


def load(source: Path, picture: PictureFormat) -> Body:
    """Read an avatar's folder and make it ready for pictures of this format.

    Raises:
        AvatarRefused: the folder is no avatar, or not a whole one.
        ValueError: an odd size.
    """
    if picture.width % 2 or picture.height % 2 or min(picture.width, picture.height) < 64:
        raise ValueError(f"{picture.width}x{picture.height}: sides have to be even, 64 or more")
    avatar = read_avatar(source)
    if avatar.clip is not None:
        return ClipBody(avatar, avatar.clip, picture)
    assert avatar.picture is not None, "it is one or the other"
    return StillBody(avatar, avatar.picture, picture)


class StillBody:
    """A photograph that breathes, sways and blinks."""

    def __init__(self, avatar: AvatarFolder, bgr: Bgr, picture: PictureFormat) -> None:
        summary = avatar.summary
        cut, place = shown_cut(
            summary.width, summary.height, avatar.points, picture.width, picture.height
        )
        large = _enlarged(cut)
        self._frame = Frame(picture, cut, place, bgr)
        self._source = planes_of(to_i420(large.picture(bgr)))
        self._over = np.array([large.width / cut.width, large.height / cut.height], np.float32)
        points = large.points(avatar.points[0])
        unit = unit_of(points[None])
        self._lips = Lips.of(points, unit)
        self._lids = Lids(points)
        torso = Torso.of(cut.points(avatar.points[0]))

        self._desk = Desk()
        self._head = [
            (area, Sway(torso, area.grid()))
            for area in (
                Area.within(band, cut.width, cut.height, _SWAY_CELL) for band in torso.head_bands()
            )
            if area.width and area.height
        ]
        self._mouth, *self._eyes = (
            (area, Sway(torso, area.grid()))
            for area in map(self._near, [_mouth_box(self._lips), *self._lids.boxes()])
        )
        self._breaths = self._breathed(torso)
        light = Light.on(self._source, self._lips)
        shown = summary.teeth_at is not None
        teeth = Teeth.photographed(self._source, self._lips) if shown else Teeth.drawn(light)
        self._painter = MouthPainter(Cavity(teeth, light))

    def loop_ticks(self, fps: int) -> int:
        """As ``Body``: the drawn presenter's twelve seconds."""
        return LOOP_S * fps

    def picture(
        self, tick: int, fps: int, mouth: Mouth = REST, gesture: Gesture = STILL
    ) -> Picture:
        """As ``Body``."""
        out = np.empty(self._frame.shape, np.uint8)
        self.draw(out, tick, fps, mouth, gesture)
        return out

    def draw(self, out: Picture, tick: int, fps: int, mouth: Mouth, gesture: Gesture) -> None:
        """As ``Body``."""
        pose = pose_at(tick, fps, gesture)
        np.copyto(out, self._breaths[breath_level(pose.breath)])
        inner = self._frame.inner(out)
        for number, (area, sway) in enumerate(self._head):
            self._move(inner, area, sway.sources(pose), f"band {number} ")
        if pose.lid < _OPEN_LID:
            for number, (area, sway) in enumerate(self._eyes):
                canvas = Canvas(inner, self._source, area, self._enlarge(sway.sources(pose)))
                self._lids.paint(number, canvas, 1 - pose.lid)
        area, sway = self._mouth
        canvas = Canvas(inner, self._source, area, self._enlarge(sway.sources(pose)))
        self._painter.paint(canvas, self._lips, Shape.of(mouth))

    def _move(self, out: Planes, area: Area, at: Grid, use: str) -> None:
        places = self._enlarge(at)
        take(self._source[0], area.spread(places, 1, self._desk, use), area.of(out[0]))
        small = area.spread(chroma(places), 2, self._desk, use)
        for plane, source in zip(out[1:], self._source[1:], strict=True):
            take(source, small, area.of(plane, 2))

    def _enlarge(self, at: Grid) -> Grid:
        return (at + np.float32(0.5)) * self._over - np.float32(0.5)

    def _near(self, box: tuple[float, float, float, float]) -> Area:
        """The part of the output around a box of the source."""
        over = np.tile(self._over, 2)
        left, top, right, bottom = (float(value) for value in np.array(box) / over)
        room, frame = _MOVES_PX, self._frame
        around = (left - room, top - room, right + room, bottom + room)
        return Area.within(around, frame.width, frame.height)

    def _breathed(self, torso: Torso) -> list[Picture]:
        """The picture of every level of the breath, but for the head."""
        area = Area(0, 0, self._frame.width, self._frame.height, _SWAY_CELL)
        sway, desk = Sway(torso, area.grid()), self._desk
        made = []
        for level in range(BREATHS):
            picture = np.empty(self._frame.shape, np.uint8)
            self._frame.clear(picture)
            self._move(self._frame.inner(picture), area, sway.chest(level), "all")
            made.append(picture)
        desk.clear()
        return made


class ClipBody:
    """A clip that plays forwards and backwards, with its mouth shut or talking."""

    def __init__(self, avatar: AvatarFolder, clip: ClipPictures, picture: PictureFormat) -> None:
        summary = avatar.summary
        cut, place = shown_cut(
            summary.width, summary.height, avatar.points, picture.width, picture.height
        )
        first = np.asarray(cv2.cvtColor(clip.picture(0), cv2.COLOR_YUV2BGR_I420), np.uint8)
        self._frame = Frame(picture, cut, place, first)
        self._clip, self._cut, self._fps = clip, cut, summary.fps
        self._points = cut.points(avatar.points)
        self._unit = unit_of(self._points)
        self._large = planes_of(np.empty((cut.height * 3 // 2, cut.width), np.uint8))
        self._shown: tuple[int, Planes] | None = None
        light = Light.on(self._cropped(0), self._lips(0))
        self._painter = MouthPainter(Cavity(self._teeth(summary.teeth_at, light), light))

    def loop_ticks(self, fps: int) -> int:
        """As ``Body``: there and back, to the nearest second."""
        return max(1, round(2 * (len(self._clip) - 1) / self._fps)) * fps

    def picture(
        self, tick: int, fps: int, mouth: Mouth = REST, gesture: Gesture = STILL
    ) -> Picture:
        """As ``Body``; a clip has gestures of its own."""
        out = np.empty(self._frame.shape, np.uint8)
        self.draw(out, tick, fps, mouth, gesture)
        return out

    def draw(self, out: Picture, tick: int, fps: int, mouth: Mouth, gesture: Gesture) -> None:
        """As ``Body``."""
        number = self.number_at(tick, fps)
        source = self._cropped(number)
        self._frame.clear(out)
        inner = self._frame.inner(out)
        for plane, own in zip(inner, source, strict=True):
            np.copyto(plane, own)
        lips = self._lips(number)
        area = Area.within(_mouth_box(lips), self._frame.width, self._frame.height)
        if area.width and area.height:
            canvas = Canvas(inner, source, area, area.grid())
            self._painter.paint(canvas, lips, Shape.of(mouth))

    def number_at(self, tick: int, fps: int) -> int:
        """Which picture of the clip a tick shows."""
        loop, turn = self.loop_ticks(fps), 2 * (len(self._clip) - 1)
        at = tick % loop * turn / loop
        return round(min(at, turn - at))

    def _lips(self, number: int) -> Lips:
        return Lips.of(self._points[number], self._unit)

    def _teeth(self, teeth_at: int | None, light: Light) -> Teeth:
        if teeth_at is None:
            return Teeth.drawn(light)
        return Teeth.photographed(self._cropped(teeth_at), self._lips(teeth_at))

    def _cropped(self, number: int) -> Planes:
        """The part of a picture that is shown, at its size there; until the next call.

        A clip slower than the channel shows a picture more than once.
        """
        if self._shown is None or self._shown[0] != number:
            self._shown = number, self._resized(self._clip.planes(number))
        return self._shown[1]

    def _resized(self, planes: Planes) -> Planes:
        cut, found = self._cut, []
        for plane, large, step in zip(planes, self._large, (1, 2, 2), strict=True):
            size = cut.width // step, cut.height // step
            left, top = round(cut.left / step), round(cut.top / step)
            wide, high = (round(side / step / cut.scale) for side in (cut.width, cut.height))
            own = plane[top : top + high, left : left + wide]
            if own.shape != (size[1], size[0]):
                how = cv2.INTER_AREA if cut.scale < 0.6 else cv2.INTER_LINEAR
                own = np.asarray(cv2.resize(own, size, dst=large, interpolation=how), np.uint8)
            found.append(own)
        return found[0], found[1], found[2]


def _mouth_box(lips: Lips) -> tuple[float, float, float, float]:
    """Left, top, right and bottom, in pixels, of all that a mouth moves."""
    left, top, right, bottom = reach(lips)
    corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]], np.float32)
    places = corners * np.float32(lips.unit_px) @ lips.turn + lips.centre
    low, high = places.min(axis=0), places.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _enlarged(cut: Cut) -> Cut:
    width, height = (2 * round(side * _OVERSAMPLED / 2) for side in (cut.width, cut.height))
    return Cut(cut.left, cut.top, cut.scale * width / cut.width, width, height)
