"""A film as an MP4 file: the station's own picture and sound encoders, and the file around them.

Behind the mixer where nothing goes on air. Picture 0 and sample 0 begin at the same moment: what
the sound encoder looks back on lies before it, under the file's edit list. The index stands in
front of the media, so that a browser can begin before it has all. Must never leave a time to
chance: every timestamp is a picture's or a sample's number.
"""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from broadcaster.codec.aac import ENCODER_LAG_SLOTS, SoundEncoder
from broadcaster.codec.nal import to_annexb
from broadcaster.codec.x264 import PictureEncoder
from broadcaster.errors import EncodeError
from broadcaster.formats import AAC_FRAME_SAMPLES, AUDIO_CHANNELS, EncodeFormat
from broadcaster.timeline.grid import on_grid


class Mp4Writer:
    """Writes one film, tick by tick; ``finish`` makes it whole, without it nothing is playable.

    Args:
        path: is written over.
        fmt: of picture and sound.

    Raises:
        EncodeError: the file cannot be made, or an encoder does not open.
    """

    def __init__(self, path: Path, fmt: EncodeFormat) -> None:
        self._fmt = fmt
        self._ticks = self._slots = 0
        self._unheard = np.zeros((AUDIO_CHANNELS, 0), np.float32)
        try:
            # Edit lists count in the film's own unit: a sample, so that both lengths are exact.
            options = {
                "movflags": "+faststart",
                "movie_timescale": str(fmt.audio.sample_rate),
            }
            self._file = av.open(str(path), "w", format="mp4", options=options)
        except (av.FFmpegError, OSError) as error:
            raise _unwritable(error) from error
        # The encoders' own contexts are the streams': so their headers are the file's.
        self._video = self._file.add_stream("libx264")
        self._audio = self._file.add_stream("aac")
        self._picture_encoder = PictureEncoder(fmt, context=self._video.codec_context)
        self._sound_encoder = SoundEncoder(fmt.audio, self._audio.codec_context)

    def write(self, picture: NDArray[np.uint8], sound: NDArray[np.float32]) -> None:
        """The next tick.

        Args:
            picture: I420 of shape (height * 3 / 2, width).
            sound: float32 of shape (2, samples per tick), full scale +-1.

        Raises:
            EncodeError: an encoder failed, or the disk is full.
        """
        tick = self._ticks
        key = on_grid(tick, self._fmt.gop_ticks)
        coded = self._picture_encoder.encode(picture, tick, force_idr=key)
        packet = av.Packet(to_annexb(coded.payload))
        packet.stream, packet.is_keyframe = self._video, coded.is_idr
        packet.pts = packet.dts = tick
        packet.duration, packet.time_base = 1, Fraction(1, self._fmt.video.fps)
        self._mux(packet)
        self._ticks = tick + 1
        self._unheard = np.concatenate([self._unheard, sound], axis=1)
        self._encode_whole_slots()

    def finish(self) -> None:
        """Write what is left and close the file.

        Raises:
            EncodeError: the disk is full, or the encoder failed.
        """
        rest = -self._unheard.shape[1] % AAC_FRAME_SAMPLES
        silence = rest + (ENCODER_LAG_SLOTS - 1) * AAC_FRAME_SAMPLES
        tail = np.zeros((AUDIO_CHANNELS, silence), np.float32)
        self._unheard = np.concatenate([self._unheard, tail], axis=1)
        self._encode_whole_slots()
        try:
            self._file.close()
        except (av.FFmpegError, OSError) as error:
            raise _unwritable(error) from error

    def abandon(self) -> None:
        """Let go of the file, whatever is in it; after ``finish`` it does nothing."""
        with contextlib.suppress(av.FFmpegError, OSError):
            self._file.close()

    def _encode_whole_slots(self) -> None:
        while self._unheard.shape[1] >= AAC_FRAME_SAMPLES:
            block = self._unheard[:, :AAC_FRAME_SAMPLES]
            self._unheard = self._unheard[:, AAC_FRAME_SAMPLES:]
            for coded in self._sound_encoder.encode(block, self._slots):
                self._mux_sound(coded.slot * AAC_FRAME_SAMPLES, coded.payload)
            self._slots += 1

    def _mux_sound(self, first_sample: int, payload: bytes) -> None:
        """The last packet lasts as long as the picture; later ones hold nothing but the lag."""
        lasts = min(AAC_FRAME_SAMPLES, self._ticks * self._fmt.samples_per_tick - first_sample)
        if lasts <= 0:
            return
        packet = av.Packet(payload)
        packet.stream = self._audio
        packet.pts = packet.dts = first_sample
        packet.duration, packet.time_base = lasts, Fraction(1, self._fmt.audio.sample_rate)
        self._mux(packet)

    def _mux(self, packet: av.Packet[Any]) -> None:
        try:
            self._file.mux(packet)
        except (av.FFmpegError, OSError) as error:
            raise _unwritable(error) from error


def _unwritable(error: Exception) -> EncodeError:
    return EncodeError(f"the film cannot be written: {getattr(error, 'strerror', None) or error}")
