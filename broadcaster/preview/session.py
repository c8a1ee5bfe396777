"""One viewer: a WebRTC connection from offer to end. Whatever way it ends, nothing is left."""

from __future__ import annotations

import asyncio
import logging
import secrets

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError

from broadcaster.clock import Clock
from broadcaster.errors import PreviewRefused
from broadcaster.preview.fanout import Fanout
from broadcaster.preview.offer import prepare_offer
from broadcaster.preview.tracks import ViewerTracks

log = logging.getLogger(__name__)

CONNECT_S = 10.0
"""A browser that means it has connected within 0.3 s."""

SILENT_S = 8.0
"""Browsers report on their reception every second; one that is silent for so long is gone.
(aiortc itself gives up after 30 s.)"""

LOOK_EVERY_S = 1.0

_BAD_OFFER = (
    ValueError, LookupError, TypeError, AttributeError, AssertionError,
    InvalidAccessError, InvalidStateError, OperationError,
)  # fmt: skip
"""What aiortc's parser and negotiation raise for text that makes no sense."""


class Session:
    """A viewer of one channel.

    Args:
        channel: its name.
        fanout: where the packets come from.
        ice_servers: for viewers that cannot reach this machine's own addresses; usually none.
        clock: monotonic time.
    """

    def __init__(
        self, channel: str, fanout: Fanout, ice_servers: list[RTCIceServer], clock: Clock
    ) -> None:
        self.id = secrets.token_urlsafe(12)
        self.channel = channel
        self.tracks = ViewerTracks(fanout)
        self._clock = clock
        # An empty list, not None: aiortc's default asks a public server for our address.
        configuration = RTCConfiguration(
            iceServers=ice_servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE
        )
        self._connection = RTCPeerConnection(configuration)
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._connection.on("connectionstatechange", self._changed.set)

    async def negotiate(self, sdp: str) -> str:
        """Answer an offer.

        Raises:
            PreviewRefused: 422, the offer is broken or has no H.264.
        """
        offer, with_sound = prepare_offer(sdp)
        picture = self._connection.addTransceiver(self.tracks.picture, "sendonly")
        capabilities = RTCRtpSender.getCapabilities("video").codecs
        # Before the offer is applied: afterwards VP8 is agreed on and H.264 sent all the same.
        picture.setCodecPreferences(
            [codec for codec in capabilities if codec.mimeType in ("video/H264", "video/rtx")]
        )
        if with_sound:
            self._connection.addTransceiver(self.tracks.sound, "sendonly")
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            answer = await self._connection.createAnswer()
            await self._connection.setLocalDescription(answer)
        except _BAD_OFFER as error:
            raise PreviewRefused(422, f"the offer cannot be used ({error})") from error
        text = str(self._connection.localDescription.sdp)
        if "H264/90000" not in text:
            raise PreviewRefused(422, "the offer has no H.264")
        return text

    async def run(self) -> str:
        """Stay until the viewer is gone; returns why."""
        began = self._clock.now()
        received, moved_at = 0, began
        while not self._ended.is_set():
            state = self._connection.connectionState
            if state in ("failed", "closed"):
                return f"the connection is {state}"
            now = self._clock.now()
            if state != "connected":
                moved_at = now
                if now - began > CONNECT_S:
                    return "it never connected"
            elif (count := await self._received()) != received:
                received, moved_at = count, now
            elif now - moved_at > SILENT_S:
                return "it fell silent"
            await self._wait()
        return "it left"

    def leave(self) -> None:
        """End ``run``."""
        self._ended.set()
        self._changed.set()

    async def close(self) -> None:
        """Let go of everything."""
        self.tracks.end()
        await self._connection.close()

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), LOOK_EVERY_S)
        except TimeoutError:
            return
        self._changed.clear()

    async def _received(self) -> int:
        """Packets that came from the viewer so far (its reports)."""
        report = await self._connection.getStats()
        return sum(each.packetsReceived for each in report.values() if each.type == "transport")
