"""What a push process says about itself, and the verdict that it is stuck.

Pure: bytes, ticks and ``now`` in, values out. A stall is counted in ticks *offered at their
pace*: a playout that was frozen, or that catches up after it, must never accuse its destinations.
"""

from __future__ import annotations

from dataclasses import dataclass

_LONGEST_REPORT_BYTES = 8192  # a report has about 200 bytes; more without an end is not a report


@dataclass(frozen=True, slots=True)
class Progress:
    """One ``-progress`` report: pictures and bytes written since the process began."""

    frames: int
    total_bytes: int


def _number(block: bytes, key: bytes) -> int:
    """The value after ``key`` (which ends in ``=``); 0 where FFmpeg has none or writes N/A."""
    at = block.rfind(key)
    if at < 0:
        return 0
    try:
        return int(block[at + len(key) :].partition(b"\n")[0])
    except ValueError:
        return 0


class ProgressReader:
    """Collects the bytes of the progress pipe into reports."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Progress | None:
        """The newest complete report in what has come so far, or None."""
        *blocks, self._rest = (self._rest + data).split(b"\nprogress=")
        if not blocks:
            self._rest = self._rest[-_LONGEST_REPORT_BYTES:]
            return None
        newest = blocks[-1]
        return Progress(_number(newest, b"frame="), _number(newest, b"total_size="))


class StallWatch:
    """Adds up the time in which ticks were offered and no byte moved.

    Args:
        connect_s: patience before the first report (connection and publish).
        stall_s: patience after it.
        tick_s: length of a tick; a longer pause between ticks counts as one tick (we were
            frozen), a shorter one as itself (we are catching up).
    """

    __slots__ = ("_bytes", "_connect_s", "_last", "_stall_s", "_tick_s", "connected", "silent_s")

    def __init__(self, connect_s: float, stall_s: float, tick_s: float) -> None:
        self._connect_s = connect_s
        self._stall_s = stall_s
        self._tick_s = tick_s
        self._last: float | None = None
        self._bytes = 0
        self.silent_s = 0.0
        self.connected = False

    def offered(self, now: float) -> bool:
        """Count one tick offered at ``now`` (monotonic); True when the verdict is "stuck"."""
        if self._last is not None:
            self.silent_s += min(now - self._last, self._tick_s)
        self._last = now
        return self.silent_s >= (self._stall_s if self.connected else self._connect_s)

    def moved(self, progress: Progress) -> bool:
        """Note a report; True when bytes have really moved since the last one."""
        if progress.total_bytes <= self._bytes:
            return False
        self._bytes = progress.total_bytes
        self.silent_s = 0.0
        self.connected = True
        return True
