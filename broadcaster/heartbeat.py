"""The tick loop's pulse: playout writes it, the supervisor feeds the watchdog from it.

A 16-byte file in the run folder, mapped by the writer, so that a beat is one memory store and can
never block the tick loop on a disk or a pipe.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

_LAYOUT = struct.Struct("<Qd")


@dataclass(frozen=True, slots=True)
class Beat:
    """One reading: passes of the tick loop so far, and monotonic seconds of the last one."""

    ticks: int
    at: float


class HeartbeatWriter:
    """Owned by the tick loop."""

    def __init__(self, file: Path) -> None:
        file.unlink(missing_ok=True)
        with file.open("w+b") as handle:
            handle.write(_LAYOUT.pack(0, 0.0))
            handle.flush()
            self._map = mmap.mmap(handle.fileno(), _LAYOUT.size)

    def beat(self, ticks: int, now: float) -> None:
        """Store the pulse."""
        _LAYOUT.pack_into(self._map, 0, ticks, now)

    def close(self) -> None:
        """Unmap; the file stays for the reader to judge."""
        self._map.close()


def read_heartbeat(file: Path) -> Beat | None:
    """The last pulse, or None when the tick loop has not begun."""
    try:
        ticks, at = _LAYOUT.unpack(file.read_bytes())
    except (FileNotFoundError, struct.error):
        return None
    return Beat(ticks, at) if ticks else None
