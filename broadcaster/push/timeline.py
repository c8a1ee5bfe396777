"""The timeline of one RTMP session: channel ticks and sound slots become milliseconds.

Pure. Times are computed from counters relative to the session's origin, never by adding steps,
so they cannot drift. A gap (ticks dropped for a slow destination) is taken out of picture and
sound alike, which keeps timestamps without a jump and skew at zero; it must never touch only one.
"""

from __future__ import annotations

from broadcaster.formats import AAC_FRAME_SAMPLES, EncodeFormat

_MAX_FIRST_LAG_MS = 20
"""Sound may begin this much after the first picture. A slot of 44.1 kHz lasts 23.2 ms, so there
the one that is cut by the picture's beginning may have to be taken."""


class SessionTimeline:
    """Milliseconds of ticks and slots within one session.

    Args:
        fmt: rates of the channel.
        first_tick: the tick of the opening IDR.
        first_timestamp_ms: where the timeline starts; other than 0 only in drills.
    """

    __slots__ = (
        "_first_ms", "_first_slot", "_fmt", "_last_tick", "_origin", "_rate", "_sound_end", "_spt",
    )  # fmt: skip

    def __init__(self, fmt: EncodeFormat, first_tick: int, first_timestamp_ms: int = 0) -> None:
        self._fmt = fmt
        self._rate = fmt.audio.sample_rate
        self._spt = fmt.samples_per_tick
        self._first_ms = first_timestamp_ms
        start = first_tick * self._spt
        slot = -(-start // AAC_FRAME_SAMPLES)
        if (slot * AAC_FRAME_SAMPLES - start) * 1000 > _MAX_FIRST_LAG_MS * self._rate:
            slot -= 1
        self._first_slot = slot
        self._origin = start
        self._sound_end = slot * AAC_FRAME_SAMPLES
        self._last_tick = first_tick - 1

    def mark(self) -> tuple[int, int]:
        """Where the timeline stands, for ``resume_at``: its origin and the end of its sound."""
        return self._origin, self._sound_end

    def video_ms(self, tick: int) -> int:
        """Timestamp of a picture; ticks must come in order, gaps only through ``resume_at``."""
        self._last_tick = tick
        return self._first_ms + (tick * self._spt - self._origin) * 1000 // self._rate

    def audio_ms(self, slot: int) -> int | None:
        """Timestamp of a sound packet, or None when its time is already filled or before us."""
        if slot < self._first_slot:
            return None
        position = slot * AAC_FRAME_SAMPLES
        if position < self._sound_end:
            return None
        self._sound_end = position + AAC_FRAME_SAMPLES
        # A first slot that begins just before the picture is stamped with it: the IDR comes first.
        return self._first_ms + max(0, (position - self._origin) * 1000 // self._rate)

    def resume_at(self, tick: int, last_sent: int, mark: tuple[int, int]) -> None:
        """Close the gap between tick ``last_sent`` and ``tick``: both media move together.

        ``mark`` is what ``mark()`` said after ``last_sent``; all that was given a time since is
        forgotten. Sound that was sent ahead of the gap stays; packets that would overlap it are
        refused by ``audio_ms``, so the sound's own gap is under one packet.
        """
        missing = (tick - last_sent - 1) * self._spt
        self._origin = mark[0] + missing
        self._sound_end = mark[1] + missing

    def age_s(self) -> float:
        """Seconds from 0 to the newest picture on this session's own timeline."""
        played = max(0, (self._last_tick + 1) * self._spt - self._origin)
        return self._first_ms / 1000 + played / self._rate
