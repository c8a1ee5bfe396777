"""The picture encoder, its decoder, and the leaky bucket of what was sent."""

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
import pytest

from broadcaster.codec.h264_decode import PictureDecoder
from broadcaster.codec.nal import nal_type, split_avcc
from broadcaster.codec.vbv import LeakyBucket
from broadcaster.codec.x264 import PictureEncoder, parameter_sets_of
from broadcaster.errors import EncodeError
from broadcaster.formats import VideoFormat
from tests.doubles.programme import SMALL, moving_pictures
from tests.oracles.splice_check import psnr

PICTURES = moving_pictures(SMALL.video, 30, 4)


def test_every_picture_comes_out_at_once_and_looks_like_itself() -> None:
    encoder = PictureEncoder(SMALL)
    decoder = PictureDecoder(encoder.parameter_sets.avc_config())
    for tick, picture in enumerate(PICTURES, start=100):
        packet = encoder.encode(picture, tick)
        assert packet.tick == tick
        assert psnr(decoder.decode(packet.payload), picture) > 33


def test_an_idr_comes_first_and_where_told_and_nowhere_else() -> None:
    encoder = PictureEncoder(SMALL)
    cut = [*PICTURES[:10], *(255 - p for p in PICTURES[10:20])]  # a hard cut is no reason for one
    idr = [i for i, p in enumerate(cut) if encoder.encode(p, i, force_idr=i == 7).is_idr]
    assert idr == [0, 7]


def test_packets_hold_slices_only() -> None:
    encoder = PictureEncoder(SMALL)
    packets = [encoder.encode(p, i, i in (0, 5)) for i, p in enumerate(PICTURES[:8])]
    assert {nal_type(u) for p in packets for u in split_avcc(p.payload)} == {1, 5}


def test_headers_do_not_depend_on_rate_fill_or_how_often_it_was_opened() -> None:
    """Else idle packets and live ones could not follow one another."""
    sets = parameter_sets_of(SMALL)
    assert PictureEncoder(SMALL, vbv_fill=0.31).parameter_sets == sets
    assert PictureEncoder(SMALL, rate=0.85).parameter_sets == sets
    assert parameter_sets_of(replace(SMALL, preset="ultrafast")) != sets


def test_the_headers_say_bt709_limited_range() -> None:
    encoder = PictureEncoder(SMALL)
    context = av.CodecContext.create("h264", "r")
    context.extradata = encoder.parameter_sets.avc_config()
    payload = encoder.encode(PICTURES[0], 0).payload
    frames = [f for p in (av.Packet(payload), None) for f in context.decode(p)]
    assert [f.colorspace for f in frames] == [1]
    assert [f.color_range for f in frames] == [1]


def test_a_fuller_buffer_lets_the_first_picture_be_bigger() -> None:
    """The tracked fill must reach the encoder: a low one makes the first IDR smaller."""
    noise = np.random.default_rng(1).integers(16, 235, SMALL.video.i420_shape, dtype=np.uint8)
    low = len(PictureEncoder(SMALL, vbv_fill=0.05).encode(noise, 0).payload)
    high = len(PictureEncoder(SMALL, vbv_fill=0.9).encode(noise, 0).payload)
    assert low < 0.7 * high


def test_a_format_that_x264_refuses_is_said() -> None:
    with pytest.raises(EncodeError, match="does not open"):
        PictureEncoder(replace(SMALL, video=VideoFormat(191, 112, 25)))


def test_a_packet_that_does_not_decode_is_an_error_and_the_next_idr_recovers() -> None:
    encoder = PictureEncoder(SMALL)
    packets = [encoder.encode(p, i, i == 3) for i, p in enumerate(PICTURES[:4])]
    decoder = PictureDecoder(encoder.parameter_sets.avc_config())
    with pytest.raises((EncodeError, ValueError, OSError)):
        decoder.decode(b"\0\0\0\4\x65\xff\xff\xff")
    assert psnr(decoder.decode(packets[3].payload), PICTURES[3]) > 30


def test_the_bucket_starts_full_and_refills_by_one_tick() -> None:
    bucket = LeakyBucket(1_000_000, 25)  # 40 kbit a tick
    bucket.spend(100_000 // 8)
    assert bucket.lowest == pytest.approx(0.9)
    assert bucket._fill_bits == pytest.approx(940_000)


def test_the_bucket_never_holds_more_than_its_size() -> None:
    bucket = LeakyBucket(1_000_000, 25)
    for _ in range(100):
        bucket.spend(0)
    assert bucket._fill_bits == 1_000_000
    assert bucket.fill == 0.9


def test_an_underflow_is_counted_once_for_each_late_picture() -> None:
    bucket = LeakyBucket(1_000_000, 25)
    bucket.spend(125_001)
    assert (bucket.underflows, bucket.lowest < 0) == (1, True)
    assert bucket.fill == 0.05
    bucket.spend(6_000)  # 8 kbit over what one tick brought in
    assert bucket.underflows == 2
