"""One timeline for the viewers, whatever the relay's timestamps do. Pure: no clock, no I/O.

A push that reconnects starts its timestamps at zero again, and a viewer's RTP clock must not: each
run of source timestamps is laid onto our own clock where it arrived.
"""

from __future__ import annotations

OFF_BY_S = 1.0
"""Timestamps this far from the time of their arrival belong to another run (a new session)."""

LEAST_STEP_S = 0.001
"""Where a new run would step back, time moves on by this much instead."""


class Timeline:
    """Places timestamps of one stream's kinds (picture, sound) on one line, in seconds."""

    def __init__(self) -> None:
        self._offset_s: float | None = None
        self._last_s: dict[str, float] = {}

    def restart(self) -> None:
        """The source was opened anew: its next timestamp begins a run."""
        self._offset_s = None

    def place(self, kind: str, source_s: float, now: float) -> float:
        """Where a packet belongs.

        Args:
            kind: timestamps of one kind never go back.
            source_s: its timestamp in the source, seconds.
            now: monotonic seconds of its arrival.

        Returns:
            Seconds on the viewers' line; greater than the last of this kind.
        """
        offset_s = self._offset_s
        if offset_s is None or abs(source_s + offset_s - now) > OFF_BY_S:
            offset_s = self._offset_s = now - source_s
        placed = source_s + offset_s
        last = self._last_s.get(kind)
        if last is not None:
            placed = max(placed, last + LEAST_STEP_S)
        self._last_s[kind] = placed
        return placed
