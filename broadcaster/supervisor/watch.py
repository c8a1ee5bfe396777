"""Where proof of life comes from: the playout's heartbeat file, or an answer over HTTP.

Asked from the supervisor's only loop, at every tick, so nothing here may block: a question is sent
at one tick and its answer collected at a later one, which also keeps the loop at two wake-ups a
second.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from broadcaster.heartbeat import read_heartbeat

_EARLY_S = 0.2
"""A question may go out this much early: ticks jitter, and missing one would cost a whole tick."""

_CONNECT_S = 0.05
"""On this machine a connection takes microseconds, unless the listener's queue is full."""

_MAX_ANSWER_BYTES = 4 << 20
"""The relay's page with 1000 streams is about 1 MB."""


class Watch(Protocol):
    """A source of proof for one role."""

    @property
    def limit_s(self) -> float:
        """Silence after which the role is hung."""
        ...

    @property
    def first_limit_s(self) -> float:
        """The same while the role is still starting."""
        ...

    def begin(self) -> None:
        """A new process is about to start: forget the old one."""
        ...

    def newest_proof(self, now: float) -> float | None:
        """Monotonic seconds at which the role was alive, or None when nothing new is known."""
        ...

    def close(self) -> None:
        """Release what is open."""
        ...


@dataclass(slots=True)
class HeartbeatWatch:
    """The tick loop's pulse: a count that moves is proof."""

    file: Path
    limit_s: float
    first_limit_s: float
    _ticks: int | None = None

    def begin(self) -> None:
        """Drop the old pulse, or it would vouch for the new process."""
        self._ticks = None
        with contextlib.suppress(OSError):
            self.file.unlink(missing_ok=True)

    def newest_proof(self, now: float) -> float | None:
        """``now`` when the count moved since the last look."""
        beat = read_heartbeat(self.file)
        if beat is None or beat.ticks == self._ticks:
            return None
        self._ticks = beat.ticks
        return now

    def close(self) -> None:
        """Nothing is open."""


@dataclass(slots=True)
class HttpWatch:
    """``GET path`` every ``period_s``; an answer with status 200 within ``timeout_s`` is proof.

    Until the first answer it asks at every tick, so that a role that is up is known to be.

    The proof is dated to the moment of the question, so that a verdict is never late by the time
    an answer lay in the socket.
    """

    host: str
    port: int
    path: str
    period_s: float
    timeout_s: float
    limit_s: float
    first_limit_s: float
    _question: _Question | None = None
    _next_at: float = 0.0
    _answered: bool = False

    def begin(self) -> None:
        """Forget a question to the old process."""
        self.close()
        self._next_at = 0.0
        self._answered = False

    def newest_proof(self, now: float) -> float | None:
        """Collect an answer, or ask when it is time."""
        if self._question is None:
            self._ask_when_due(now)
            return None
        asked_at = self._question.asked_at
        verdict = self._question.collect()
        if verdict is None and now - asked_at < self.timeout_s:
            return None
        self.close()
        self._answered = self._answered or bool(verdict)
        self._ask_when_due(now)
        return asked_at if verdict else None

    def close(self) -> None:
        """Give up the open question."""
        if self._question is not None:
            self._question.close()
            self._question = None

    def _ask_when_due(self, now: float) -> None:
        if now >= self._next_at or not self._answered:
            self._next_at = now + self.period_s - _EARLY_S
            self._question = _Question(self.host, self.port, self.path, now)


class _Question:
    """One HTTP/1.0 request on a socket that, once connected, never blocks."""

    def __init__(self, host: str, port: int, path: str, now: float) -> None:
        self.asked_at = now
        self._unsent = f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode()
        self._answer = bytearray()
        self._failed = False
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.settimeout(_CONNECT_S)
        try:
            self._socket.connect((host, port))
            self._socket.setblocking(False)
            self._send()
        except BlockingIOError:
            pass  # ``collect`` goes on
        except OSError:
            self._failed = True

    def collect(self) -> bool | None:
        """True: answered with 200; False: refused, broken or another status; None: not yet."""
        try:
            while not self._failed:
                self._send()
                data = self._socket.recv(65536)
                self._answer += data
                if not data:
                    return self._answer[:5] == b"HTTP/" and self._answer[8:12] == b" 200"
                self._failed = len(self._answer) > _MAX_ANSWER_BYTES
        except BlockingIOError:
            return None
        except OSError:
            self._failed = True
        return False

    def close(self) -> None:
        self._socket.close()

    def _send(self) -> None:
        while self._unsent:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
