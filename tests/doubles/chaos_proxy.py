"""A TCP proxy that spoils connections on request, with toxiproxy's vocabulary; loopback only."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

_SEGMENT_BYTES = 1448
_RECEIVE_BUFFER_BYTES = 32768


@dataclass(slots=True)
class Toxics:
    """What is wrong with the path to the server now; looked at for each piece of data."""

    latency_s: float = 0.0
    bytes_per_s: float | None = None
    black_hole: bool = False
    """toxiproxy's ``timeout``: connections stay open, nothing passes."""
    slice_bytes: int | None = None
    slice_pause_s: float = 0.0


class ChaosProxy:
    """Use as a context manager; push to ``port``, spoil through ``toxics`` and the methods."""

    def __init__(self, upstream_port: int) -> None:
        self.toxics = Toxics()
        self.port = 0
        self._upstream_port = upstream_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> ChaosProxy:
        self._thread.start()
        self.up()
        return self

    def __exit__(self, *exc: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def up(self) -> None:
        """Listen (again, on the same port)."""
        self._call(self._listen())

    def down(self) -> None:
        """Stop listening and cut what is open."""
        self._call(self._close(reset=False))

    def reset_peer(self) -> None:
        """RST to every open connection; the port stays open."""
        self._call(self._cut(reset=True))

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(5)

    async def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Loopback's 64 KiB segments would let data pass in lumps; this is an Ethernet path.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_BYTES)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._accepted, sock=listener, limit=16384)

    async def _close(self, *, reset: bool) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut(reset=reset)

    async def _cut(self, *, reset: bool) -> None:
        for writer in list(self._writers):
            if reset:
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _end(self) -> None:
        await self._close(reset=False)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(
                "127.0.0.1", self._upstream_port, limit=16384
            )
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        for source, target, spoiled in (
            (reader, far_writer, True),
            (far_reader, writer, False),
        ):
            task = asyncio.create_task(self._pump(source, target, spoiled))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, spoiled: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(4096):
                await self._wait_out_the_hole()
                if spoiled:
                    await self._spoil(target, data)
                else:
                    target.write(data)
                await target.drain()
        self._writers.discard(target)
        with contextlib.suppress(OSError, RuntimeError):
            target.close()

    async def _wait_out_the_hole(self) -> None:
        while self.toxics.black_hole:
            await asyncio.sleep(0.02)

    async def _spoil(self, target: asyncio.StreamWriter, data: bytes) -> None:
        toxics = self.toxics
        if toxics.latency_s:
            await asyncio.sleep(toxics.latency_s)
        if toxics.bytes_per_s is not None:
            await asyncio.sleep(len(data) / toxics.bytes_per_s)
        step = toxics.slice_bytes or len(data)
        for at in range(0, len(data), step):
            target.write(data[at : at + step])
            if toxics.slice_pause_s and self.toxics.slice_bytes:
                await asyncio.sleep(toxics.slice_pause_s)
