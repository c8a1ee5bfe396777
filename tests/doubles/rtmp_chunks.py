"""The RTMP chunk layer and AMF0, as far as a publisher uses them (server side)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SET_CHUNK_SIZE, ACK, WINDOW_ACK_SIZE, PEER_BANDWIDTH = 1, 3, 5, 6
AUDIO, VIDEO, DATA, COMMAND = 8, 9, 18, 20
EXTENDED = 0xFFFFFF


@dataclass(slots=True)
class _ChunkStream:
    field: int = 0
    timestamp: int = 0
    size: int = 0
    kind: int = 0
    stream_id: int = 0
    extended: bool = False
    body: bytearray | None = None


@dataclass(frozen=True, slots=True)
class Message:
    kind: int
    timestamp: int
    stream_id: int
    body: bytes


class ChunkReader:
    """Reads messages through ``read(n)``, which returns exactly n bytes or raises."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._streams: dict[int, _ChunkStream] = {}
        self.chunk_size = 128

    def next_message(self) -> Message:
        while True:
            message = self._chunk()
            if message is None:
                continue
            if message.kind == SET_CHUNK_SIZE:
                self.chunk_size = struct.unpack(">I", message.body)[0] & 0x7FFFFFFF
                continue
            return message

    def _chunk(self) -> Message | None:
        first = self._read(1)[0]
        fmt, csid = first >> 6, first & 63
        if csid == 0:
            csid = self._read(1)[0] + 64
        elif csid == 1:
            low, high = self._read(2)
            csid = high * 256 + low + 64
        stream = self._streams.setdefault(csid, _ChunkStream())
        self._header(fmt, stream)
        if stream.body is None:
            stream.body = bytearray()
        stream.body += self._read(min(self.chunk_size, stream.size - len(stream.body)))
        if len(stream.body) < stream.size:
            return None
        body, stream.body = bytes(stream.body), None
        return Message(stream.kind, stream.timestamp, stream.stream_id, body)

    def _header(self, fmt: int, stream: _ChunkStream) -> None:
        if fmt < 3:
            head = self._read((11, 7, 3)[fmt])
            stream.field = int.from_bytes(head[:3], "big")
            if fmt < 2:
                stream.size, stream.kind = int.from_bytes(head[3:6], "big"), head[6]
            if fmt == 0:
                stream.stream_id = int.from_bytes(head[7:11], "little")
            stream.extended = stream.field == EXTENDED
        if stream.extended:
            stream.field = int.from_bytes(self._read(4), "big")
        if stream.body is None:
            stream.timestamp = stream.field if fmt == 0 else stream.timestamp + stream.field


def message(csid: int, kind: int, body: bytes, stream_id: int = 0) -> bytes:
    """A server's message in one chunk (the caller keeps it under the chunk size)."""
    return (
        bytes([csid]) + b"\0\0\0" + len(body).to_bytes(3, "big") + bytes([kind])
        + stream_id.to_bytes(4, "little") + body
    )  # fmt: skip


def _key(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def amf(*values: Any) -> bytes:
    out = b""
    for value in values:
        if value is None:
            out += b"\x05"
        elif isinstance(value, bool):
            out += b"\x01" + bytes([value])
        elif isinstance(value, (int, float)):
            out += b"\0" + struct.pack(">d", value)
        elif isinstance(value, str):
            out += b"\x02" + _key(value)
        else:
            inner = b"".join(_key(k) + amf(v) for k, v in value.items())
            out += b"\x03" + inner + b"\0\0\x09"
    return out


def _string(data: bytes, at: int) -> tuple[str, int]:
    size = struct.unpack_from(">H", data, at)[0]
    return data[at + 2 : at + 2 + size].decode(errors="replace"), at + 2 + size


def _value(data: bytes, at: int) -> tuple[Any, int]:
    kind, at = data[at], at + 1
    if kind == 0:
        return struct.unpack_from(">d", data, at)[0], at + 8
    if kind == 1:
        return bool(data[at]), at + 1
    if kind == 2:
        return _string(data, at)
    if kind in (3, 8):
        at += 4 if kind == 8 else 0
        values: dict[str, Any] = {}
        while data[at : at + 3] != b"\0\0\x09":
            key, at = _string(data, at)
            values[key], at = _value(data, at)
        return values, at + 3
    if kind in (5, 6):
        return None, at
    raise ValueError(f"AMF0 type {kind}")


def amf_values(data: bytes) -> list[Any]:
    values, at = [], 0
    while at < len(data):
        value, at = _value(data, at)
        values.append(value)
    return values
