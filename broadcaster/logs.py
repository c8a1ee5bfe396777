"""Logging of every process: one line per record on stderr, without secrets.

Beside the signal path: a log call must never raise into it, and never print a stream key.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from broadcaster.redaction import Redactor

REPORT_EVERY_S = 1.0
"""A fault that repeats per tick (25/s) becomes one line a second."""


class _OneLine(logging.Formatter):
    """``2026-11-20T12:00:00.123Z playout WARNING message``; tracebacks are folded into the line.

    The text is redacted when complete, so neither arguments nor tracebacks can leak a key.
    """

    def __init__(self, role: str, redact: Redactor) -> None:
        super().__init__()
        self._role = role
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")
        text = _message(record)
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        if record.stack_info:
            text += "\n" + record.stack_info
        text = self._redact(text).rstrip().replace("\r", "").replace("\n", " | ")
        return f"{at.removesuffix('+00:00')}Z {self._role} {record.levelname} {text}"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, LookupError):  # arguments that do not fit the message
        return f"{record.msg} {record.args!r}"


def configure_logging(role: str, level: str = "info", secrets: Iterable[str] = ()) -> None:
    """Make this process log as ``role``; called once, at the start of its main.

    Args:
        role: the process's name in every line.
        level: debug, info, warning or error.
        secrets: push URLs and other words that no line may contain.
    """
    known = tuple(secrets)
    urls = [each for each in known if "://" in each]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine(role, Redactor(urls, known)))
    logging.raiseExceptions = False  # a bad format string must not print the record unredacted
    logging.captureWarnings(True)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())


class OncePerSecond:
    """Reports a repeating fault once a second: how often, and the last message.

    Args:
        report: takes the finished sentence, e.g. ``logger.warning``.
    """

    def __init__(self, report: Callable[[str], object]) -> None:
        self._report = report
        self._count = 0
        self._last = ""
        self._next_at = float("-inf")

    def add(self, message: str, now: float) -> None:
        """Count one fault; ``now`` is monotonic seconds."""
        self._count += 1
        self._last = message
        self.flush(now)

    def flush(self, now: float) -> None:
        """Report what is counted, if the last report is a second old; call it when idle too."""
        if self._count == 0 or now < self._next_at:
            return
        times = f" ({self._count} times)" if self._count > 1 else ""
        self._report(f"{self._last}{times}")
        self._count = 0
        self._next_at = now + REPORT_EVERY_S
