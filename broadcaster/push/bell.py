"""What a destination's own thread sleeps on: descriptors of its push process, and a bell.

Must never poll: a quiet destination wakes only for its process's progress.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from collections.abc import Callable


class Bell:
    """A selector that another thread can wake; descriptors come with what to do about them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the bell's descriptor against use after close
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._fd, selectors.EVENT_READ, self._silence)

    def ring(self) -> None:
        """Wake the waiting thread; from any thread, never blocks, harmless after ``close``."""
        with self._lock:
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)

    def watch(self, fd: int, action: Callable[[], object]) -> None:
        """Call ``action`` in ``wait`` whenever ``fd`` can be read or has ended."""
        self._selector.register(fd, selectors.EVENT_READ, action)

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor, watched or not; before it is closed."""
        with contextlib.suppress(KeyError):
            self._selector.unregister(fd)

    def wait(self, seconds: float | None = None) -> None:
        """Sleep until something happens (or so long), then call what was arranged for it."""
        for key, _ in self._selector.select(seconds):
            key.data()

    def close(self) -> None:
        """Release the descriptors; a second time is harmless."""
        with self._lock:
            if self._fd < 0:
                return
            self._selector.close()
            os.close(self._fd)
            self._fd = -1

    def _silence(self) -> None:
        os.eventfd_read(self._fd)
