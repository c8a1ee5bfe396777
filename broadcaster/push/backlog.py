"""Ticks on their way into one pipe: bounded, dropped by whole ticks, resumed at an IDR.

No OS here: the pipe is a function. Must never block, never hold more than its bound, and never
drop sound without its picture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple


class Entry(NamedTuple):
    """One tick as FLV bytes; ``mark`` is the timeline's after it.

    A tuple because one is made per tick and destination: a frozen dataclass costs four times more.
    """

    tick: int
    is_idr: bool
    mark: tuple[int, int]
    data: bytes


class Backlog:
    """A queue in front of a non-blocking write.

    Args:
        limit_ticks: how many ticks may wait; the one that is partly written does not count.
    """

    __slots__ = ("_bytes", "_entries", "_limit", "_offset", "_on_start", "last_kept")

    def __init__(self, limit_ticks: int, on_start: Callable[[Entry], None]) -> None:
        self._limit = limit_ticks
        self._on_start = on_start
        self._entries: deque[Entry] = deque()
        self._offset = 0
        self._bytes = 0
        self.last_kept: Entry | None = None

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the pipe has not taken yet."""
        return self._bytes - self._offset

    def add(self, entry: Entry) -> None:
        """Append a tick; it is written by the next ``flush``."""
        self._entries.append(entry)
        self._bytes += len(entry.data)

    def is_full(self) -> bool:
        """Whether more than the allowed ticks wait."""
        return len(self._entries) > self._limit

    def drop_waiting(self) -> int:
        """Forget all ticks of which no byte was written; returns how many.

        ``last_kept`` is then the newest tick that was or is being written.
        """
        dropped = 0
        while self._entries and (len(self._entries) > 1 or self._offset == 0):
            self._bytes -= len(self._entries.pop().data)
            dropped += 1
        return dropped

    def flush(self, write: Callable[[bytes | memoryview], int]) -> None:
        """Write as much as ``write`` takes; it returns the bytes taken, 0 when full."""
        entries = self._entries
        while entries:
            entry = entries[0]
            data, offset = entry.data, self._offset
            taken = write(memoryview(data)[offset:] if offset else data)
            if taken == 0:
                return
            if offset == 0:
                self.last_kept = entry
                self._on_start(entry)
            if offset + taken < len(data):
                self._offset = offset + taken
                return
            entries.popleft()
            self._bytes -= len(data)
            self._offset = 0
