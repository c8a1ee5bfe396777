"""A viewer without a browser: WHEP over HTTP, then ICE, DTLS, RTP, and everything decoded."""

from __future__ import annotations

import asyncio
import http.client
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from broadcaster.idle.draw import read_code
from broadcaster.preview.addresses import offer_addresses

T = TypeVar("T")

ANSWER_S = 10.0


def exchange(
    port: int, method: str, path: str, body: str = "", kind: str = "application/sdp"
) -> tuple[int, dict[str, str], str]:
    """One HTTP request."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    try:
        client.request(method, path, body.encode(), {"Content-Type": kind})
        answer = client.getresponse()
        return answer.status, dict(answer.headers), answer.read().decode()
    finally:
        client.close()


class WhepClient:
    """One viewer; its loop runs in a thread, so that tests read as a sequence."""

    def __init__(self, port: int, channel: str = "main") -> None:
        self.codes: list[int] = []
        self.sound_energy = 0.0
        self.sound_frames = 0
        self.first_picture_s: float | None = None
        self.location, self.answer = "", ""
        self._port, self._channel = port, channel
        self._peer: RTCPeerConnection | None = None
        self._loop = asyncio.new_event_loop()
        self._tasks: list[asyncio.Task[None]] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def connect(self) -> int:
        """POST an offer; returns the status. Media arrives from now on where it is 201."""
        return self._do(self._connect())

    def offer(self) -> str:
        """An offer of this client, not sent."""
        return self._do(self._make_offer())

    def leave(self) -> int:
        """DELETE the session; returns the status."""
        return exchange(self._port, "DELETE", self.location)[0]

    def wait(self, condition: Callable[[WhepClient], bool], timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition(self):
            assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
            time.sleep(0.02)

    def close(self) -> None:
        self._do(self._close_peer())
        self._do(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _make_offer(self) -> str:
        await self._close_peer()
        offer_addresses(["127.0.0.1"])
        peer = self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peer.on("track", self._on_track)
        peer.addTransceiver("video", "recvonly")
        peer.addTransceiver("audio", "recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        return str(peer.localDescription.sdp)

    async def _connect(self) -> int:
        offer = await self._make_offer()
        self._began = time.monotonic()
        path = f"/whep/{self._channel}"
        status, headers, body = await asyncio.to_thread(exchange, self._port, "POST", path, offer)
        if status == 201 and self._peer is not None:
            self.location, self.answer = headers["Location"], body
            await self._peer.setRemoteDescription(RTCSessionDescription(body, "answer"))
        return status

    def _on_track(self, track: MediaStreamTrack) -> None:
        work = self._watch(track) if track.kind == "video" else self._listen(track)
        self._tasks.append(asyncio.ensure_future(work))

    async def _watch(self, track: MediaStreamTrack) -> None:
        with suppress(MediaStreamError):
            while True:
                frame: Any = await track.recv()
                if self.first_picture_s is None:
                    self.first_picture_s = time.monotonic() - self._began
                plane = frame.planes[0]
                luma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
                self.codes.append(read_code(luma[: frame.height, : frame.width]))

    async def _listen(self, track: MediaStreamTrack) -> None:
        with suppress(MediaStreamError):
            while True:
                frame: Any = await track.recv()
                samples = frame.to_ndarray().astype(np.float64) / 32768
                self.sound_energy += float(np.sum(samples**2))
                self.sound_frames += 1

    async def _close_peer(self) -> None:
        if self._peer is not None:
            await self._peer.close()
            self._peer = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()


@contextmanager
def viewer(port: int, channel: str = "main") -> Iterator[WhepClient]:
    made = WhepClient(port, channel)
    try:
        yield made
    finally:
        made.close()


def main() -> None:
    """A viewer in a process of its own, to be killed: prints a line at the first picture."""
    made = WhepClient(int(sys.argv[1]))
    assert made.connect() == 201
    made.wait(lambda c: len(c.codes) > 0, 20, "a picture")
    print("watching", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
