"""Decoding uploads to the files that a task's sound is read from; whole or not at all.

Must never raise anything but a sentence that a client can read: what a file is worth is decided
here and in ``probe``.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from broadcaster.errors import MediaError, StoreFull
from broadcaster.speech.command import DecodeJob, decode_command
from broadcaster.speech.decoder import DecodeSettings, Outcome, refusal, run_decoder
from broadcaster.speech.loudness import BLOCK_S, gain_for, loudness_of_short, read_summary
from broadcaster.speech.sound_files import (
    DECODED_BYTES,
    SoundFiles,
    count_bad,
    read_decoded,
    write_sound,
)

MOST_BAD_SAMPLES = 0.1
"""Part of a sound that may be no numbers and is silenced; with more it is not fit for air."""


class MediaTooLongError(MediaError):
    """The sound is longer than is allowed.

    Attributes:
        told: what the decoder said of the file; empty where it was not decoded.
    """

    def __init__(self, limit_s: float, told: str = "") -> None:
        super().__init__(f"The sound is longer than {limit_s:g} s.")
        self.told = told


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded sound: samples per channel, > 0, and the gain they were given."""

    samples: int
    gain_db: float


def decode_upload(
    upload: Path,
    files: SoundFiles,
    sample_rate: int,
    settings: DecodeSettings,
    gain_db: float | None = None,
) -> Decoded:
    """Decode a whole upload to its sound files; whole or not at all.

    Args:
        upload: what the client sent.
        files: what to write.
        sample_rate: of the channel, in Hz.
        settings: limits, and the loudness that is wanted.
        gain_db: of an earlier decoding of the same upload; None measures it.

    Raises:
        MediaError: undecodable, mostly invalid numbers, or not decoded in time.
        MediaTooLongError: longer than ``max_sound_s``.
        StoreFull: no space is left for what is decoded.
        OSError: no space is left for the sound files, or another fault of the disk.
    """
    # A name of its own: an earlier decoding of a task that was given back may still run.
    part = files.sound.with_name(f"decoded-{uuid.uuid4().hex}.part")
    wanted = settings.loudness_lufs is not None and gain_db is None
    job = DecodeJob(upload, part, sample_rate, settings.max_sound_s, measure=wanted)
    try:
        result = _decode(job, settings)
        bad, first = count_bad(part)
        if bad:
            _refuse_mostly_bad(bad, first, part, sample_rate)
        if _samples(part) > settings.max_sound_s * sample_rate:
            raise MediaTooLongError(settings.max_sound_s, result.stderr)
        if bad:
            result = _decode(replace(job, clean=True), settings)
        if gain_db is None:
            gain_db = _gain_db(part, result.stderr, sample_rate, settings.loudness_lufs)
        write_sound(part, files, sample_rate, gain_db)
        return Decoded(_samples(part), gain_db)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _decode(job: DecodeJob, settings: DecodeSettings) -> Outcome:
    """Run the decoder; there is a sound afterwards, which may be longer than the limit."""
    limit_bytes = int((settings.max_sound_s + 2) * job.sample_rate) * DECODED_BYTES
    limits = settings.limits(settings.timeout_s, limit_bytes)
    result = run_decoder(decode_command(settings.ffmpeg, job, limits), settings.timeout_s)
    if "resampling engine is unavailable" in result.stderr:
        plain = replace(job, resampler="swr")
        result = run_decoder(decode_command(settings.ffmpeg, plain, limits), settings.timeout_s)
    if "No space left" in result.stderr or "Disk quota" in result.stderr:
        raise StoreFull("no space left for the decoded sound")
    if result.returncode != 0 or not job.decoded.exists() or not _samples(job.decoded):
        raise MediaError(refusal(result.stderr))
    return result


def _samples(part: Path) -> int:
    return part.stat().st_size // DECODED_BYTES


def _gain_db(part: Path, told: str, sample_rate: int, target_lufs: float | None) -> float:
    if target_lufs is None:
        return 0.0
    loudness = read_summary(told)
    if loudness is None:
        return 0.0
    if part.stat().st_size < BLOCK_S * sample_rate * DECODED_BYTES:
        short = read_decoded(part)
        loudness = loudness_of_short(short, sample_rate, loudness.true_peak_db)
    return gain_for(loudness, target_lufs)


def _refuse_mostly_bad(bad: int, first: int, part: Path, sample_rate: int) -> None:
    if bad > MOST_BAD_SAMPLES * _samples(part):
        since = f" from {first / sample_rate:.1f} s on" if first else ""
        raise MediaError(f"The uploaded sound holds no valid samples{since}.")
