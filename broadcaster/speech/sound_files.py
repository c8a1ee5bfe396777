"""The two files a task's sound becomes: s16le stereo for the air, 16 kHz mono for the models.

Both come from the same decoded floats with the same gain, block by block, so that half an hour of
sound needs no more memory than a second. A file under its own name is whole.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soxr
from numpy.typing import NDArray

from broadcaster.formats import AUDIO_CHANNELS

SAMPLE_BYTES = 2 * AUDIO_CHANNELS
"""One sample of the sound for the air."""

DECODED_BYTES = 4 * AUDIO_CHANNELS
"""One sample of what the decoder writes: interleaved float32."""

MODEL_RATE_HZ = 16_000
"""What speech models listen to."""

_BLOCK = 1 << 18
"""Samples in memory at once: 5 s, 2 MB."""

_LOUDEST = 32767 / 32768
"""The largest s16 value; -1.0 itself exists."""


@dataclass(frozen=True, slots=True)
class SoundFiles:
    """Where a task's sound goes.

    Attributes:
        sound: interleaved s16le stereo at the channel's rate; written last.
        sound_16k: float32 mono at ``MODEL_RATE_HZ``, the same moment at the same second.
    """

    sound: Path
    sound_16k: Path

    def holds(self, samples: int, sample_rate: int) -> bool:
        """Whether both are there, whole, for a sound of so many samples."""
        try:
            return (
                self.sound.stat().st_size == samples * SAMPLE_BYTES
                and self.sound_16k.stat().st_size == 4 * model_samples(samples, sample_rate)
            )
        except FileNotFoundError:
            return False


def model_samples(samples: int, sample_rate: int) -> int:
    """Samples at ``MODEL_RATE_HZ`` of a sound; a last part of one counts as a whole."""
    return -(-samples * MODEL_RATE_HZ // sample_rate)


def count_bad(decoded: Path) -> tuple[int, int]:
    """How many samples are no numbers, and which is the first of them; (0, -1) for none."""
    bad, first, at = 0, -1, 0
    for block in _blocks(decoded):
        wrong = ~np.isfinite(block).all(axis=1)
        number = int(np.count_nonzero(wrong))
        if number and first < 0:
            first = at + int(np.argmax(wrong))
        bad += number
        at += len(block)
    return bad, first


def read_decoded(decoded: Path) -> NDArray[np.float32]:
    """A whole decoded sound as float32 of shape (samples, 2); for short ones."""
    raw = np.fromfile(decoded, "<f4")
    return raw[: len(raw) // AUDIO_CHANNELS * AUDIO_CHANNELS].reshape(-1, AUDIO_CHANNELS)


def write_sound(decoded: Path, files: SoundFiles, sample_rate: int, gain_db: float) -> None:
    """Write both files from interleaved float32 stereo at ``sample_rate``.

    Raises:
        OSError: no space is left, or any other fault of the disk; nothing remains half written.
    """
    gain = np.float32(10 ** (gain_db / 20))
    # Names of their own: an earlier preparation of a task that was given back may still run.
    own = f".{uuid.uuid4().hex}.new"
    air, model = (each.with_name(each.name + own) for each in (files.sound, files.sound_16k))
    try:
        with air.open("wb") as air_file, model.open("wb") as model_file:
            to_16k = _To16k(model_file, sample_rate)
            for block in _blocks(decoded):
                gained = np.clip(block * gain, -1.0, _LOUDEST)
                air_file.write(np.rint(gained * 32768).astype("<i2").tobytes())
                to_16k.write(gained.mean(axis=1, dtype=np.float32))
            to_16k.finish()
            for file in (model_file, air_file):
                file.flush()
                os.fsync(file.fileno())
        model.rename(files.sound_16k)
        air.rename(files.sound)
    finally:
        for left in (air, model):
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)


class _To16k:
    """Resamples blocks as they come; the result is exactly as long as the sound."""

    def __init__(self, file: BinaryIO, sample_rate: int) -> None:
        self._file, self._sample_rate = file, sample_rate
        self._stream = soxr.ResampleStream(sample_rate, MODEL_RATE_HZ, 1, "float32", "HQ")
        self._taken = self._written = 0

    def write(self, mono: NDArray[np.float32]) -> None:
        self._taken += len(mono)
        self._put(self._stream.resample_chunk(mono))

    def finish(self) -> None:
        self._put(self._stream.resample_chunk(np.zeros(0, np.float32), last=True))
        missing = model_samples(self._taken, self._sample_rate) - self._written
        self._file.write(bytes(4 * max(0, missing)))

    def _put(self, resampled: NDArray[np.float32]) -> None:
        due = model_samples(self._taken, self._sample_rate) - self._written
        kept = resampled[:due]
        self._file.write(kept.astype("<f4", copy=False).tobytes())
        self._written += len(kept)


def _blocks(decoded: Path) -> Iterator[NDArray[np.float32]]:
    with decoded.open("rb") as file:
        while raw := file.read(_BLOCK * DECODED_BYTES):
            whole = len(raw) // DECODED_BYTES * DECODED_BYTES
            yield np.frombuffer(raw[:whole], "<f4").reshape(-1, AUDIO_CHANNELS)
