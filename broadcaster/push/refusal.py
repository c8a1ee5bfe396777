"""Why a push process ended, read from the last lines it wrote to stderr.

Pure. The lines hold the push URL, so they pass the redactor before they are kept; nothing here
may ever return an unredacted line.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from enum import StrEnum

_KEPT_LINES = 100
_KEPT_LINE_CHARS = 400
_READ_TAIL_BYTES = 8192  # of one read: a process that floods stderr must not cost us its rate


class Reason(StrEnum):
    """Why a push process was replaced; also the metric's label."""

    REFUSED = "refused"
    BUSY = "busy"
    AUTH = "auth"
    DNS = "dns"
    CLOSED = "closed"
    EXIT = "exit"
    STALL = "stall"
    ROLLOVER = "rollover"


# First match wins. "Already publishing" is nginx-rtmp's wording of NetStream.Publish.BadName, and
# the rest are those of other servers; FFmpeg prints the description, not the code.
_PATTERNS: tuple[tuple[Reason, re.Pattern[str]], ...] = tuple(
    (reason, re.compile(text, re.IGNORECASE))
    for reason, text in (
        (Reason.BUSY, r"badname|already publish|stream\w* (is )?(already|busy|in use)|streambusy"),
        (
            Reason.AUTH,
            r"server error: .*(denied|auth|forbidden|rejected|invalid|not allowed|expired)"
            r"|authmod|unauthorized|certificate|tls_verify|handshake",
        ),
        (Reason.DNS, r"failed to resolve|name or service not known|name resolution"),
        (
            Reason.REFUSED,
            r"connection refused|no route to host|network is unreachable"
            r"|host is unreachable|cannot open connection|server error",
        ),
        (
            Reason.CLOSED,
            r"broken pipe|connection reset|end of file|connection timed out|input/output error",
        ),
    )
)


def classify(lines: Iterable[str]) -> Reason:
    """The reason that the lines show; ``EXIT`` when they show none."""
    text = "\n".join(lines)
    return next((reason for reason, pattern in _PATTERNS if pattern.search(text)), Reason.EXIT)


class StderrTail:
    """The last 100 lines of one process, redacted.

    Args:
        redact: replaces secrets in a line.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take what was read; of a flood only the tail is looked at."""
        text = self._rest + data
        if len(text) > _READ_TAIL_BYTES:
            # Begin after a line's end: half a key would not be recognised by the redactor.
            text = text[-_READ_TAIL_BYTES:].partition(b"\n")[2]
        *lines, self._rest = text.split(b"\n")
        for line in lines[-_KEPT_LINES:]:
            self._keep(line)

    def lines(self) -> list[str]:
        """All kept lines, an unfinished last one included."""
        if self._rest:
            self._keep(self._rest)
            self._rest = b""
        return list(self._lines)

    def _keep(self, raw: bytes) -> None:
        text = raw.decode(errors="replace").strip()
        if text:
            # Redact before cutting: a cut key would no longer be recognised.
            self._lines.append(self._redact(text)[:_KEPT_LINE_CHARS])
