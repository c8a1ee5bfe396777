"""Pictures that somebody sent, read with a limit before a single pixel is decoded.

At import of an avatar only. A file is what its first bytes say, whatever its name says.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.face.refused import AvatarRefused

Bgr = NDArray[np.uint8]

MOST_PIXELS = 64_000_000
"""Of a picture: 192 MB once decoded; the largest of telephones have 50 million."""

MOST_BYTES = 64 << 20
"""Of a picture's file."""

SHORTEST_SIDE = 64

_BACKGROUND_LEVEL = 56
"""Dark grey under what is transparent."""

KINDS = "a JPEG, PNG or WebP picture, or an MP4, MOV, WebM or MKV clip"


def kind_of(head: bytes) -> str:
    """What a file is, by its first 16 bytes: jpeg, png, webp, mov or matroska.

    Raises:
        AvatarRefused: none of them.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide"}:
        return "mov"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    raise AvatarRefused(f"this is not {KINDS}")


def read_picture(file: Path) -> Bgr:
    """A picture, upright, (height, width, 3).

    Raises:
        AvatarRefused: it is damaged, too large, or too small.
        OSError: it cannot be read.
    """
    if file.stat().st_size > MOST_BYTES:
        raise AvatarRefused(f"the picture's file is larger than {MOST_BYTES >> 20} MB")
    return picture_of(file.read_bytes())


def picture_of(
    data: bytes, *, most_pixels: int = MOST_PIXELS, shortest_side: int = SHORTEST_SIDE
) -> Bgr:
    """The same of a file that was read.

    Raises:
        AvatarRefused: as ``read_picture``.
    """
    kind = kind_of(data[:16])
    size = _SIZES[kind](data) if kind in _SIZES else None
    if size is None:
        raise AvatarRefused("the picture is damaged: it does not say its size")
    check_size(*size, most_pixels, shortest_side)
    decoded = _decoded(data, kind)
    if decoded is None or sorted(decoded.shape[:2]) != sorted(size):
        raise AvatarRefused("the picture is damaged: it cannot be decoded")
    return decoded


def check_size(
    width: int, height: int, most_pixels: int = MOST_PIXELS, shortest_side: int = SHORTEST_SIDE
) -> None:
    """Whether a picture of so many pixels is taken.

    Raises:
        AvatarRefused: it is not.
    """
    if width * height > most_pixels:
        raise AvatarRefused(
            f"the picture is {width}x{height}; more than {most_pixels // 1_000_000} million pixels"
        )
    if min(width, height) < shortest_side:
        raise AvatarRefused(f"the picture is {width}x{height}; that is too small")


def _decoded(data: bytes, kind: str) -> Bgr | None:
    flat = np.frombuffer(data, np.uint8)
    try:
        if kind == "jpeg":  # upright by its EXIF tag
            found = cv2.imdecode(flat, cv2.IMREAD_COLOR)
        else:
            found = cv2.imdecode(flat, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    return None if found is None else _as_bgr(np.asarray(found))


def _as_bgr(found: NDArray[np.generic]) -> Bgr | None:
    if found.dtype == np.uint16:
        found = (np.asarray(found, np.uint16) >> 8).astype(np.uint8)
    if found.dtype != np.uint8:
        return None
    flat = np.asarray(found, np.uint8)
    if flat.ndim == 2:
        return np.asarray(cv2.cvtColor(flat, cv2.COLOR_GRAY2BGR), np.uint8)
    if flat.shape[2] == 4:
        opacity = flat[..., 3:].astype(np.uint16)
        over = flat[..., :3] * opacity + _BACKGROUND_LEVEL * (255 - opacity)
        return (over // 255).astype(np.uint8)
    return flat


def _png_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 33 or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height


_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG markers that carry the size (ITU-T T.81, table B.1)."""


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    for marker, at in _jpeg_segments(data):
        if marker in _START_OF_FRAME and at + 7 <= len(data):
            height, width = struct.unpack(">HH", data[at + 3 : at + 7])
            return width, height
    return None


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and place of the length of every segment before the picture's data."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill
            at += 1
            continue
        yield marker, at + 2
        if marker == 0xDA:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """From the header of the lossy, lossless or extended form (RFC 9649)."""
    form = data[12:16]
    if len(data) < 30:
        return None
    if form == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return width, height
    if form == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if form == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


_SIZES = {"png": _png_size, "jpeg": _jpeg_size, "webp": _webp_size}
