"""Which idle packet belongs to which tick, while programmes change under way."""

from __future__ import annotations

from broadcaster.formats import VideoPacket
from broadcaster.idle.loop import EncodedLoop


class IdleTimeline:
    """Idle as a function of the tick number.

    A loop's packet index is the tick number itself modulo its length, so IDRs stay on the absolute
    grid and a loop's pose at a tick is known in advance. Programmes change at grid ticks only.
    Read by the tick loop and by the decode-ahead thread; written by the tick loop.
    """

    def __init__(self, loop: EncodedLoop, gop_ticks: int) -> None:
        self._gop_ticks = gop_ticks
        self._programmes: tuple[tuple[int, EncodedLoop], ...] = ((0, loop),)

    @property
    def changes(self) -> int:
        """The tick of the newest change; the next one may be decided from there on."""
        return self._programmes[-1][0]

    def switch(self, at_tick: int, loop: EncodedLoop) -> None:
        """Play ``loop`` from ``at_tick`` on; it must be a grid tick that nobody has used yet."""
        if at_tick % self._gop_ticks:
            raise ValueError("programmes change on the IDR grid")
        kept = tuple(p for p in self._programmes if p[0] < at_tick)
        self._programmes = (*kept[-1:], (at_tick, loop))

    def loop_at(self, tick: int) -> EncodedLoop:
        """The programme of ``tick``."""
        programmes = self._programmes
        for start, loop in reversed(programmes):
            if tick >= start:
                return loop
        return programmes[0][1]

    def packet(self, tick: int) -> VideoPacket:
        """The idle packet of ``tick``."""
        packets = self.loop_at(tick).packets
        return VideoPacket(tick, packets[tick % len(packets)], tick % self._gop_ticks == 0)
