"""Values that travel along the whole signal path: picture and sound formats, packets.

Values only: nothing here opens, reads a clock or imports a codec. What is made at every tick is a
named tuple: a frozen dataclass costs four times as much to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

AAC_FRAME_SAMPLES = 1024
"""Samples of one AAC-LC frame (ISO/IEC 14496-3); the unit of the sound's packet grid."""

AUDIO_CHANNELS = 2
"""The air is always stereo; mono sources are doubled at the door."""


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """The picture of a channel: I420, progressive, constant frame rate."""

    width: int
    height: int
    fps: int

    @property
    def i420_shape(self) -> tuple[int, int]:
        """Rows and columns of a picture as one ``uint8`` plane stack: (height * 3 / 2, width)."""
        return self.height * 3 // 2, self.width

    @property
    def i420_bytes(self) -> int:
        """Bytes of one I420 picture."""
        return self.width * self.height * 3 // 2


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """The sound of a channel: stereo float32 PCM inside, AAC-LC outside."""

    sample_rate: int
    bitrate_bps: int


@dataclass(frozen=True, slots=True)
class EncodeFormat:
    """Everything that decides the bytes of a channel: one encode per channel uses one of these.

    ``gop_ticks`` is the distance of the IDR grid; ``bitrate_bps`` is the cap (maxrate and buffer).
    """

    video: VideoFormat
    audio: AudioFormat
    gop_ticks: int
    bitrate_bps: int
    preset: str

    @property
    def samples_per_tick(self) -> int:
        """Sound samples that belong to one picture; whole by construction of the settings."""
        return self.audio.sample_rate // self.video.fps


class VideoPacket(NamedTuple):
    """One coded picture in AVCC form (4-byte lengths, slices only), for one tick."""

    tick: int
    payload: bytes | memoryview
    is_idr: bool


class AudioPacket(NamedTuple):
    """One raw AAC frame; ``slot`` counts 1024-sample frames from the channel's first sample."""

    slot: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class StreamHeaders:
    """What a decoder needs before the first packet.

    ``avc_config`` is an AVCDecoderConfigurationRecord (ISO/IEC 14496-15), ``aac_config`` an
    AudioSpecificConfig (ISO/IEC 14496-3).
    """

    avc_config: bytes
    aac_config: bytes


class AirTick(NamedTuple):
    """What one tick puts on the wire: its coded picture and the sound packets that are due."""

    tick: int
    video: VideoPacket
    audio: tuple[AudioPacket, ...]
    idle: bool
    """True while only idle is on air: the only time at which a planned rollover may happen."""


TASK_ENDINGS = frozenset({"done", "interrupted", "failed"})
"""The events by which playout says that a task has ended on air; the last one told of each task."""
