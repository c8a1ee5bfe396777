"""A clock that tests move: sleeping takes no time, and may overshoot as told."""

from __future__ import annotations

from collections.abc import Iterable


class VirtualClock:
    """``Clock`` in virtual seconds; each sleep ends late by the next of ``overshoots_s``."""

    def __init__(self, start: float = 1000.0, overshoots_s: Iterable[float] = ()) -> None:
        self._now = start
        self._overshoots = iter(overshoots_s)
        self.sleeps = 0

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        self._now += max(0.0, seconds) + next(self._overshoots, 0.0)

    def jump(self, seconds: float) -> None:
        """Time passes without anybody sleeping: work, or a frozen process."""
        self._now += seconds
