"""The picture path of one channel: for each tick either an idle packet or a live-coded picture.

The splice rules live here: enter live at any tick off the IDR's neighbourhood (a fresh encoder
begins with an IDR), keep every IDR of the grid while live, leave only where idle has an IDR.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from broadcaster.codec.vbv import LeakyBucket
from broadcaster.codec.x264 import PictureEncoder
from broadcaster.errors import EncodeError
from broadcaster.formats import EncodeFormat, VideoPacket
from broadcaster.idle.timeline import IdleTimeline
from broadcaster.mixer.blend import Picture
from broadcaster.playout.idle_pictures import AHEAD_TICKS, IdlePictures
from broadcaster.timeline.grid import live_start, on_grid

Draw = Callable[[Picture], Picture]

_TIMES_KEPT = 300
"""Encode times until somebody takes them: the longest GOP, 10 s at 30 pictures/s."""


class VideoPath:
    """Packets of consecutive ticks.

    Args:
        fmt: the channel's format.
        timeline: the idle packets.
        pictures: the same, decoded, for live ticks.
        spliced: False encodes everything live (headers of idle and live differ, or by setting).
    """

    def __init__(
        self, fmt: EncodeFormat, timeline: IdleTimeline, pictures: IdlePictures, spliced: bool
    ) -> None:
        self.spliced = spliced
        self.bucket = LeakyBucket(fmt.bitrate_bps, fmt.video.fps)
        self.live_ticks = 0
        self.late_pictures = 0
        self.encoder_faults = 0
        self.last_fault = ""
        self._encode_s: deque[float] = deque(maxlen=_TIMES_KEPT)
        self._fmt, self._timeline, self._pictures = fmt, timeline, pictures
        self._encoder: PictureEncoder | None = None
        self._last_idle: Picture | None = None
        self._idle_from = 0

    @property
    def live(self) -> bool:
        """True while pictures are being encoded."""
        return self._encoder is not None

    def take_encode_s(self) -> list[float]:
        """Seconds that each picture encoded since the last call took, waits for a core included."""
        taken = list(self._encode_s)
        self._encode_s.clear()
        return taken

    def idle_packet(self, tick: int) -> VideoPacket:
        """``packet`` for a tick at which nothing is decided; only while spliced and not live."""
        packet = self._timeline.packet(tick)
        self.bucket.spend(len(packet.payload))
        return packet

    def packet(
        self, tick: int, draw: Draw | None, task_decided: bool, idle_from: int
    ) -> VideoPacket:
        """The packet of ``tick``.

        Args:
            tick: the next tick.
            draw: makes its picture from the idle one; None is plain idle.
            task_decided: a task is on air or decided for a tick soon: do not leave live for it.
            idle_from: the first tick, from ``tick`` on, whose picture shows anything of idle.
        """
        go_live = draw is not None or self._stays_live(tick, task_decided)
        packet = self._live(tick, draw, idle_from) if go_live else None
        if packet is None:
            return self.idle_packet(tick)
        self.bucket.spend(len(packet.payload))
        return packet

    def _stays_live(self, tick: int, task_decided: bool) -> bool:
        if self._encoder is None:
            return not self.spliced and live_start(tick, self._fmt.gop_ticks) == tick
        if self.spliced and not task_decided and on_grid(tick, self._fmt.gop_ticks):
            self._encoder = None
            self._last_idle = None
            self._pictures.rest()
            return False
        return True

    def covered(self, tick: int) -> bool:
        """True when ``tick``, the next one, needs no idle picture as far as is decided."""
        return self._encoder is not None and self._last_idle is not None and self._idle_from > tick

    def _idle(self, tick: int) -> Picture | None:
        """The idle picture under ``tick``; an old one where nothing of it shows."""
        if self.covered(tick):
            # Decoding would be a sixth of what being on air costs: it pauses until a second before.
            if self._idle_from - tick > self._fmt.gop_ticks + AHEAD_TICKS:
                self._pictures.rest()
            else:
                self._pictures.want(self._idle_from)
            return self._last_idle
        idle = self._pictures.get(tick)
        if idle is None:
            idle, self.late_pictures = self._last_idle, self.late_pictures + 1
        self._last_idle = idle
        self._pictures.want(tick + 1)
        return idle

    def _live(self, tick: int, draw: Draw | None, idle_from: int) -> VideoPacket | None:
        self._idle_from = idle_from
        idle = self._idle(tick)
        first = self._encoder is None
        if idle is None or (first and live_start(tick, self._fmt.gop_ticks) != tick):
            return None  # nothing decoded yet, or beside a grid IDR: the idle packet is on air
        if self._encoder is None:
            self._encoder = PictureEncoder(self._fmt, vbv_fill=self.bucket.fill)
        self.live_ticks += 1
        picture = idle if draw is None else draw(idle)
        force_idr = first or on_grid(tick, self._fmt.gop_ticks)
        begun = time.monotonic()
        try:
            return self._encoder.encode(picture, tick, force_idr)
        except EncodeError as error:
            return self._encode_afresh(picture, tick, error)
        finally:
            self._encode_s.append(time.monotonic() - begun)

    def _encode_afresh(self, picture: Picture, tick: int, error: EncodeError) -> VideoPacket | None:
        """A broken encoder is replaced within its tick; if that fails too, idle is on air."""
        self.encoder_faults += 1
        self.last_fault = str(error)
        try:
            self._encoder = PictureEncoder(self._fmt, vbv_fill=self.bucket.fill)
            return self._encoder.encode(picture, tick, force_idr=True)
        except EncodeError:
            self._encoder = None
            self._pictures.want(tick + 1)  # live again as soon as a picture is good
            return None
