"""Idle pictures, decoded ahead of need in a thread of their own.

Under a fade the mixer needs to see what the idle packets show. Decoding from the start of a GOP
takes up to 0.15 s (1080p30, 1 s), so it begins before a task goes on air and runs a few pictures
ahead; the tick loop only takes what is there and never waits.
"""

from __future__ import annotations

import logging
import threading

from broadcaster.codec.h264_decode import PictureDecoder
from broadcaster.errors import EncodeError
from broadcaster.idle.loop import EncodedLoop
from broadcaster.idle.timeline import IdleTimeline
from broadcaster.mixer.blend import Picture
from broadcaster.timeline.grid import gop_start, on_grid

AHEAD_TICKS = 10
"""Pictures kept ready: 0.4 s at 25 fps against a busy machine, 14 MB at 720p."""

log = logging.getLogger(__name__)


class IdlePictures:
    """The pictures of an idle timeline, on demand.

    Args:
        timeline: where the packets are.
        gop_ticks: distance of the IDR grid.
    """

    def __init__(self, timeline: IdleTimeline, gop_ticks: int) -> None:
        self._timeline, self._gop_ticks = timeline, gop_ticks
        self._changed = threading.Condition()
        self._pictures: dict[int, Picture] = {}
        self._wanted: int | None = None
        self._next = 0
        self._loop: EncodedLoop | None = None
        self._decoder: PictureDecoder | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def want(self, tick: int) -> None:
        """Have pictures ready from ``tick`` on; called again, it moves the window."""
        with self._changed:
            start = gop_start(tick, self._gop_ticks)
            if self._wanted is None or start > self._next or tick < self._wanted:
                self._next, self._loop = start, None
            self._wanted = tick
            for old in [t for t in self._pictures if t < tick]:
                del self._pictures[old]
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="idle-pictures", daemon=True)
            self._thread.start()

    @property
    def horizon(self) -> int:
        """The first tick whose packet has not been read yet, nor will be before another wish."""
        with self._changed:
            return max(self._next, (self._wanted or 0) + AHEAD_TICKS)

    def rest(self) -> None:
        """Stop decoding and let the pictures go."""
        if self._wanted is not None:
            with self._changed:
                self._wanted = None
                self._pictures.clear()

    def ready(self, first: int, count: int) -> bool:
        """True when ticks ``first`` to ``first + count - 1`` are decoded."""
        with self._changed:
            return all(tick in self._pictures for tick in range(first, first + count))

    @property
    def settled(self) -> bool:
        """True when every picture of the present wish is decoded."""
        with self._changed:
            return self._wanted is None or self._next >= self._wanted + AHEAD_TICKS

    def get(self, tick: int) -> Picture | None:
        """The idle picture of ``tick``, if it is decoded; shared, so not to be drawn on."""
        return self._pictures.get(tick)

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(1.0)

    def _due(self) -> bool:
        return self._closed or (
            self._wanted is not None and self._next < self._wanted + AHEAD_TICKS
        )

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._due)
                if self._closed:
                    return
                tick, wanted = self._next, self._wanted
            picture = self._decode(tick)
            with self._changed:
                if self._wanted is None or self._next != tick:
                    continue
                self._next = tick + 1
                if picture is not None and wanted is not None and tick >= wanted:
                    self._pictures[tick] = picture

    def _decode(self, tick: int) -> Picture | None:
        loop = self._timeline.loop_at(tick)
        if loop is not self._loop or self._decoder is None:
            if not on_grid(tick, self._gop_ticks):
                return None
            self._loop, self._decoder = loop, PictureDecoder(loop.parameter_sets.avc_config())
        try:
            return self._decoder.decode(self._timeline.packet(tick).payload)
        except (EncodeError, ValueError, OSError) as error:
            log.warning("idle picture %d does not decode: %s", tick, error)
            self._loop = None
            return None
