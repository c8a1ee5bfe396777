"""How far a film is: one line that is written over on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

REDRAWN_EVERY_S = 0.1
"""Faster than that nobody reads, and every line costs a system call."""

PLAIN_LINES = 10
"""In a log file."""

_BAR_CELLS = 24
_CLEAR = "\r\x1b[K"


def describe(done: int, total: int, fps: int, elapsed_s: float) -> str:
    """Percent, pictures per second, times real time and the seconds that are left."""
    speed = done / elapsed_s if elapsed_s > 0 else 0.0
    left = f"{(total - done) / speed:.0f} s left" if speed and done < total else ""
    line = f"{100 * done // total:3d} %  {done} of {total} pictures"
    if speed:
        line += f"  {speed:.0f}/s  {speed / fps:.1f} x real time"
    return f"{line}  {left}".rstrip()


def bar(done: int, total: int) -> str:
    """A bar of fixed length."""
    cells = _BAR_CELLS * done // total
    return f"[{'#' * cells}{'.' * (_BAR_CELLS - cells)}]"


class ProgressLine:
    """A ``Witness`` that tells people.

    Args:
        out: where to, such as standard error.
        fps: of the film.
        now: monotonic seconds.
    """

    def __init__(self, out: TextIO, fps: int, now: Callable[[], float]) -> None:
        self._out, self._fps, self._now = out, fps, now
        self._redraws = out.isatty()
        self._begun: float | None = None
        self._told_at = float("-inf")
        self._told_tenths = 0

    def step(self, what: str) -> None:
        """Something begins that is not counted in pictures."""
        self._out.write(f"{_CLEAR}{what}" if self._redraws else f"{what}\n")
        self._out.flush()

    def written(self, pictures: int, total: int) -> None:
        """So many pictures of ``total`` are in the file."""
        now = self._now()
        if self._begun is None:
            self._begun = now  # with the first picture: what came before was loading
        if not self._due(pictures, total, now):
            return
        line = describe(pictures, total, self._fps, now - self._begun)
        shown = f"{_CLEAR}{bar(pictures, total)} {line}" if self._redraws else f"{line}\n"
        self._out.write(shown)
        self._out.flush()

    def close(self) -> None:
        """The line is complete, or nothing more comes."""
        if self._redraws:
            self._out.write(_CLEAR)
            self._out.flush()

    def _due(self, pictures: int, total: int, now: float) -> bool:
        if self._redraws:
            if now - self._told_at < REDRAWN_EVERY_S and pictures < total:
                return False
            self._told_at = now
            return True
        tenths = PLAIN_LINES * pictures // total
        if tenths == self._told_tenths:
            return False
        self._told_tenths = tenths
        return True
