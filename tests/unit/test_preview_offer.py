"""What of a viewer's offer is used."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.errors import PreviewRefused
from broadcaster.preview.offer import prepare_offer

OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "a=candidate:1 1 udp 2113937151 0e7a.local 51000 typ host",
        "a=candidate:2 1 udp 2113937151 192.0.2.7 51001 typ host",
        "a=candidate:3 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active",
        "a=end-of-candidates",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "",
    ]
)


def test_only_candidates_that_can_be_used_at_once_are_kept() -> None:
    text, _ = prepare_offer(OFFER)
    assert [line for line in text.split("\r\n") if "candidate" in line] == [
        "a=candidate:2 1 udp 2113937151 192.0.2.7 51001 typ host"
    ]


def test_the_rest_stays_as_it_is() -> None:
    text, with_sound = prepare_offer(OFFER.replace("\r\n", "\n"))
    assert text.startswith("v=0\r\no=- 1 2 IN IP4")
    assert text.endswith("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n")
    assert with_sound


def test_an_offer_may_be_without_sound() -> None:
    assert prepare_offer(OFFER.partition("m=audio")[0])[1] is False


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "v=0\r\n",
        OFFER.partition("m=video")[0] + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n",
        OFFER + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n",
        OFFER + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(PreviewRefused) as refused:
        prepare_offer(text)
    assert refused.value.status == 422


@given(st.text())
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    with contextlib.suppress(PreviewRefused):
        prepare_offer(text)
