"""The child that touches uploads: FFmpeg with limits on memory, CPU, file size and time.

The child is killed with its parent. Whatever it says becomes one sentence that a client can read,
without any path.
"""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass

from broadcaster.errors import MediaError, SourceError
from broadcaster.processes import kill_group, start_child
from broadcaster.settings.model import SettingsModel
from broadcaster.speech.command import ChildLimits

_NOT_STARTED = frozenset({125, 126, 127})
"""What ``nice`` and ``prlimit`` exit with when the program cannot be run."""


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


def decode_settings(settings: SettingsModel) -> DecodeSettings:
    """The limits of the decoding child, from the station's settings."""
    return DecodeSettings(
        ffmpeg=settings.push.ffmpeg,
        memory_mb=settings.speech.decode_memory_mb,
        timeout_s=settings.speech.decode_timeout_s,
        max_sound_s=settings.api.max_sound_s,
        loudness_lufs=settings.speech.loudness_lufs if settings.speech.normalise else None,
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a child ended, and what it said."""

    returncode: int
    stdout: bytes
    stderr: str


def run_decoder(command: list[str], timeout_s: float) -> Outcome:
    """Run one to its end.

    Raises:
        MediaError: it took longer than ``timeout_s``, by the clock or in CPU time.
        DecoderMissingError: there is no FFmpeg.
    """
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
    return Outcome(child.returncode, stdout, stderr.decode("utf-8", "replace"))


def refusal(stderr: str) -> str:
    """One clear sentence from FFmpeg's complaints, without any path."""
    if "matches no streams" in stderr:
        return "The uploaded file has no sound."
    if "Input #0" in stderr:
        return "The uploaded file holds no sound that can be decoded."
    return "The uploaded file is not sound in a format that can be decoded."
