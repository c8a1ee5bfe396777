"""Idle media by real FFmpeg: any clip becomes a loop of the channel's format, or an error."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from broadcaster.codec.h264_decode import PictureDecoder
from broadcaster.codec.x264 import parameter_sets_of
from broadcaster.errors import MediaError
from broadcaster.formats import EncodeFormat
from broadcaster.idle.loop import EncodedLoop, load_loop
from broadcaster.idle.prepare import Preparation
from broadcaster.settings.model import Audio, Channel, Idle, IdleClip, SettingsModel, Station, Video
from broadcaster.settings.platforms import load_platforms, plan_encode

GOP_S = 0.4  # ten ticks: short clips stay interesting
VIDEO = Video(width=96, height=64, fps=25, bitrate_kbps=300, gop_s=GOP_S, preset="ultrafast")


def make_clip(
    file: Path,
    *inputs: str,
    rate: str = "25",
    size: str = "96x64",
    seconds: float = 2,
    sound: str = "",
    luma: str = "40+60*T",
) -> Path:
    """A clip whose grey says at which moment a picture was taken; lossless, so any size goes."""
    picture = f"nullsrc=s={size}:r={rate}:d={seconds},format=yuv444p,geq=lum='{luma}':cb=128:cr=128"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", picture]
    if sound:
        command += [*inputs, "-f", "lavfi", "-i", sound]
    command += ["-c:v", "ffv1", "-c:a", "pcm_s16le", str(file)]
    subprocess.run(command, check=True)
    return file


def settings_for(
    folder: Path,
    *clips: IdleClip,
    audio: Audio | None = None,
    max_clip_s: float = 600,
    avatar: str = "none",
) -> SettingsModel:
    idle = Idle(clips=clips, max_clip_s=max_clip_s)
    channel = Channel(video=VIDEO, audio=audio or Audio(), avatar=avatar, idle=idle)
    return SettingsModel(station=Station(state_dir=folder / "var"), channels=(channel,))


@dataclass
class Bench:
    """One channel's preparation in this process."""

    work: Preparation
    fmt: EncodeFormat

    def loop(self, clip: IdleClip) -> EncodedLoop:
        return load_loop(self.work.clip(clip), self.fmt)


def bench(folder: Path, **options: Any) -> Bench:
    settings = settings_for(folder, **options)
    fmt = plan_encode(settings.channels[0], load_platforms()).format
    return Bench(Preparation(settings, settings.channels[0], fmt), fmt)


def pictures(loop: EncodedLoop) -> NDArray[np.uint8]:
    """Luma planes of a loop, shape (n, 64, 96)."""
    decoder = PictureDecoder(loop.parameter_sets.avc_config())
    return np.stack([decoder.decode(p)[:64] for p in loop.packets])


def greys(loop: EncodedLoop) -> NDArray[np.float64]:
    return np.asarray(pictures(loop)[:, 24:40, 36:60].mean(axis=(1, 2)))


# Pictures.


@pytest.mark.parametrize(
    ("rate", "size"), [("24", "51x37"), ("30000/1001", "96x64"), ("50", "51x37"), ("10", "101x64")]
)
def test_a_clip_of_any_rate_and_size_plays_at_its_own_speed(
    tmp_path: Path, rate: str, size: str
) -> None:
    clip = make_clip(tmp_path / "clip.mkv", rate=rate, size=size)
    at = bench(tmp_path)
    loop = at.loop(IdleClip(path=clip))
    assert loop.parameter_sets == parameter_sets_of(at.fmt), "it could not be spliced"
    assert len(loop.packets) == 50
    grey = greys(loop)
    source_step_s = 1 / eval(rate)
    wanted = 40 + 60 * np.arange(50) / 25
    assert np.abs(grey - wanted).max() <= 60 * (source_step_s + 0.02) + 2
    assert loop.sound.silent
    assert loop.title == "clip.mkv"


def test_ping_pong_comes_back_the_way_it_went(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", luma="40+90*T")
    grey = greys(bench(tmp_path).loop(IdleClip(path=clip, mode="pingpong")))
    assert len(grey) == 90
    assert np.argmax(grey) == 45
    assert np.abs(grey[1:45] - grey[:45:-1]).max() < 4
    assert np.abs(np.diff([*grey, grey[0]])).max() < 8, "the seam jumps"


@pytest.mark.parametrize("mode", ["loop", "pingpong"])
def test_a_clip_shorter_than_a_gop_is_repeated_to_one(tmp_path: Path, mode: str) -> None:
    clip = make_clip(tmp_path / "clip.mkv", seconds=0.16, luma="40+900*T")
    grey = greys(bench(tmp_path).loop(IdleClip(path=clip, mode=mode)))  # type: ignore[arg-type]
    assert len(grey) == 10
    assert np.abs(grey - [40 + 36 * (n % 4) for n in range(10)]).max() < 10


def test_a_single_picture_becomes_a_still_loop(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", seconds=0.04, luma="120")
    grey = greys(bench(tmp_path).loop(IdleClip(path=clip)))
    assert grey == pytest.approx([120] * 10, abs=2)


def test_a_portrait_clip_gets_bars_or_is_cropped(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", size="54x96", luma="150")
    at = bench(tmp_path)
    boxed = pictures(at.loop(IdleClip(path=clip, fit="letterbox")))
    filled = pictures(at.loop(IdleClip(path=clip, fit="crop")))
    columns = boxed[5].mean(axis=0)
    assert np.abs(columns[:26] - 16).max() < 4
    assert np.abs(columns[-26:] - 16).max() < 4
    assert np.abs(columns[36:60] - 150).max() < 4
    assert np.abs(filled[5].astype(int) - 150).max() < 6


def test_a_long_clip_is_cut_at_the_limit_and_a_new_limit_is_a_new_loop(tmp_path: Path) -> None:
    clip = IdleClip(path=make_clip(tmp_path / "clip.mkv"))
    assert len(bench(tmp_path, max_clip_s=1.2).loop(clip).packets) == 30
    assert len(bench(tmp_path, max_clip_s=600).loop(clip).packets) == 50


# Sound.


def onsets(pcm: NDArray[np.float32], rate: int = 48000) -> list[float]:
    """Seconds at which sound begins after quiet."""
    loud = np.abs(pcm[0]) > 0.02
    window = int(0.05 * rate)
    return [
        n / rate for n in np.flatnonzero(loud) if not loud[max(0, n - window) : n].any()
    ]  # fmt: skip


BEEP = "aevalsrc='0.3*sin(2*PI*1000*t)*between(t,{at},{at}+0.1)':s=22050:d=2"


@pytest.mark.parametrize("audio", [Audio(), Audio(sample_rate=44100)])
def test_its_sound_is_resampled_to_stereo_and_stays_with_the_picture(
    tmp_path: Path, audio: Audio
) -> None:
    clip = make_clip(tmp_path / "clip.mkv", sound=BEEP.format(at=1.2))
    loop = bench(tmp_path, audio=audio).loop(IdleClip(path=clip))
    assert not loop.sound.silent
    pcm = loop.sound.pcm(0, 2 * audio.sample_rate)
    assert np.array_equal(pcm[0], pcm[1])
    assert onsets(pcm, audio.sample_rate) == pytest.approx([1.2], abs=0.01)
    # a mono source: FFmpeg keeps the level of a single channel when it doubles it
    assert 0.2 < np.abs(pcm).max() < 0.32


def test_sound_that_begins_after_the_picture_begins_late_here_too(tmp_path: Path) -> None:
    late = ("-itsoffset", "0.5")
    clip = make_clip(tmp_path / "clip.mkv", *late, sound=BEEP.format(at=0.5))
    pcm = bench(tmp_path).loop(IdleClip(path=clip)).sound.pcm(0, 96000)
    assert onsets(pcm) == pytest.approx([1.0], abs=0.01)


def test_ping_pong_plays_the_sound_forward_in_both_directions(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", sound=BEEP.format(at=0.5))
    loop = bench(tmp_path).loop(IdleClip(path=clip, mode="pingpong"))
    pcm = loop.sound.pcm(0, len(loop.packets) * 1920)
    assert onsets(pcm) == pytest.approx([0.5, 0.5 + 45 / 25], abs=0.01)


def test_sound_may_be_left_out_and_quiet_sound_costs_nothing(tmp_path: Path) -> None:
    at = bench(tmp_path)
    loud = make_clip(tmp_path / "loud.mkv", sound=BEEP.format(at=1))
    quiet = make_clip(tmp_path / "quiet.mkv", sound="anullsrc=d=2")
    assert at.loop(IdleClip(path=loud, sound=False)).sound.silent
    assert at.loop(IdleClip(path=quiet)).sound.silent


# What is no clip.


def broken_clip(folder: Path, kind: str) -> Path:
    file = folder / "clip.mkv"
    if kind == "garbage":
        file.write_bytes(os.urandom(5000))
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "folder":
        file.mkdir()
    elif kind == "sound only":
        subprocess.run(
            ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "anullsrc=d=1", str(file)],
            check=True,
        )
    elif kind == "cut short":
        whole = make_clip(folder / "whole.mkv").read_bytes()
        file.write_bytes(whole[:300])
    elif kind == "playlist":
        file.write_text("ffconcat version 1.0\nfile http://127.0.0.1:9/x.mp4\n")
    return file


BROKEN = ["missing", "garbage", "empty", "folder", "sound only", "cut short", "playlist"]


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_clip_is_an_error_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    at = bench(tmp_path)
    with pytest.raises((MediaError, OSError)):
        at.work.clip(IdleClip(path=broken_clip(tmp_path, kind)))
    cache = tmp_path / "var" / "cache" / "idle"
    assert not cache.exists() or list(cache.iterdir()) == []


def test_too_little_disk_is_said_instead_of_showing_half_a_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    clip = IdleClip(path=make_clip(tmp_path / "clip.mkv"))
    at, second = bench(tmp_path), 96 * 64 * 3 // 2 * 25
    for free, words in ((second, "too little disk"), (int(1.5 * second / 0.8), "only 2 s of it")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, f=free: usage(f, 0, f))
        with pytest.raises(MediaError, match=words):
            at.work.clip(clip)
    monkeypatch.undo()
    assert len(at.loop(clip).packets) == 50
