"""What goes to the viewers: coded pictures and sound, ready to be put into RTP. Values only."""

from __future__ import annotations

from dataclasses import dataclass

VIDEO_RATE = 90_000
"""RTP clock of every video codec (RFC 6184)."""

SOUND_RATE = 48_000
"""RTP clock of Opus (RFC 7587)."""


@dataclass(frozen=True, slots=True)
class CodedPicture:
    """One H.264 access unit with start codes; ``pts`` in 1/90000 s. An IDR carries SPS and PPS."""

    pts: int
    payload: bytes
    is_idr: bool


@dataclass(frozen=True, slots=True)
class CodedSound:
    """One Opus packet of 20 ms; ``pts`` in 1/48000 s."""

    pts: int
    payload: bytes
