"""What a push process says about itself, and the verdict that it is stuck.

Pure: bytes and ticks in, values out. Must never use wall time: a stall is counted in ticks
*offered*, so a playout that was frozen does not accuse its destinations when it wakes.
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
    """Counts ticks offered since the process last moved bytes.

    Args:
        connect_ticks: patience before the first report (connection and publish).
        stall_ticks: patience after it.
    """

    __slots__ = ("_bytes", "_connect_ticks", "_silent_ticks", "_stall_ticks", "connected")

    def __init__(self, connect_ticks: int, stall_ticks: int) -> None:
        self._connect_ticks = connect_ticks
        self._stall_ticks = stall_ticks
        self._silent_ticks = 0
        self._bytes = 0
        self.connected = False

    @property
    def silent_ticks(self) -> int:
        """Ticks offered since the last sign of life."""
        return self._silent_ticks

    def offered(self) -> bool:
        """Count one tick; True when the verdict is "stuck"."""
        self._silent_ticks += 1
        limit = self._stall_ticks if self.connected else self._connect_ticks
        return self._silent_ticks > limit

    def moved(self, progress: Progress) -> bool:
        """Note a report; True when bytes have really moved since the last one."""
        if progress.total_bytes <= self._bytes:
            return False
        self._bytes = progress.total_bytes
        self._silent_ticks = 0
        self.connected = True
        return True
