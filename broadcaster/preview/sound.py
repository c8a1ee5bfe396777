"""AAC to Opus, once per channel, however many watch: decode, resample to 48 kHz, encode 20 ms.

In the source's thread. Sound is counted in samples from where it began, so that the rounding of
FLV's timestamps (1 ms) never becomes a gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.codeccontext import AudioCodecContext

from broadcaster.preview.packets import SOUND_RATE, CodedSound

OPUS_SAMPLES = 960
"""20 ms, what every browser expects."""

OPUS_BPS = 96_000
"""Transparent for stereo speech with music behind it; half a per cent of a core to encode."""

GAP_S = 0.06
"""Timestamps this far from the count mean that sound was lost: the count follows them."""


class OpusLine:
    """One stream's transcoder; timestamps are those of the source, in 1/48000 s."""

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "w")
        assert isinstance(context, AudioCodecContext)
        context.sample_rate, context.format, context.layout = SOUND_RATE, "flt", "stereo"
        context.bit_rate, context.time_base = OPUS_BPS, Fraction(1, SOUND_RATE)
        context.options = {"application": "audio", "frame_duration": "20"}
        context.open()
        self._encoder = context
        self._resampler = av.AudioResampler("flt", "stereo", SOUND_RATE, OPUS_SAMPLES)
        self._start: int | None = None
        self._taken = 0
        self._given = 0

    def feed(self, packet: av.Packet[av.AudioStream]) -> Iterator[CodedSound]:
        """Decode one AAC packet of an open stream and give what it completes.

        Raises:
            av.FFmpegError: the packet is damaged, or the encoder failed.
        """
        for frame in packet.decode():
            self._follow(frame)
            frame.pts = None
            for chunk in self._resampler.resample(frame):
                assert self._start is not None
                chunk.pts, chunk.time_base = self._start + self._given, Fraction(1, SOUND_RATE)
                self._given += chunk.samples
                for coded in self._encoder.encode(chunk):
                    # The encoder's own delay is already taken off its timestamps.
                    yield CodedSound(coded.pts or 0, bytes(coded))

    def _follow(self, frame: av.AudioFrame) -> None:
        """Begin the count, or move it where sound is missing in the source."""
        if frame.pts is not None and frame.time_base is not None:
            at = round(frame.pts * frame.time_base * SOUND_RATE)
            if self._start is None or abs(at - self._start - self._taken) > GAP_S * SOUND_RATE:
                self._start = at - self._taken
        elif self._start is None:
            self._start = 0
        self._taken += round(frame.samples * SOUND_RATE / frame.sample_rate)
