"""The first look at an upload, before it is accepted: what it is, and how long.

Starting FFmpeg takes longer than decoding a few seconds of sound, so a short upload is decoded
whole at this first look, and nothing is left to prepare when its task is taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from broadcaster.errors import MediaError
from broadcaster.speech.command import PROBE_RATE_HZ, measure_command, probe_command
from broadcaster.speech.decode import Decoded, MediaTooLongError, decode_upload
from broadcaster.speech.decoder import DecodeSettings, refusal, run_decoder
from broadcaster.speech.sound_files import SoundFiles

PROBE_TIMEOUT_S = 10.0
"""The first seconds of any sane file are decoded in a tenth of one."""

SHORT_S = 12.0
"""Sound that is decoded at the first look: 0.1 s of CPU, 60 ms of it FFmpeg's start."""

SHORT_BYTES = 8 * 2**20
"""A larger file is longer than that, in any format that people send."""

_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
_REACHED = re.compile(r"^out_time_us=(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Heard:
    """What the first look found.

    Attributes:
        length_s: of the whole sound in seconds; of a long one, as its file claims.
        decoded: the sound where it was short; None where it is still to be decoded.
    """

    length_s: float
    decoded: Decoded | None = None


def hear_upload(
    upload: Path, files: SoundFiles, sample_rate: int, settings: DecodeSettings
) -> Heard:
    """Judge an upload, and decode it where it is short.

    Args:
        upload: what the client sent.
        files: what to write for a short one; nothing is left of them otherwise.
        sample_rate: of the channel, in Hz.
        settings: limits, and the loudness that is wanted.

    Raises:
        MediaError, MediaTooLongError, DecoderMissingError: as ``probe_upload``; for a short one
            also as ``decode_upload``.
        StoreFull, OSError: as ``decode_upload``.
    """
    if upload.stat().st_size > SHORT_BYTES:
        return Heard(probe_upload(upload, settings))
    _refuse_empty(upload)
    short_s = min(SHORT_S, settings.max_sound_s)
    bounded = replace(settings, max_sound_s=short_s, timeout_s=PROBE_TIMEOUT_S)
    try:
        made = decode_upload(upload, files, sample_rate, bounded)
    except MediaTooLongError as longer:
        return Heard(_believed_s(upload, longer.told, short_s + 1, settings))
    return Heard(made.samples / sample_rate, made)


def probe_upload(upload: Path, settings: DecodeSettings) -> float:
    """Decode the first seconds of an upload.

    Returns:
        Seconds of sound in the whole, as the file claims; at least those that were decoded.

    Raises:
        MediaError: empty, undecodable, without sound, or nothing but invalid numbers.
        MediaTooLongError: longer than ``max_sound_s``.
        DecoderMissingError: there is no FFmpeg.
    """
    _refuse_empty(upload)
    limits = settings.limits(PROBE_TIMEOUT_S)
    result = run_decoder(probe_command(settings.ffmpeg, upload, limits), PROBE_TIMEOUT_S)
    samples = np.frombuffer(result.stdout[: len(result.stdout) // 4 * 4], dtype="<f4")
    if samples.size == 0:
        raise MediaError(refusal(result.stderr))
    if not np.isfinite(samples).any():
        raise MediaError("The uploaded sound holds no valid samples.")
    return _believed_s(upload, result.stderr, samples.size / PROBE_RATE_HZ, settings)


def _refuse_empty(upload: Path) -> None:
    if upload.stat().st_size == 0:
        raise MediaError("The uploaded file is empty.")


def _believed_s(upload: Path, told: str, decoded_s: float, settings: DecodeSettings) -> float:
    """The length that is believed of a file: what it claims, where that is not beyond the limit."""
    if decoded_s > settings.max_sound_s:
        raise MediaTooLongError(settings.max_sound_s)
    claimed = _DURATION.search(told)
    claimed_s = _seconds(claimed) if claimed else 0.0
    if claimed_s > settings.max_sound_s:
        claimed_s = _measured_s(upload, settings)
    return max(claimed_s, decoded_s)


def _measured_s(upload: Path, settings: DecodeSettings) -> float:
    """Measure a file whose header claims too much; headers of streamed files are often wrong."""
    command = measure_command(
        settings.ffmpeg, upload, settings.max_sound_s, settings.limits(PROBE_TIMEOUT_S)
    )
    told = run_decoder(command, PROBE_TIMEOUT_S).stdout.decode("ascii", "replace")
    reached = _REACHED.findall(told)
    measured_s = int(reached[-1]) / 1e6 if reached else 0.0
    if measured_s > settings.max_sound_s:
        raise MediaTooLongError(settings.max_sound_s)
    return measured_s


def _seconds(found: re.Match[str]) -> float:
    hours, minutes, seconds = found.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
