"""Decoding uploads in a child with limits on memory, CPU, file size and time.

The child is killed with its parent. Must never raise anything but a sentence that a client can
read: what a file is worth is decided here.
"""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from broadcaster.errors import MediaError, SourceError, StoreFull
from broadcaster.processes import kill_group, start_child
from broadcaster.speech.command import (
    PROBE_RATE_HZ,
    ChildLimits,
    DecodeJob,
    decode_command,
    measure_command,
    probe_command,
)
from broadcaster.speech.loudness import BLOCK_S, gain_for, loudness_of_short, read_summary
from broadcaster.speech.sound_files import (
    DECODED_BYTES,
    SoundFiles,
    count_bad,
    read_decoded,
    write_sound,
)

PROBE_TIMEOUT_S = 10.0
"""The first two seconds of any sane file are decoded in a tenth of one."""

MOST_BAD_SAMPLES = 0.1
"""Part of a sound that may be no numbers and is silenced; with more it is not fit for air."""

_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
_REACHED = re.compile(r"^out_time_us=(\d+)$", re.MULTILINE)
_NOT_STARTED = frozenset({125, 126, 127})
"""What ``nice`` and ``prlimit`` exit with when the program cannot be run."""


class MediaTooLongError(MediaError):
    """The sound is longer than the station allows."""


class DecoderMissingError(SourceError):
    """The station's own decoder cannot be started: nothing the client could mend."""


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """How uploads are decoded: the FFmpeg binary, what its child may use, how loud it becomes.

    ``loudness_lufs`` None leaves every sound as loud as it came.
    """

    ffmpeg: str
    memory_mb: int
    timeout_s: float
    max_sound_s: float
    loudness_lufs: float | None = None

    def limits(self, timeout_s: float, file_bytes: int = 0) -> ChildLimits:
        """Limits for one child."""
        return ChildLimits(self.memory_mb, timeout_s, file_bytes)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded sound: samples per channel, > 0, and the gain they were given."""

    samples: int
    gain_db: float


def probe_upload(upload: Path, settings: DecodeSettings) -> float:
    """Decode the first seconds of an upload.

    Returns:
        Seconds of sound in the whole, as the file claims; at least those that were decoded.

    Raises:
        MediaError: empty, undecodable, without sound, or nothing but invalid numbers.
        MediaTooLongError: longer than ``max_sound_s``.
        DecoderMissingError: there is no FFmpeg.
    """
    if upload.stat().st_size == 0:
        raise MediaError("The uploaded file is empty.")
    limits = settings.limits(PROBE_TIMEOUT_S)
    result = _run(probe_command(settings.ffmpeg, upload, limits), PROBE_TIMEOUT_S)
    samples = np.frombuffer(result.stdout[: len(result.stdout) // 4 * 4], dtype="<f4")
    if samples.size == 0:
        raise MediaError(_refusal(result.stderr))
    if not np.isfinite(samples).any():
        raise MediaError("The uploaded sound holds no valid samples.")
    claimed = _DURATION.search(result.stderr)
    claimed_s = _seconds(claimed) if claimed else 0.0
    if claimed_s > settings.max_sound_s:
        claimed_s = _measured_s(upload, settings)
    return max(claimed_s, samples.size / PROBE_RATE_HZ)


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
            result = _decode(replace(job, clean=True), settings)
        if gain_db is None:
            gain_db = _gain_db(part, result.stderr, sample_rate, settings.loudness_lufs)
        write_sound(part, files, sample_rate, gain_db)
        return Decoded(part.stat().st_size // DECODED_BYTES, gain_db)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _decode(job: DecodeJob, settings: DecodeSettings) -> _Result:
    """Run the decoder; there is a whole sound within the limits afterwards."""
    limit_bytes = int((settings.max_sound_s + 2) * job.sample_rate) * DECODED_BYTES
    limits = settings.limits(settings.timeout_s, limit_bytes)
    result = _run(decode_command(settings.ffmpeg, job, limits), settings.timeout_s)
    if "resampling engine is unavailable" in result.stderr:
        plain = replace(job, resampler="swr")
        result = _run(decode_command(settings.ffmpeg, plain, limits), settings.timeout_s)
    if "No space left" in result.stderr or "Disk quota" in result.stderr:
        raise StoreFull("no space left for the decoded sound")
    samples = job.decoded.stat().st_size // DECODED_BYTES if job.decoded.exists() else 0
    if samples == 0 or result.returncode != 0:
        raise MediaError(_refusal(result.stderr))
    if samples > settings.max_sound_s * job.sample_rate:
        raise _too_long(settings)
    return result


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
    if bad > MOST_BAD_SAMPLES * (part.stat().st_size // DECODED_BYTES):
        raise MediaError(
            f"The uploaded sound holds no valid samples from {first / sample_rate:.1f} s on."
        )


@dataclass(frozen=True, slots=True)
class _Result:
    returncode: int
    stdout: bytes
    stderr: str


def _run(command: list[str], timeout_s: float) -> _Result:
    try:
        child = start_child(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        raise DecoderMissingError("the decoder cannot be started") from error
    try:
        stdout, stderr = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise MediaError(f"Decoding took longer than {timeout_s:g} s.") from error
    finally:
        if child.poll() is None:
            kill_group(child.pid)
            child.communicate()
    if child.returncode == -signal.SIGXCPU or b"received signal 24" in stderr:
        raise MediaError(f"Decoding took longer than {timeout_s:g} s.")
    if child.returncode in _NOT_STARTED:
        raise DecoderMissingError("the decoder cannot be started")
    return _Result(child.returncode, stdout, stderr.decode("utf-8", "replace"))


def _measured_s(upload: Path, settings: DecodeSettings) -> float:
    """Measure a file whose header claims too much; headers of streamed files are often wrong."""
    command = measure_command(
        settings.ffmpeg, upload, settings.max_sound_s, settings.limits(PROBE_TIMEOUT_S)
    )
    reached = _REACHED.findall(_run(command, PROBE_TIMEOUT_S).stdout.decode("ascii", "replace"))
    measured_s = int(reached[-1]) / 1e6 if reached else 0.0
    if measured_s > settings.max_sound_s:
        raise _too_long(settings)
    return measured_s


def _too_long(settings: DecodeSettings) -> MediaTooLongError:
    return MediaTooLongError(f"The sound is longer than {settings.max_sound_s:g} s.")


def _seconds(found: re.Match[str]) -> float:
    hours, minutes, seconds = found.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _refusal(stderr: str) -> str:
    """One clear sentence from FFmpeg's complaints, without any path."""
    if "matches no streams" in stderr:
        return "The uploaded file has no sound."
    if "Input #0" in stderr:
        return "The uploaded file holds no sound that can be decoded."
    return "The uploaded file is not sound in a format that can be decoded."
