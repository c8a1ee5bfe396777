"""Signals that end a render: each becomes an exception once, so that everything is tidied up."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """While it is entered, the first stop signal raises ``SystemExit``; later ones do nothing.

    The status is 128 and the signal's number, as a shell has it.
    """

    def __init__(self) -> None:
        self._came = 0
        self._held = False

    def __enter__(self) -> StopSignals:
        # What is ignored (under nohup) stays so.
        heard = [number for number in STOPS if signal.getsignal(number) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._stop) for number in heard}
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """A signal that comes in this block raises at its end: nothing is left half made."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self._came:
                raise SystemExit(128 + self._came)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self._came:
            return
        self._came = number
        if not self._held:
            raise SystemExit(128 + number)
