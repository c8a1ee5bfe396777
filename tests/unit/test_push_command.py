from __future__ import annotations

import pytest

from broadcaster.formats import AudioFormat, EncodeFormat, StreamHeaders, VideoFormat
from broadcaster.push.command import push_command
from broadcaster.push.plan import is_loopback, retry_schedule, rollover_age_s, session_plan
from broadcaster.settings.model import Push

FMT = EncodeFormat(VideoFormat(64, 64, 25), AudioFormat(48000, 128_000), 25, 500_000, "fast")
HEADERS = StreamHeaders(b"", b"")


def test_nothing_is_encoded_and_both_streams_are_named() -> None:
    argv = push_command("ffmpeg", "rtmp://h/live/k", 9, 65536)
    assert argv[0] == "ffmpeg"
    assert argv[argv.index("-c") + 1] == "copy"
    maps = [argv[i + 1] for i, word in enumerate(argv) if word == "-map"]
    assert maps == ["0:v", "0:a"]
    assert argv[argv.index("-progress") + 1] == "pipe:9"
    assert argv[argv.index("-send_buffer_size") + 1] == "65536"


def test_input_options_stand_before_the_input_and_nobuffer_is_never_used() -> None:
    argv = push_command("ffmpeg", "rtmp://h/live/k", 9, 65536)
    assert argv.index("-fpsprobesize") < argv.index("-i")
    assert argv.index("-probesize") < argv.index("-i")
    assert "nobuffer" not in " ".join(argv)


def test_a_tls_ingest_must_show_a_valid_certificate() -> None:
    argv = push_command("ffmpeg", "rtmps://h/live/k", 9, 65536)
    assert argv[argv.index("-tls_verify") + 1] == "1"
    assert "-tls_verify" not in push_command("ffmpeg", "rtmp://h/live/k", 9, 65536)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("rtmp://127.0.0.1:1935/live/main", True),
        ("rtmp://localhost/live/main", True),
        ("rtmp://[::1]:1935/live/main", True),
        ("rtmps://live.example.com/app/key", False),
        ("rtmp://10.0.0.1/app/127.0.0.1", False),
    ],
)
def test_loopback_is_told_by_the_host(url: str, loopback: bool) -> None:
    assert is_loopback(url) is loopback


def test_patience_is_shorter_on_loopback() -> None:
    remote = session_plan("rtmp://h/a/k", FMT, HEADERS, Push(), False, str)
    local = session_plan("rtmp://127.0.0.1/a/k", FMT, HEADERS, Push(), True, str)
    assert (remote.connect_s, remote.stall_s) == (5.0, 1.2)
    assert (local.connect_s, local.stall_s) == (2.0, 0.8)


def test_the_platforms_session_cap_brings_the_rollover_forward() -> None:
    assert rollover_age_s(Push(), None) == 480 * 3600
    assert rollover_age_s(Push(), 8 * 3600) == 7.5 * 3600
    assert rollover_age_s(Push(), 1800) == 900


def test_loopback_is_retried_every_second_for_ever() -> None:
    schedule = retry_schedule(Push(), True)
    assert schedule.next_start(10_000.1, 10_000.0, 0.0, 0.0, lambda: 0.9) == 10_001.0
