"""Gunicorn's threaded worker, made patient: slow clients hold sockets, never threads.

Stock gthread gives every connection to a thread at once, which then waits for the request; a
handful of clients that send nothing, or one byte a second, stop the API. Here the worker's own
event loop waits until a request's whole head has arrived, and also waits for closing clients.

Written against gunicorn 27's ``ThreadWorker``; a test under the real gunicorn holds the two
together.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gunicorn.workers.gthread import (  # type: ignore[import-untyped]
    TConn,
    ThreadWorker,
)

from broadcaster.api.events import FEED
from broadcaster.redaction import Redactor

HEAD_TIMEOUT_S = 5.0
"""From connecting to the end of the request's head; clients need milliseconds."""

HEAD_BYTES = 32 * 1024
"""A longer head goes to gunicorn, whose own limits refuse it."""

BODY_STALL_S = 10
"""A body that stands still so long is given up (socket receive and send time limit)."""

DRAIN_S = 0.01
"""How long a thread may read the rest of a body that nobody wanted: what has come already."""

LINGER_S = 2.0
LINGER_BYTES = 2**20
"""After an answer the rest of a request is read for so long, so that the answer is not lost in a
connection reset."""

COMPLAINTS_PER_S = 5
"""Log lines about bad requests: a flood of them must not flood the log."""

_STALL = struct.pack("ll", BODY_STALL_S, 0)


@dataclass(slots=True)
class _Waiting:
    """A socket in the event loop: what to do when it is readable, and when to give up."""

    connection: Any
    give_up_at: float
    seen: int = 0


class _FewPerSecond(logging.Filter):
    """Lets a few records through per second."""

    def __init__(self) -> None:
        super().__init__()
        self._second, self._number = 0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        second = int(time.monotonic())
        self._number = self._number + 1 if second == self._second else 1
        self._second = second
        return self._number <= COMPLAINTS_PER_S or record.levelno >= logging.CRITICAL


class _WithoutSecrets(logging.Filter):
    """Gunicorn quotes a head that it cannot read: a token may stand in it."""

    def __init__(self) -> None:
        super().__init__()
        self._redact = Redactor()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._redact(record.getMessage()), ()
        return True


class _Connection(TConn):  # type: ignore[misc]
    """A connection whose graceful end is left to the event loop."""

    def __init__(self, *args: Any, linger: Callable[[socket.socket], None]) -> None:  # noqa: ANN401
        super().__init__(*args)
        self._linger = linger

    def close(self, graceful: bool = False) -> None:
        if graceful:
            self._linger(self.sock)
        else:
            super().close()


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """``--worker-class broadcaster.api.worker.PatientWorker``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._heads: dict[socket.socket, _Waiting] = {}
        self._lingering: dict[socket.socket, _Waiting] = {}

    def init_process(self) -> None:
        """Called in the new process, returns when it ends."""
        self.log.error_log.addFilter(_FewPerSecond())
        self.log.error_log.addFilter(_WithoutSecrets())
        super().init_process()

    def handle_exit(self, sig: int, frame: object) -> None:
        """SIGTERM: finish what is being answered; streams that never end are told to."""
        if (feed := getattr(getattr(self, "wsgi", None), "extensions", {}).get(FEED)) is not None:
            feed.leaving = True
        super().handle_exit(sig, frame)

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; it gets a thread once its request's head is complete."""
        try:
            client, address = listener.accept()
        except OSError:
            return  # gone again, or out of descriptors: the next pass looks again
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            client.setsockopt(socket.SOL_SOCKET, option, _STALL)
        self.nr_conns += 1
        connection = _Connection(
            self.cfg, client, address, listener.getsockname(), linger=self._linger
        )
        self._await_head(connection)

    def on_client_socket_readable(self, conn: Any, client: socket.socket) -> None:  # noqa: ANN401
        """The next request on a kept connection begins: wait for its head too."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await_head(conn)

    def murder_pending(self) -> None:
        """Called once per pass: give up on heads that did not come and on slow closers."""
        now = time.monotonic()
        for client, waiting in list(self._heads.items()):
            if now >= waiting.give_up_at:
                self._forget(self._heads, client)
                self.nr_conns -= 1
                waiting.connection.close()
        for client, waiting in list(self._lingering.items()):
            if now >= waiting.give_up_at:
                self._forget(self._lingering, client)
                client.close()
        super().murder_pending()

    def _await_head(self, connection: Any) -> None:  # noqa: ANN401
        client = connection.sock
        client.setblocking(False)
        self._heads[client] = _Waiting(connection, time.monotonic() + HEAD_TIMEOUT_S)
        self.poller.register(client, selectors.EVENT_READ, self._on_head)

    def _on_head(self, client: socket.socket) -> None:
        waiting = self._heads[client]
        try:
            head = client.recv(HEAD_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            head = b""
        # Readable without more bytes: the client has closed or reset.
        ended = len(head) == waiting.seen
        if not ended and b"\r\n\r\n" not in head and len(head) < HEAD_BYTES:
            waiting.seen = len(head)
            # Sleep until there is more than what was seen (tcp(7), socket(7): SO_RCVLOWAT).
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(head) + 1)
            return
        self._forget(self._heads, client)
        if ended and not head:
            self.nr_conns -= 1
            waiting.connection.close()
            return
        with contextlib.suppress(OSError):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        waiting.connection.data_ready = True
        self.enqueue_req(waiting.connection)

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:  # noqa: ANN401
        """Whether the connection may serve another request; never drains for long."""
        if not keepalive:
            return False
        if not conn.parser.finish_body(deadline=time.monotonic() + DRAIN_S):
            return False
        # A request that was sent ahead of this answer may be half there: a thread would wait.
        return not conn.parser.unreader.buf.getvalue()

    def _linger(self, client: socket.socket) -> None:
        """Close in the manner of RFC 9112 section 9.6 without holding anything up."""
        try:
            client.shutdown(socket.SHUT_WR)
            client.setblocking(False)
        except OSError:
            client.close()
            return
        self._lingering[client] = _Waiting(None, time.monotonic() + LINGER_S)
        self.poller.register(client, selectors.EVENT_READ, self._on_lingering)

    def _on_lingering(self, client: socket.socket) -> None:
        waiting = self._lingering[client]
        try:
            data = client.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        waiting.seen += len(data)
        if not data or waiting.seen > LINGER_BYTES:
            self._forget(self._lingering, client)
            client.close()

    def _forget(self, waiting: dict[socket.socket, _Waiting], client: socket.socket) -> None:
        del waiting[client]
        with contextlib.suppress(OSError, KeyError, ValueError):
            self.poller.unregister(client)
