"""JSON lines over Unix sockets, between the station's own processes on one machine.

Paths of Unix sockets are limited to 107 bytes; a clone may lie deeper. ``unix_address`` goes
through a descriptor of the folder, so depth never matters.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_LINE_BYTES = 1 << 20
"""A longer line is a fault of the sender; the connection is dropped."""

Message = dict[str, Any]


@contextlib.contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """A short name for ``path``, valid inside the block, to bind or connect to."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(path: Path, backlog: int = 16) -> socket.socket:
    """A listening stream socket at ``path`` (mode 0600); a stale file there is replaced."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)
    with unix_address(path) as address:
        server.bind(address)
    path.chmod(0o600)
    server.listen(backlog)
    return server


def connect(path: Path, timeout_s: float) -> socket.socket:
    """A connected stream socket.

    Raises:
        OSError: nobody listens at ``path``.
    """
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(timeout_s)
    try:
        with unix_address(path) as address:
            client.connect(address)
    except OSError:
        client.close()
        raise
    return client


def encode(message: Message) -> bytes:
    """One line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class LineReader:
    """Cuts a byte stream into messages; feed it what ``recv`` gave."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[Message]:
        """The messages completed by ``data``.

        Raises:
            ValueError: a line is too long or is not a JSON object.
        """
        *lines, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > MAX_LINE_BYTES:
            raise ValueError("line too long")
        messages = [json.loads(line) for line in lines if line.strip()]
        if not all(isinstance(message, dict) for message in messages):
            raise ValueError("not a JSON object")
        return messages


def ask(path: Path, message: Message, timeout_s: float = 2.0) -> Message:
    """Send one request and return its answer.

    Raises:
        OSError: nobody answers within ``timeout_s``, or the peer went away.
    """
    with connect(path, timeout_s) as client:
        client.sendall(encode(message))
        reader = LineReader()
        while True:
            data = client.recv(65536)
            if not data:
                raise ConnectionResetError("the peer closed before it answered")
            for answer in reader.feed(data):
                return answer
