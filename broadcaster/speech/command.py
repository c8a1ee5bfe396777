"""Command lines of the children that touch uploads: pure functions.

An upload is always ``file:`` + a path of ours, FFmpeg may open nothing but files and pipes, and
only formats that hold their own sound: no playlist, no concat script, no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROBE_S = 2
"""Sound decoded before an upload is accepted: enough to meet a real frame in every format."""

PROBE_RATE_HZ = 48_000
PROBE_BYTES = PROBE_S * PROBE_RATE_HZ * 4
"""One channel of float32: where NaN and infinity can still be seen."""

FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,matroska,webm,mov,mp3,mpeg,mpegts,"
    "ogg,tta,w64,wav,wv"
)
"""Demuxers that read one self-contained file. Playlists (hls, concat, dash) could name others."""

STEREO = "pan=stereo|FL<FL+FC+0.7BL+0.7SL|FR<FR+FC+0.7BR+0.7SR"
"""Any layout to stereo. FFmpeg's own ``-ac 2`` takes 3 dB off mono; this takes nothing."""

MEASURE = "ebur128=peak=true:framelog=verbose"
"""Integrated loudness and true peak, told at the end: 40 ms for 10 s of sound."""

CLEAN = r"aeval=exprs='if(lt(abs(val(ch))\,1000)\,val(ch)\,0)':channel_layout=same"
"""Silence instead of NaN, infinity and 60 dB over full scale; before any filter smears it."""


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What a decoding child may use.

    ``timeout_s`` bounds CPU seconds here and wall seconds in the caller; ``file_bytes`` is the
    largest file it may write.
    """

    memory_mb: int
    timeout_s: float
    file_bytes: int


def probe_command(ffmpeg: str, upload: Path, limits: ChildLimits) -> list[str]:
    """Decode the first seconds to mono float32 on stdout; what the file is goes to stderr."""
    return [
        *_limited(limits),
        *_input(ffmpeg, upload),
        *("-map", "0:a:0", "-t", str(PROBE_S), "-ac", "1", "-ar", str(PROBE_RATE_HZ)),
        *("-f", "f32le", "-fs", str(PROBE_BYTES), "pipe:1"),
    ]


def measure_command(ffmpeg: str, upload: Path, limit_s: float, limits: ChildLimits) -> list[str]:
    """Read the sound's packets without decoding; progress lines with the end time on stdout."""
    return [
        *_limited(limits),
        *_input(ffmpeg, upload),
        *("-map", "0:a:0", "-c", "copy", "-t", f"{limit_s + 1:g}"),
        *("-f", "null", "-progress", "pipe:1", "-"),
    ]


@dataclass(frozen=True, slots=True)
class DecodeJob:
    """What to decode, and to what.

    ``resampler`` is FFmpeg's name of the engine; ``measure`` prints loudness and true peak at the
    end; ``clean`` silences samples that are no numbers, at twice the cost.
    """

    upload: Path
    decoded: Path
    sample_rate: int
    limit_s: float
    resampler: str = "soxr"
    measure: bool = True
    clean: bool = False


def decode_command(ffmpeg: str, job: DecodeJob, limits: ChildLimits) -> list[str]:
    """Decode the whole upload to interleaved f32le stereo, one second over the limit at most."""
    filters = [
        *([CLEAN] if job.clean else []),
        f"aresample={job.sample_rate}:resampler={job.resampler}",
        STEREO,
        *([MEASURE] if job.measure else []),
    ]
    return [
        *_limited(limits),
        *_input(ffmpeg, job.upload),
        *("-map", "0:a:0", "-t", f"{job.limit_s + 1:g}"),
        *("-af", ",".join(filters), "-ar", str(job.sample_rate)),
        *("-f", "f32le", "-y", f"file:{job.decoded}"),
    ]


def _limited(limits: ChildLimits) -> list[str]:
    """Nice 10: decoding gives way to the playout."""
    return [
        *("nice", "-n", "10", "prlimit"),
        f"--as={limits.memory_mb * 1024 * 1024}",
        f"--cpu={max(1, round(limits.timeout_s))}",
        f"--fsize={limits.file_bytes}",
        "--core=0",
    ]


def _input(ffmpeg: str, upload: Path) -> list[str]:
    return [
        *(ffmpeg, "-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info"),
        *("-threads", "1", "-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS),
        *("-vn", "-sn", "-dn", "-i", f"file:{upload}"),
    ]
