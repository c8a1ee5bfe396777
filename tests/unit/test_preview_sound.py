"""AAC becomes Opus without a gap, at the right time, and without losing memory."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from broadcaster.preview.packets import SOUND_RATE, CodedSound
from broadcaster.preview.sound import OPUS_SAMPLES, OpusLine

SLOT = 1024


def aac(seconds: float, rate: int, gap_after: float | None = None) -> Iterator[av.Packet]:
    """AAC as FLV brings it: timestamps in whole milliseconds; a 1 kHz tone left, silence right."""
    encoder = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.format, encoder.layout = rate, "fltp", "stereo"
    encoder.time_base = Fraction(1, rate)
    encoder.open()
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = encoder.extradata
    for number in range(int(seconds * rate / SLOT)):
        at = (number * SLOT + np.arange(SLOT)) / rate
        tone = np.stack([0.5 * np.sin(2 * np.pi * 1000 * at), 0 * at]).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(tone, "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, number * SLOT, Fraction(1, rate)
        for packet in encoder.encode(frame):
            late = 0.5 if gap_after is not None and number * SLOT / rate > gap_after else 0.0
            made = av.Packet(bytes(packet))
            made.pts = made.dts = round(((packet.pts or 0) / rate + late) * 1000)
            made.time_base = Fraction(1, 1000)
            yield Decodable(made, decoder)


class Decodable:
    """A packet that decodes as one of an open stream does."""

    def __init__(self, packet: av.Packet, decoder: av.CodecContext) -> None:
        self._packet, self._decoder = packet, decoder

    def decode(self) -> list[av.AudioFrame]:
        frames = self._decoder.decode(self._packet)
        for frame in frames:
            frame.pts, frame.time_base = self._packet.pts, Fraction(1, 1000)
        return frames


def transcoded(packets: Iterator[av.Packet]) -> list[CodedSound]:
    line = OpusLine()
    return [sound for packet in packets for sound in line.feed(packet)]


@pytest.mark.parametrize("rate", [48000, 44100])
def test_every_packet_is_twenty_milliseconds_after_the_last(rate: int) -> None:
    found = transcoded(aac(5, rate))
    assert {b.pts - a.pts for a, b in pairwise(found)} == {OPUS_SAMPLES}
    assert 4.8 < len(found) * 0.02 < 5.1


def test_missing_sound_moves_the_time_and_breaks_nothing() -> None:
    found = transcoded(aac(4, 48000, gap_after=2))
    steps = [b.pts - a.pts for a, b in pairwise(found)]
    odd = [step for step in steps if step != OPUS_SAMPLES]
    assert len(odd) == 1
    assert abs(odd[0] / SOUND_RATE - 0.52) < 0.05


def test_the_tone_is_heard_on_its_side() -> None:
    decoder = av.CodecContext.create("libopus", "r")
    decoder.format, decoder.layout, decoder.sample_rate = "s16", "stereo", SOUND_RATE
    heard = [
        frame.to_ndarray().reshape(-1, 2)
        for sound in transcoded(aac(3, 44100))
        for frame in decoder.decode(av.Packet(sound.payload))
    ]
    samples = np.concatenate(heard)[SOUND_RATE // 2 :] / 32768
    spectrum = np.abs(np.fft.rfft(samples[:SOUND_RATE, 0]))
    assert abs(int(np.argmax(spectrum)) - 1000) <= 2
    left, right = np.sqrt(np.mean(samples**2, axis=0))
    assert 0.3 < left < 0.4
    assert right < 0.01
