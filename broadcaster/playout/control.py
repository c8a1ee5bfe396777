"""The playout's control socket: JSON lines from the studio and the API, answered by one thread.

Requests only leave commands for the tick loop or read its state; a slow or broken client is
dropped and never noticed on air.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from broadcaster.wire import LineReader, Message, encode, listen

MAX_UNSENT_BYTES = 1 << 20
"""A subscriber that falls this far behind is dropped."""

Answer = Callable[[Message], Message]

log = logging.getLogger(__name__)


class _Client:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.reader = LineReader()
        self.unsent = b""
        self.subscribed = False


class ControlServer:
    """Serves the socket.

    Args:
        path: where to listen.
        answer: maps a request to its answer; called in the server's thread.
    """

    def __init__(self, path: Path, answer: Answer) -> None:
        self._path, self._answer = path, answer
        self._listener = listen(path)
        self._listener.setblocking(False)
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._events: deque[Message] = deque(maxlen=10_000)
        self._clients: dict[socket.socket, _Client] = {}
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        self._thread.start()

    def publish(self, event: Message) -> None:
        """Send ``event`` to every subscriber; callable from the tick loop, never blocks."""
        self._events.append(event)
        self._wake()

    def stop(self) -> None:
        """Close all connections and remove the socket."""
        self._stopping = True
        self._wake()
        self._thread.join(2.0)
        self._path.unlink(missing_ok=True)
        self._wake_in.close()
        self._wake_out.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: a wake-up is already on its way
            self._wake_in.send(b"\0")

    def _run(self) -> None:
        while not self._stopping:
            for key, mask in self._selector.select():
                self._serve(key.fileobj, mask)
            while self._events:
                line = encode(self._events.popleft())
                for client in [c for c in self._clients.values() if c.subscribed]:
                    self._send(client, line)
        for client in list(self._clients.values()):
            self._drop(client)
        self._listener.close()
        self._selector.close()

    def _serve(self, ready: Any, mask: int) -> None:  # noqa: ANN401
        if ready is self._wake_out:
            self._wake_out.recv(4096)
        elif ready is self._listener:
            self._accept()
        elif mask & selectors.EVENT_WRITE:
            self._send(self._clients[ready], b"")
        else:
            self._receive(self._clients[ready])

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:  # it went away, or no descriptor is left
            log.warning("a control connection cannot be taken: %s", error)
            return
        connection.setblocking(False)
        self._clients[connection] = _Client(connection)
        self._selector.register(connection, selectors.EVENT_READ)

    def _receive(self, client: _Client) -> None:
        try:
            data = client.connection.recv(65536)
            requests = client.reader.feed(data) if data else []
        except (OSError, ValueError, RecursionError):
            data, requests = b"", []
        if not data:
            self._drop(client)
            return
        for request in requests:
            if request.get("op") == "subscribe":
                client.subscribed = True
                self._send(client, encode({"ok": True}))
            else:
                self._send(client, encode(self._answered(request)))

    def _answered(self, request: Message) -> Message:
        begun = time.monotonic()
        try:
            return self._answer(request)
        except (LookupError, TypeError, ValueError, ArithmeticError, OSError) as error:
            return {"ok": False, "error": f"bad request: {error!r}"}
        finally:
            if time.monotonic() - begun > 1.0:
                log.warning("control request %r took over a second", request.get("op"))

    def _send(self, client: _Client, data: bytes) -> None:
        client.unsent += data
        try:
            sent = client.connection.send(client.unsent) if client.unsent else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(client)
            return
        client.unsent = client.unsent[sent:]
        if len(client.unsent) > MAX_UNSENT_BYTES:
            self._drop(client)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unsent else 0)
        self._selector.modify(client.connection, wanted)

    def _drop(self, client: _Client) -> None:
        if self._clients.pop(client.connection, None) is not None:
            self._selector.unregister(client.connection)
            client.connection.close()
