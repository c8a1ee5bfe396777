from __future__ import annotations

import struct
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.push import flv
from broadcaster.push.timeline import SessionTimeline
from tests.doubles.air import loop
from tests.doubles.rtmp_chunks import amf_values
from tests.oracles.flv_check import Rules, faults, from_flv


def write_flv(path: Path, ticks: int, first_tick: int = 0, first_ms: int = 0) -> None:
    """A file as a push process would read it from its pipe."""
    source = loop()
    timeline = SessionTimeline(source.fmt, first_tick, first_ms)
    with path.open("wb") as file:
        file.write(flv.opening(source.fmt, source.headers))
        for number in range(first_tick, first_tick + ticks):
            tick = source.tick(number, first=first_tick)
            video = tick.video
            at = timeline.video_ms(number)
            file.write(b"".join(flv.video_tag(at, video.payload, video.is_idr)))
            for packet in tick.audio:
                sound_at = timeline.audio_ms(packet.slot)
                if sound_at is not None:
                    file.write(b"".join(flv.audio_tag(sound_at, packet.payload)))


def test_libavformat_reads_what_we_write_packet_for_packet(tmp_path: Path) -> None:
    path = tmp_path / "a.flv"
    write_flv(path, 50)
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.width, video.height) == ("h264", 320, 180)
        assert (audio.codec_context.name, audio.rate) == ("aac", 48000)
        # Inside the block: a packet's stream dies with its container.
        packets = [p for p in container.demux() if p.size]
        pictures = [(p.pts, bytes(p)) for p in packets if p.stream.type == "video"]
    assert [pts for pts, _ in pictures] == [n * 40 for n in range(50)]
    assert [payload for _, payload in pictures] == [loop().tick(n).video.payload for n in range(50)]


def test_the_oracle_finds_nothing_wrong_with_a_session_that_begins_anywhere(
    tmp_path: Path,
) -> None:
    for first_tick in (0, 25, 75, 100):
        path = tmp_path / f"{first_tick}.flv"
        write_flv(path, 200, first_tick)
        assert faults(from_flv(path), Rules()) == []


def test_metadata_names_both_codecs_and_every_rate() -> None:
    name, values = amf_values(flv.on_metadata(loop().fmt))
    assert name == "onMetaData"
    assert values["videocodecid"] == 7
    assert values["audiocodecid"] == 10
    assert (values["width"], values["height"], values["framerate"]) == (320, 180, 25)
    assert (values["audiosamplerate"], values["stereo"]) == (48000, True)


def test_the_opening_is_at_time_zero_even_where_the_session_is_not() -> None:
    opening = flv.opening(loop().fmt, loop().headers)
    assert opening[13] == flv.SCRIPT_TAG
    assert opening[17:21] == bytes(4)


@given(st.integers(0, 0x7FFFFFFF))
def test_timestamps_beyond_24_bits_go_into_the_extension(timestamp_ms: int) -> None:
    header = flv.video_tag(timestamp_ms, b"x", False)[0]
    assert int.from_bytes(header[4:7], "big") | header[7] << 24 == timestamp_ms
    header = flv.audio_tag(timestamp_ms, b"x")[0]
    assert int.from_bytes(header[4:7], "big") | header[7] << 24 == timestamp_ms


@pytest.mark.parametrize("timestamp_ms", [-1, 0x80000000])
def test_a_timestamp_that_flv_cannot_hold_is_refused(timestamp_ms: int) -> None:
    with pytest.raises(ValueError, match="31 bits"):
        flv.audio_tag(timestamp_ms, b"x")


@given(st.integers(0, 200_000))
def test_sizes_and_back_pointers_agree(size: int) -> None:
    header, payload, back = flv.video_tag(40, bytes(size), True)
    assert int.from_bytes(header[1:4], "big") == size + 5
    assert struct.unpack(">I", back)[0] == len(header) + len(payload)
