"""Deadlines of the tick loop: absolute, on the monotonic clock, never sprinting.

One pacer serves all channels; each has its own tick length, all share one anchor.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lateness:
    """What a wake-up found: how late it was, and seconds given up by re-anchoring (else 0)."""

    late_s: float
    skipped_s: float


class Pacer:
    """Tick ``n`` of a channel with ``fps`` is due at anchor + n / fps.

    Args:
        now: monotonic seconds of tick 0.
        reanchor_after_s: when a tick is later than this, the anchor moves to now and the lost time
            is reported as skipped; up to it the ticks that are due run one after another.
    """

    def __init__(self, now: float, reanchor_after_s: float) -> None:
        self._anchor = now
        self._limit_s = reanchor_after_s

    def due(self, tick: int, fps: int) -> float:
        """Monotonic seconds at which ``tick`` is due."""
        return self._anchor + tick / fps

    def check(self, tick: int, fps: int, now: float) -> Lateness:
        """Judge the moment at which ``tick`` is begun; re-anchors when it is hopelessly late.

        Tick numbers, and with them timestamps, go on without a hole: the stream falls behind the
        wall clock by what was skipped, picture and sound together.
        """
        late = now - self.due(tick, fps)
        if late <= self._limit_s:
            return Lateness(max(0.0, late), 0.0)
        self._anchor += late
        return Lateness(late, late)
