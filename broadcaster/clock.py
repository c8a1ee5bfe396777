"""The only module that reads a clock.

Everything that paces, retries or measures ages uses the monotonic clock; the wall clock is for
what people read (stored times, logs) and never decides anything.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of monotonic seconds that can also wait; tests pass a virtual one."""

    def now(self) -> float:
        """Monotonic seconds; only differences mean anything."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; returns at once for values <= 0."""
        ...


class MonotonicClock:
    """The real clock."""

    def now(self) -> float:
        """Seconds of CLOCK_MONOTONIC."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep; returns at once for values <= 0."""
        if seconds > 0:
            time.sleep(seconds)


def wall_time_iso() -> str:
    """The wall clock as ISO 8601 in UTC with milliseconds, for people and for the store."""
    return datetime.now(tz=UTC).isoformat(timespec="milliseconds")


def wall_time_s() -> float:
    """The wall clock in seconds since 1970, for stored timestamps and their ages in days."""
    return time.time()
