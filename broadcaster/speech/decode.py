"""Decoding uploads in a child with limits on memory, CPU, file size and time.

The child is killed with its parent. Must never raise anything but a sentence that a client can
read: what a file is worth is decided here.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
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

PROBE_TIMEOUT_S = 10.0
"""The first two seconds of any sane file are decoded in a tenth of one."""

SAMPLE_BYTES = 4
"""One stereo sample of the sound file."""

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
    """How uploads are decoded: the FFmpeg binary and what its child may use."""

    ffmpeg: str
    memory_mb: int
    timeout_s: float
    max_sound_s: float

    def limits(self, timeout_s: float, file_bytes: int = 0) -> ChildLimits:
        """Limits for one child."""
        return ChildLimits(self.memory_mb, timeout_s, file_bytes)


def probe_upload(upload: Path, settings: DecodeSettings) -> float:
    """Decode the first seconds of an upload.

    Returns:
        Seconds of sound found in them, > 0.

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
    if claimed and _seconds(claimed) > settings.max_sound_s:
        _check_length(upload, settings)
    return float(samples.size / PROBE_RATE_HZ)


def decode_upload(upload: Path, sound: Path, sample_rate: int, settings: DecodeSettings) -> int:
    """Decode a whole upload to ``sound``, interleaved s16le stereo; whole or not at all.

    Returns:
        Samples per channel, > 0.

    Raises:
        MediaError: undecodable, or not decoded in time.
        MediaTooLongError: longer than ``max_sound_s``.
        StoreFull: no space is left for the sound.
    """
    part = sound.with_suffix(".part")
    try:
        result = _decode(DecodeJob(upload, part, sample_rate, settings.max_sound_s), settings)
        if "No space left" in result.stderr or "Disk quota" in result.stderr:
            raise StoreFull("no space left for the decoded sound")
        samples = part.stat().st_size // SAMPLE_BYTES if part.exists() else 0
        if samples == 0 or result.returncode != 0:
            raise MediaError(_refusal(result.stderr))
        if samples > settings.max_sound_s * sample_rate:
            raise _too_long(settings)
        _settle(part, sound)
        return samples
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _decode(job: DecodeJob, settings: DecodeSettings) -> _Result:
    limit_bytes = int((settings.max_sound_s + 2) * job.sample_rate) * SAMPLE_BYTES
    limits = settings.limits(settings.timeout_s, limit_bytes)
    result = _run(decode_command(settings.ffmpeg, job, limits), settings.timeout_s)
    if "resampling engine is unavailable" in result.stderr:
        plain = replace(job, resampler="swr")
        result = _run(decode_command(settings.ffmpeg, plain, limits), settings.timeout_s)
    return result


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


def _check_length(upload: Path, settings: DecodeSettings) -> None:
    """Measure a file whose header claims too much; headers of streamed files are often wrong."""
    command = measure_command(
        settings.ffmpeg, upload, settings.max_sound_s, settings.limits(PROBE_TIMEOUT_S)
    )
    reached = _REACHED.findall(_run(command, PROBE_TIMEOUT_S).stdout.decode("ascii", "replace"))
    if reached and int(reached[-1]) / 1e6 > settings.max_sound_s:
        raise _too_long(settings)


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


def _settle(part: Path, sound: Path) -> None:
    """Rename once the bytes are on the disk: a sound file that exists is whole."""
    descriptor = os.open(part, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.rename(sound)
