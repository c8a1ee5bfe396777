"""The preview's control socket: JSON lines from the API (offer, leave, status).

The API hands SDP through here, so that page and WHEP share one origin and no second HTTP server
is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from broadcaster.errors import PreviewRefused
from broadcaster.preview.desk import Desk
from broadcaster.wire import LineReader, Message, encode, listen

log = logging.getLogger(__name__)


class Door:
    """Serves the socket at ``path`` while open."""

    def __init__(self, path: Path, desk: Desk) -> None:
        self._path, self._desk = path, desk
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to listen.

        Raises:
            OSError: the socket cannot be made.
        """
        listener = listen(self._path)
        listener.setblocking(False)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener)

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = LineReader()
        with contextlib.closing(writer), contextlib.suppress(OSError, ValueError):
            while data := await reader.read(65536):
                for request in lines.feed(data):
                    writer.write(encode(await self._answer(request)))
                    await writer.drain()

    async def _answer(self, request: Message) -> Message:
        try:
            return {"ok": True, **await self._act(request)}
        except PreviewRefused as error:
            return {
                "ok": False,
                "status": error.status,
                "error": str(error),
                "retry_after_s": error.retry_after_s,
            }

    async def _act(self, request: Message) -> Message:
        match request.get("op"):
            case "offer":
                channel, sdp = str(request.get("channel")), str(request.get("sdp"))
                session_id, answer = await self._desk.offer(channel, sdp)
                return {"session": session_id, "sdp": answer}
            case "leave":
                self._desk.leave(str(request.get("session")))
                return {}
            case "status":
                return self._desk.report()
            case _:
                raise PreviewRefused(422, "no such request")
