"""What the station and the espeak-ng child say to each other: one request line, frames back.

A frame is one byte of kind, four bytes of length (big endian), then so many bytes. Pure, shared by
both sides; the child starts in milliseconds, so this must import nothing heavy.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass

READY, SOUND, PHONEMES, DONE, REFUSED = b"r", b"s", b"p", b"d", b"x"
"""Ready (JSON), s16le samples, JSON ``[[sample, name], ...]``, end, a sentence why not."""

HEADER = struct.Struct(">cI")
KINDS = frozenset({READY, SOUND, PHONEMES, DONE, REFUSED})

LONGEST_FRAME_BYTES = 1 << 20
"""A real frame holds a tenth of a second; more is no frame of ours."""


@dataclass(frozen=True, slots=True)
class Request:
    """One sentence and how to speak it; ``voice`` as espeak-ng names it, such as ``cmn+f3``."""

    voice: str
    text: str
    words_per_minute: int
    pitch: int


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """One frame."""
    return HEADER.pack(kind, len(payload)) + payload


def request_line(request: Request) -> bytes:
    """One line of JSON; nothing in a text can end the line early."""
    return json.dumps(asdict(request)).encode() + b"\n"


def read_request(line: bytes) -> Request:
    """The other side of ``request_line``.

    Raises:
        ValueError, TypeError: the line is no request.
    """
    return Request(**json.loads(line))


class Frames:
    """Cuts frames out of bytes as they come.

    Raises:
        ValueError: from ``feed``, when the bytes are not frames.
    """

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Kind and payload of every frame that is complete now."""
        self._held += data
        found = []
        while len(self._held) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._held)
            if kind not in KINDS or length > LONGEST_FRAME_BYTES:
                raise ValueError("not a frame")
            end = HEADER.size + length
            if len(self._held) < end:
                break
            found.append((kind, bytes(self._held[HEADER.size : end])))
            del self._held[:end]
        return found
