"""A user's clip as the channel's pictures and sound: decoded by FFmpeg in a child, to a raw file.

Any size, rate, with or without sound. FFmpeg does the scaling and the rate; which pictures make
the loop is decided here.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from broadcaster.errors import MediaError
from broadcaster.formats import AUDIO_CHANNELS, EncodeFormat, VideoFormat
from broadcaster.processes import start_child
from broadcaster.settings.model import IdleClip

SEAM_FADE_S = 0.01
"""Fade at both ends of a clip's sound, so that its loop does not click."""

_STDERR_TAIL = 300

_NO_STREAM = "does not contain any stream"
"""FFmpeg's complaint about an optional stream that is not there: a clip without sound."""


def picture_filter(video: VideoFormat, fit: str) -> str:
    """The filter chain that brings any picture to the channel's size and rate, BT.709."""
    size = f"{video.width}:{video.height}"
    if fit == "crop":
        shape = (
            f"scale={size}:force_original_aspect_ratio=increase:out_color_matrix=bt709,crop={size}"
        )
    else:
        shape = (
            f"scale={size}:force_original_aspect_ratio=decrease:force_divisible_by=2"
            f":out_color_matrix=bt709,pad={size}:(ow-iw)/2:(oh-ih)/2"
        )
    return f"fps={video.fps},{shape},setsar=1,format=yuv420p"


def _ffmpeg(ffmpeg: str, clip: Path, limit_s: float, tail: list[str]) -> list[str]:
    return [
        ffmpeg, "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe",
        "-t", f"{limit_s:.3f}", "-i", str(clip), *tail,
    ]  # fmt: skip


def picture_command(ffmpeg: str, clip: IdleClip, video: VideoFormat, limit_s: float) -> list[str]:
    """FFmpeg's arguments that write the clip's pictures, raw I420, to standard output."""
    chain = picture_filter(video, clip.fit)
    return _ffmpeg(
        ffmpeg, clip.path, limit_s, ["-map", "0:v:0", "-vf", chain, "-f", "rawvideo", "pipe:1"]
    )


def sound_command(ffmpeg: str, clip: IdleClip, rate: int, limit_s: float) -> list[str]:
    """FFmpeg's arguments that write the clip's sound, float32 stereo, to standard output."""
    shape = [
        "-map",
        "0:a:0?",
        "-af",
        "aresample=async=1:first_pts=0",  # sound that begins after the picture begins late here too
        "-ac",
        str(AUDIO_CHANNELS),
        "-ar",
        str(rate),
        "-f",
        "f32le",
        "pipe:1",
    ]
    return _ffmpeg(ffmpeg, clip.path, limit_s, shape)


def loop_order(pictures: int, mode: str, gop_ticks: int) -> NDArray[np.int64]:
    """Which pictures of a clip make its loop: a whole number of GOPs.

    ``loop`` plays forward and is cut to a whole number of GOPs (a shorter clip is repeated to one).
    ``pingpong`` goes there and back without showing either end twice, so a loop of N ticks needs
    N / 2 + 1 pictures.
    """
    if mode == "pingpong" and pictures >= gop_ticks // 2 + 2:
        ticks = (2 * (pictures - 1)) // gop_ticks * gop_ticks
        ticks -= gop_ticks if ticks % 2 else 0
        if ticks:
            there = np.arange(ticks // 2 + 1)
            return np.concatenate([there, there[-2:0:-1]])
    ticks = max(gop_ticks, pictures // gop_ticks * gop_ticks)
    return np.arange(ticks) % pictures


@dataclass(frozen=True, slots=True)
class RawClip:
    """A decoded clip: pictures uint8 of shape (n, height * 3 / 2, width), mapped; sound (2, m)."""

    pictures: NDArray[np.uint8]
    sound: NDArray[np.float32]


def forward_ticks(order: NDArray[np.int64]) -> int:
    """Ticks of a loop's first way forward, which its sound goes along with."""
    furthest = int(order.max())
    there_and_back = len(order) == 2 * furthest and int(order[-1]) == 1
    return furthest if there_and_back else furthest + 1


def _run(command: list[str], out: Path) -> None:
    with out.open("wb") as sink:
        child = start_child(command, stdout=sink, stderr=subprocess.PIPE)
        _, complaint = child.communicate()
    if child.returncode:
        detail = complaint.decode(errors="replace").strip()[-_STDERR_TAIL:]
        if _NO_STREAM in detail:
            return
        raise MediaError(f"FFmpeg cannot read the clip: {detail or child.returncode}")


def decode_clip(
    clip: IdleClip, fmt: EncodeFormat, ffmpeg: str, limit_s: float, folder: Path
) -> RawClip:
    """Decode ``clip`` into raw files under ``folder``.

    Raises:
        MediaError: unreadable, without pictures, or too little disk for the raw pictures.
    """
    if not clip.path.is_file():
        raise MediaError("no such file")
    raw, pcm = folder / "pictures.i420", folder / "sound.f32"
    budget_s = shutil.disk_usage(folder).free * 0.8 / (fmt.video.i420_bytes * fmt.video.fps)
    if budget_s < 1:
        raise MediaError("too little disk space to decode the clip")
    _run(picture_command(ffmpeg, clip, fmt.video, min(limit_s, budget_s)), raw)
    count = raw.stat().st_size // fmt.video.i420_bytes
    if not count:
        raise MediaError("no pictures in it")
    if budget_s < limit_s and count >= int(budget_s * fmt.video.fps):
        raise MediaError(f"too little disk space: only {budget_s:.0f} s of it fit")
    pictures = np.memmap(raw, np.uint8, "r", shape=(count, *fmt.video.i420_shape))
    samples = np.zeros((0, AUDIO_CHANNELS), np.float32)
    if clip.sound:
        _run(sound_command(ffmpeg, clip, fmt.audio.sample_rate, limit_s), pcm)
        samples = np.fromfile(pcm, np.float32).reshape(-1, AUDIO_CHANNELS)
    return RawClip(pictures, np.ascontiguousarray(samples.T))


def loop_sound(
    sound: NDArray[np.float32], ticks: int, forward_ticks: int, fmt: EncodeFormat
) -> NDArray[np.float32]:
    """The sound of a loop, (2, ticks * samples per tick): forward, once per leg of a ping-pong."""
    leg = np.zeros((2, forward_ticks * fmt.samples_per_tick), np.float32)
    length = min(leg.shape[1], sound.shape[1])
    leg[:, :length] = sound[:, :length]
    edge = min(length // 2, int(SEAM_FADE_S * fmt.audio.sample_rate))
    if edge:
        slope = np.linspace(0, 1, edge, dtype=np.float32)
        leg[:, :edge] *= slope
        leg[:, length - edge : length] *= slope[::-1]
    total = ticks * fmt.samples_per_tick
    return np.tile(leg, (1, -(-total // leg.shape[1])))[:, :total]
