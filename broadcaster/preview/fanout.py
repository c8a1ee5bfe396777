"""Hands one channel's packets to its viewers. Pure: no clock, no socket.

A new viewer gets everything since the last IDR at once, so its first picture does not wait for
the next one; a viewer that falls behind loses pictures up to the next IDR. Sound waits for its
picture: the playout sends it ahead, and browsers take times of sending for times of capture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from broadcaster.preview.packets import SOUND_RATE, VIDEO_RATE, CodedPicture, CodedSound

BEHIND_PICTURES = 50
"""Two seconds: a viewer further behind is better served by the next IDR."""

KEPT_BYTES = 16 << 20
"""A key interval of more than this is not kept (10 s at 12 Mb/s): the newcomer waits."""

HELD_S = 0.5
"""Sound waits no longer than this for a picture that does not come."""


@dataclass(frozen=True, slots=True)
class Catching:
    """A picture of the first burst: to be paced by its size, not by its time."""

    picture: CodedPicture


class Viewer:
    """One viewer's lines; the callables are told when something was added to one."""

    def __init__(self, on_picture: Callable[[], None], on_sound: Callable[[], None]) -> None:
        self.pictures: deque[CodedPicture | Catching] = deque()
        self.sounds: deque[CodedSound] = deque()
        self.dropped = 0
        self._on_picture, self._on_sound = on_picture, on_sound
        self._needs_idr = True
        self._allowed = BEHIND_PICTURES

    def catch_up(self, kept: list[CodedPicture]) -> None:
        """Begin with what was kept since the last IDR.

        Timestamps stay as they are: browsers go by the picture that came earliest for its time, so
        they are live at once (45 to 190 ms late in the first second, 45 later). Squeezed to a
        millisecond each, they were 80 to 410 ms late in that second.
        """
        self.pictures.extend(Catching(picture) for picture in kept)
        self._needs_idr = not kept
        self._allowed = len(kept) + BEHIND_PICTURES

    def show(self, picture: CodedPicture) -> None:
        """The next picture of the channel."""
        if len(self.pictures) >= self._allowed:
            self.dropped += len(self.pictures)
            self.pictures.clear()
            self._needs_idr, self._allowed = True, BEHIND_PICTURES
        if self._needs_idr and not picture.is_idr:
            self.dropped += 1
            return
        self._needs_idr = False
        self.pictures.append(picture)
        self._on_picture()

    def await_idr(self) -> None:
        """Nothing more until the next IDR."""
        self._needs_idr = True

    def sound(self, sound: CodedSound) -> None:
        """The next 20 ms."""
        if len(self.sounds) >= 2 * BEHIND_PICTURES:
            self.sounds.clear()
        self.sounds.append(sound)
        self._on_sound()


class Fanout:
    """One channel's viewers and what the next one begins with."""

    def __init__(self) -> None:
        self.viewers: set[Viewer] = set()
        self._kept: list[CodedPicture] = []
        self._kept_bytes = 0
        self._held: deque[CodedSound] = deque()

    @property
    def has_picture(self) -> bool:
        """Whether a newcomer would see something at once."""
        return bool(self._kept)

    def join(self, viewer: Viewer) -> None:
        """From now on ``viewer`` gets everything."""
        viewer.catch_up(self._kept)
        self.viewers.add(viewer)

    def leave(self, viewer: Viewer) -> None:
        """No more for ``viewer``."""
        self.viewers.discard(viewer)

    def reset(self) -> None:
        """The source ended: what was kept belongs to it, and the next picture must be an IDR."""
        self._kept, self._kept_bytes = [], 0
        self._held.clear()
        for viewer in self.viewers:
            viewer.await_idr()

    def show(self, picture: CodedPicture) -> None:
        """A picture for everybody, with the sound that belongs before its end."""
        self._keep(picture)
        for viewer in self.viewers:
            viewer.show(picture)
        self._release(picture.pts / VIDEO_RATE)

    def sound(self, sound: CodedSound) -> None:
        """Sound for everybody, once its picture has come."""
        self._held.append(sound)
        self._release(sound.pts / SOUND_RATE - HELD_S)

    def _release(self, until_s: float) -> None:
        while self._held and self._held[0].pts <= until_s * SOUND_RATE:
            sound = self._held.popleft()
            for viewer in self.viewers:
                viewer.sound(sound)

    def _keep(self, picture: CodedPicture) -> None:
        if picture.is_idr:
            self._kept, self._kept_bytes = [], 0
        elif not self._kept:
            return
        self._kept.append(picture)
        self._kept_bytes += len(picture.payload)
        if self._kept_bytes > KEPT_BYTES:
            self._kept, self._kept_bytes = [], 0
