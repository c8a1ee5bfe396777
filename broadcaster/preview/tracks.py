"""One viewer's lines as aiortc's tracks: it asks for the next packet, and gets it when it is there.

aiortc packs these packets into RTP as they are; nothing is decoded or encoded here.
"""

from __future__ import annotations

import asyncio
from fractions import Fraction

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import Packet
from av.stream import Stream

from broadcaster.preview.fanout import Catching, Fanout, Viewer
from broadcaster.preview.packets import SOUND_RATE, VIDEO_RATE

BURST_BPS = 40_000_000
"""Pace of a newcomer's first burst: faster overflows the socket buffers of browsers (loopback
drops after about 90 packets), slower delays the first live picture."""


class ViewerTracks:
    """The two tracks of a viewer, who joins the channel when the first packet is asked for.

    That is after ICE and DTLS, so that what was kept is sent fresh.
    """

    def __init__(self, fanout: Fanout) -> None:
        self._more_pictures, self._more_sound = asyncio.Event(), asyncio.Event()
        self.viewer = Viewer(self._more_pictures.set, self._more_sound.set)
        self.pictures_sent = 0
        self.picture = _PictureTrack(self)
        self.sound = _SoundTrack(self)
        self._fanout = fanout
        self._ended = False

    def end(self) -> None:
        """Leave the channel; both tracks end."""
        self._ended = True
        self._fanout.leave(self.viewer)
        self.viewer.pictures.clear()
        self.viewer.sounds.clear()
        self._more_pictures.set()
        self._more_sound.set()

    async def next_picture(self) -> Packet[Stream]:
        """The next picture.

        Raises:
            MediaStreamError: the viewer has left.
        """
        self._join()
        line = self.viewer.pictures
        while not line:
            await self._wait(self._more_pictures)
        item = line.popleft()
        if isinstance(item, Catching):
            picture = item.picture
            await asyncio.sleep(len(picture.payload) * 8 / BURST_BPS)
        else:
            picture = item
        self.pictures_sent += 1
        return _packet(picture.payload, picture.pts, VIDEO_RATE)

    async def next_sound(self) -> Packet[Stream]:
        """The next 20 ms of sound.

        Raises:
            MediaStreamError: the viewer has left.
        """
        self._join()
        line = self.viewer.sounds
        while not line:
            await self._wait(self._more_sound)
        sound = line.popleft()
        return _packet(sound.payload, sound.pts, SOUND_RATE)

    def _join(self) -> None:
        if not self._ended and self.viewer not in self._fanout.viewers:
            self._fanout.join(self.viewer)

    async def _wait(self, more: asyncio.Event) -> None:
        if not self._ended:
            more.clear()
            await more.wait()
        if self._ended:
            raise MediaStreamError


class _PictureTrack(MediaStreamTrack):
    """H.264, passed through."""

    kind = "video"

    def __init__(self, tracks: ViewerTracks) -> None:
        super().__init__()
        self._tracks = tracks

    async def recv(self) -> Packet[Stream]:
        return await self._tracks.next_picture()


class _SoundTrack(MediaStreamTrack):
    """Opus, encoded once for all."""

    kind = "audio"

    def __init__(self, tracks: ViewerTracks) -> None:
        super().__init__()
        self._tracks = tracks

    async def recv(self) -> Packet[Stream]:
        return await self._tracks.next_sound()


def _packet(payload: bytes, pts: int, rate: int) -> Packet[Stream]:
    packet: Packet[Stream] = Packet(payload)
    packet.pts, packet.time_base = pts, Fraction(1, rate)
    return packet
