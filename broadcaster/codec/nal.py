"""H.264 NAL units: from the encoder's start codes to what FLV carries (ISO/IEC 14496-15).

Pure functions on bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from broadcaster.errors import EncodeError

SLICE_IDR = 5
SEI = 6
SPS = 7
PPS = 8
ACCESS_UNIT_DELIMITER = 9

_OUT_OF_BAND = frozenset({SEI, SPS, PPS, ACCESS_UNIT_DELIMITER})
"""Units left out of packets: headers travel once, in the sequence header, so that a splice can
never bring a second set; SEI of x264 is its settings as text."""

_HIGH_PROFILES = frozenset({100, 110, 122, 244})


def nal_type(unit: bytes) -> int:
    """The nal_unit_type of a unit without its start code."""
    return unit[0] & 0x1F


def split_annexb(data: bytes) -> list[bytes]:
    """The NAL units of an Annex B byte stream, without start codes."""
    units = []
    start = data.find(b"\x00\x00\x01")
    while start >= 0:
        begin = start + 3
        start = data.find(b"\x00\x00\x01", begin)
        end = len(data) if start < 0 else start
        unit = data[begin:end]
        # A four-byte start code leaves its first zero at the end of the unit before it.
        units.append(unit.rstrip(b"\x00") if start >= 0 else unit)
    return units


def to_avcc(data: bytes) -> tuple[bytes, bool]:
    """An encoder's packet as length-prefixed slices, and whether it is an IDR picture."""
    slices = [unit for unit in split_annexb(data) if nal_type(unit) not in _OUT_OF_BAND]
    if not slices:
        raise EncodeError("the video encoder returned a packet without a picture")
    payload = b"".join(struct.pack(">I", len(unit)) + unit for unit in slices)
    return payload, nal_type(slices[0]) == SLICE_IDR


def split_avcc(payload: bytes | memoryview) -> list[bytes]:
    """The NAL units of a length-prefixed packet."""
    units, at, data = [], 0, bytes(payload)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        units.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return units


def to_annexb(payload: bytes | memoryview) -> bytes:
    """A length-prefixed packet with start codes, for decoders fed without a configuration."""
    return b"".join(b"\x00\x00\x00\x01" + unit for unit in split_avcc(payload))


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """The SPS and PPS of an encode; two encodes may be spliced only if these are equal."""

    sps: bytes
    pps: bytes

    @classmethod
    def from_extradata(cls, extradata: bytes) -> ParameterSets:
        """Read them from an encoder's Annex B extradata."""
        units = split_annexb(extradata)
        sps = [unit for unit in units if nal_type(unit) == SPS]
        pps = [unit for unit in units if nal_type(unit) == PPS]
        if len(sps) != 1 or len(pps) != 1:
            raise EncodeError(f"expected one SPS and one PPS, got {len(sps)} and {len(pps)}")
        return cls(sps[0], pps[0])

    def avc_config(self) -> bytes:
        """The AVCDecoderConfigurationRecord.

        High profiles carry four more bytes (chroma format 4:2:0, 8 bit luma and chroma, no SPS
        extension); FFmpeg appends them too, and a record without them is not byte-equal.
        """
        record = bytes([1, *self.sps[1:4], 0xFF, 0xE1])
        record += struct.pack(">H", len(self.sps)) + self.sps
        record += b"\x01" + struct.pack(">H", len(self.pps)) + self.pps
        if self.sps[1] in _HIGH_PROFILES:
            record += b"\xfd\xf8\xf8\x00"
        return record
