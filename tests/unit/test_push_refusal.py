from __future__ import annotations

import pytest

from broadcaster.push.refusal import Reason, StderrTail, classify
from broadcaster.redaction import Redactor

URL = "rtmp://ingest.example/app/SECRETKEY123"


# As FFmpeg 5.1 says it; seen, not invented.
@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            [
                "[tcp @ 0x55] Connection to tcp://127.0.0.1:3?tcp_nodelay=1 failed: "
                "Connection refused",
                "[rtmp @ 0x55] Cannot open connection tcp://127.0.0.1:3?tcp_nodelay=1",
            ],
            Reason.REFUSED,
        ),
        (
            [
                "[tcp @ 0x55] Failed to resolve hostname a.invalid: Name or service not known",
                "[rtmp @ 0x55] Cannot open connection tcp://a.invalid:1935?tcp_nodelay=1",
                "rtmp://a.invalid/live/***: Input/output error",
            ],
            Reason.DNS,
        ),
        (
            [
                "[rtmp @ 0x56] Server error: Already publishing",
                "rtmp://h/live/***: Operation not permitted",
            ],
            Reason.BUSY,
        ),
        (["[rtmp @ 0x56] Server error: NetStream.Publish.BadName"], Reason.BUSY),
        (["[rtmp @ 0x56] Server error: NetStream.Publish.Denied"], Reason.AUTH),
        (
            [
                "av_interleaved_write_frame(): Broken pipe",
                "Error writing trailer of rtmp://h/live/***: Broken pipe",
            ],
            Reason.CLOSED,
        ),
        (["av_interleaved_write_frame(): Connection reset by peer"], Reason.CLOSED),
        (
            [
                "[tls @ 0x55] Peer certificate failed verification",
                "[rtmps @ 0x55] Cannot open connection tls://h:443",
                "rtmps://h:443/live/***: Input/output error",
            ],
            Reason.AUTH,
        ),
        (["Something new in FFmpeg 9"], Reason.EXIT),
        ([], Reason.EXIT),
    ],
)
def test_last_words_tell_why_a_push_ended(lines: list[str], reason: Reason) -> None:
    assert classify(lines) is reason


def test_the_key_is_masked_in_every_kept_line() -> None:
    tail = StderrTail(Redactor([URL]))
    tail.feed(f"Error opening {URL}: no\nplaypath SECRETKEY123 is odd\nlast {URL}".encode())
    assert "SECRETKEY123" not in "".join(tail.lines())
    assert len(tail.lines()) == 3


def test_a_flood_keeps_only_whole_lines_so_that_no_half_key_slips_through() -> None:
    tail = StderrTail(Redactor([URL]))
    line = f"{URL} {'x' * 61}\n".encode()
    for at in range(200):
        tail.feed(line * 900 + line[: at % len(line)])
        tail.feed(line[at % len(line) :])
    kept = tail.lines()
    assert len(kept) <= 100
    assert not any("KEY123" in text or "SECRET" in text for text in kept)


def test_only_the_last_hundred_lines_are_kept() -> None:
    tail = StderrTail(Redactor([]))
    for number in range(500):
        tail.feed(f"line {number}\n".encode())
    assert tail.lines() == [f"line {number}" for number in range(400, 500)]
