"""FLV as bytes: what goes down the pipe to a push process.

Pure functions: packets in, tags out. Must never compute a time: timestamps arrive ready made
(``timeline.SessionTimeline``). Layout after Adobe's "Video File Format Specification" 10.1.
"""

from __future__ import annotations

import struct

from broadcaster.formats import AUDIO_CHANNELS, EncodeFormat, StreamHeaders

AUDIO_TAG = 8
VIDEO_TAG = 9
SCRIPT_TAG = 18

FILE_HEADER = b"FLV\x01\x05" + struct.pack(">II", 9, 0)
"""Signature, version 1, "has audio and video", header length 9, and the zeroth back pointer."""

_AVC_CODEC_ID = 7
_AAC_CODEC_ID = 10
_TAG_HEADER_BYTES = 11
_MAX_TIMESTAMP_MS = 0x7FFFFFFF  # the field is signed; FFmpeg's own muxer wraps here

_NALUS_NO_OFFSET = 0x01_000000  # AVC packet type "NALUs", composition offset 0
_RAW_AAC = 0xAF_01  # AAC, the fixed "44 kHz 16 bit stereo", raw frame

_pack_tag = struct.Struct(">BBHBHB3x").pack
_pack_video = struct.Struct(">BBHBHB3xBI").pack  # with the five bytes that lead a picture
_pack_audio = struct.Struct(">BBHBHB3xH").pack  # with the two bytes that lead a sound frame
_pack_u32 = struct.Struct(">I").pack


def _fits(timestamp_ms: int) -> None:
    if not 0 <= timestamp_ms <= _MAX_TIMESTAMP_MS:
        raise ValueError(f"FLV timestamp {timestamp_ms} ms is outside 31 bits")


def header_tag(kind: int, payload: bytes) -> bytes:
    """One FLV tag at timestamp 0 with its whole payload (metadata and sequence headers)."""
    size = len(payload)
    header = _pack_tag(kind, size >> 16, size & 0xFFFF, 0, 0, 0)
    return header + payload + _pack_u32(size + _TAG_HEADER_BYTES)


def video_tag(
    timestamp_ms: int, payload: bytes | memoryview, is_idr: bool
) -> tuple[bytes, bytes | memoryview, bytes]:
    """One coded picture (AVCC form) as pieces to join; no B-frames, so PTS equals DTS.

    Raises:
        ValueError: the timestamp does not fit FLV's 31 bits.
    """
    _fits(timestamp_ms)
    size = len(payload) + 5
    header = _pack_video(
        VIDEO_TAG, size >> 16, size & 0xFFFF,
        # The field's upper eight bits ("extended") come last.
        timestamp_ms >> 16 & 0xFF, timestamp_ms & 0xFFFF, timestamp_ms >> 24,
        0x17 if is_idr else 0x27, _NALUS_NO_OFFSET,
    )  # fmt: skip
    return header, payload, _pack_u32(size + _TAG_HEADER_BYTES)


def audio_tag(timestamp_ms: int, payload: bytes) -> tuple[bytes, bytes, bytes]:
    """One raw AAC frame as pieces to join.

    Raises:
        ValueError: the timestamp does not fit FLV's 31 bits.
    """
    _fits(timestamp_ms)
    size = len(payload) + 2
    header = _pack_audio(
        AUDIO_TAG, size >> 16, size & 0xFFFF,
        timestamp_ms >> 16 & 0xFF, timestamp_ms & 0xFFFF, timestamp_ms >> 24,
        _RAW_AAC,
    )  # fmt: skip
    return header, payload, _pack_u32(size + _TAG_HEADER_BYTES)


def _amf_string(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _amf_value(value: float | bool | str) -> bytes:
    if isinstance(value, bool):
        return b"\x01" + bytes([value])
    if isinstance(value, str):
        return b"\x02" + _amf_string(value)
    return b"\x00" + struct.pack(">d", value)


def on_metadata(fmt: EncodeFormat) -> bytes:
    """The ``onMetaData`` script payload: lets readers know both streams before any packet."""
    values: dict[str, float | bool | str] = {
        "width": fmt.video.width,
        "height": fmt.video.height,
        "framerate": fmt.video.fps,
        "videodatarate": fmt.bitrate_bps / 1000,
        "videocodecid": _AVC_CODEC_ID,
        "audiodatarate": fmt.audio.bitrate_bps / 1000,
        "audiosamplerate": fmt.audio.sample_rate,
        "audiosamplesize": 16,
        "stereo": AUDIO_CHANNELS == 2,
        "audiocodecid": _AAC_CODEC_ID,
    }
    body = b"".join(_amf_string(key) + _amf_value(value) for key, value in values.items())
    return _amf_value("onMetaData") + b"\x08" + struct.pack(">I", len(values)) + body + b"\0\0\x09"


def opening(fmt: EncodeFormat, headers: StreamHeaders) -> bytes:
    """Everything before the first picture: file header, metadata, AVC and AAC headers.

    Always at timestamp 0, wherever the session begins: FFmpeg's reader takes ``onMetaData`` with
    any other timestamp for a third stream, and its muxer then holds all packets back for it.
    """
    return b"".join(
        (
            FILE_HEADER,
            header_tag(SCRIPT_TAG, on_metadata(fmt)),
            header_tag(VIDEO_TAG, b"\x17\0\0\0\0" + headers.avc_config),
            header_tag(AUDIO_TAG, b"\xaf\0" + headers.aac_config),
        )
    )
