"""One viewer's session, negotiated in this process: the traps that fail without a word."""

from __future__ import annotations

import asyncio
import re

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.rtcicetransport import RTCIceGatherer

from broadcaster.clock import MonotonicClock
from broadcaster.errors import PreviewRefused
from broadcaster.preview.addresses import LOOPBACK, offer_addresses, own_addresses
from broadcaster.preview.fanout import Fanout
from broadcaster.preview.session import Session


async def _offer(kinds: tuple[str, ...] = ("video", "audio")) -> str:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        for kind in kinds:
            peer.addTransceiver(kind, "recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        return str(peer.localDescription.sdp)
    finally:
        await peer.close()


async def _answer(offer: str) -> str:
    session = Session("main", Fanout(), [], MonotonicClock())
    try:
        return await session.negotiate(offer)
    finally:
        await session.close()


def negotiated(kinds: tuple[str, ...] = ("video", "audio"), swap: str = "") -> str:
    async def both() -> str:
        offer_addresses([LOOPBACK])
        offer = await _offer(kinds)
        return await _answer(offer.replace("H264/90000", swap) if swap else offer)

    return asyncio.run(both())


def test_an_offer_that_prefers_vp8_is_answered_with_h264_alone() -> None:
    """Agreed on VP8, H.264 would be sent all the same: connected, and never a picture."""
    answer = negotiated()
    video = answer.partition("m=video")[2].partition("\r\nm=")[0]
    codecs = re.findall(r"a=rtpmap:\d+ (\w+)/", video)
    assert codecs[0] == "H264"
    assert set(codecs) == {"H264", "rtx"}


def test_no_public_server_is_asked_for_our_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked() -> None:
        raise AssertionError("the library's default ICE servers are used")

    monkeypatch.setattr(RTCIceGatherer, "getDefaultIceServers", staticmethod(asked))
    assert " typ host" in negotiated()


def test_loopback_is_offered_though_the_library_leaves_it_out() -> None:
    assert f" {LOOPBACK} " in negotiated()
    assert own_addresses()[0] == LOOPBACK


def test_an_offer_without_sound_is_answered_without() -> None:
    assert "m=audio" not in negotiated(("video",))


def test_an_offer_without_h264_is_refused() -> None:
    with pytest.raises(PreviewRefused) as refused:
        negotiated(swap="H265/90000")
    assert refused.value.status == 422


def test_a_viewer_that_never_connects_is_given_up() -> None:
    class Hasty:
        """Ten seconds pass at each look."""

        at = 0.0

        def now(self) -> float:
            self.at += 6.0
            return self.at

        def sleep(self, seconds: float) -> None:
            raise AssertionError

    async def play() -> str:
        offer_addresses([LOOPBACK])
        session = Session("main", Fanout(), [], Hasty())
        await session.negotiate(await _offer())
        try:
            return await session.run()
        finally:
            await session.close()

    assert asyncio.run(play()) == "it never connected"
