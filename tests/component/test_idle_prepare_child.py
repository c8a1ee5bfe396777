"""The child that prepares idle media: what it tells, what a second one finds, how it may end."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broadcaster.idle.loop import load_loop
from broadcaster.settings.load import write_resolved
from broadcaster.settings.model import IdleClip, SettingsModel
from broadcaster.settings.platforms import load_platforms, plan_encode
from tests.component.test_idle_prepare import (
    BEEP,
    broken_clip,
    greys,
    make_clip,
    onsets,
    settings_for,
)


def start_child(folder: Path, settings: SettingsModel, *before: str) -> subprocess.Popen[str]:
    file = folder / "settings.json"
    write_resolved(settings, file)
    command = [sys.executable, "-m", "broadcaster.idle.prepare", "--settings", str(file)]
    return subprocess.Popen(
        [*before, *command, "--channel", "main"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(child: subprocess.Popen[str], limit_s: float = 60) -> tuple[int, list[dict[str, Any]]]:
    out, errors = child.communicate(timeout=limit_s)
    assert "Traceback" not in errors, errors
    return child.returncode, [json.loads(line) for line in out.splitlines()]


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def cache_of(folder: Path) -> Path:
    return folder / "var" / "cache" / "idle"


@pytest.fixture(scope="module")
def with_card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder whose card is made already, to be copied."""
    folder = tmp_path_factory.mktemp("state")
    code, told = finish(start_child(folder, settings_for(folder)))
    assert (code, [line["kind"] for line in told]) == (0, ["card"])
    return folder


def test_the_card_comes_first_then_clips_in_turn_and_a_bad_one_is_told(
    with_card: Path, tmp_path: Path
) -> None:
    shutil.copytree(with_card / "var", tmp_path / "var")
    one = make_clip(tmp_path / "one.mkv", luma="80", seconds=1.2)
    two = make_clip(tmp_path / "two.mkv", luma="180", seconds=0.8, sound=BEEP.format(at=0.3))
    clips = [one, tmp_path / "none.mkv", broken_clip(tmp_path, "garbage"), two]
    settings = settings_for(tmp_path, *(IdleClip(path=c) for c in clips))
    code, told = finish(start_child(tmp_path, settings))
    assert code == 0
    assert [line["kind"] for line in told] == ["card", "clips", "clip", "clip", "clips"]
    assert [bool(line["error"]) for line in told] == [False, False, True, True, False]
    assert "none.mkv: " in told[2]["error"]
    assert "clip.mkv: FFmpeg cannot read the clip" in told[3]["error"]
    fmt = plan_encode(settings.channels[0], load_platforms()).format
    card, alone, both = (load_loop(Path(told[n]["folder"]), fmt) for n in (0, 1, 4))
    assert (card.title, alone.title, both.title) == ("test card", "one.mkv", "one.mkv, two.mkv")
    assert greys(both) == pytest.approx([80] * 30 + [180] * 20, abs=4)
    assert onsets(both.sound.pcm(0, 50 * 1920)) == pytest.approx([1.5], abs=0.01)
    assert list(cache_of(tmp_path).glob("*.draft")) == []


def test_the_second_time_everything_is_found_and_nothing_is_made(
    with_card: Path, tmp_path: Path
) -> None:
    shutil.copytree(with_card / "var", tmp_path / "var")
    clip = make_clip(tmp_path / "clip.mkv")
    settings = settings_for(tmp_path, IdleClip(path=clip))
    first = finish(start_child(tmp_path, settings))
    made = {f: f.stat().st_mtime_ns for f in cache_of(tmp_path).rglob("*") if f.is_file()}
    shutil.move(clip, tmp_path / "moved.mkv")
    again = settings_for(tmp_path, IdleClip(path=tmp_path / "moved.mkv"))
    assert finish(start_child(tmp_path, again)) == first
    assert {f: f.stat().st_mtime_ns for f in cache_of(tmp_path).rglob("*") if f.is_file()} == made


def ffmpegs_on(clip: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(clip).encode() in words:
            found.append(int(entry.parent.name))
    return found


@pytest.mark.parametrize("moment", ["decoding", "encoding", "saving"])
def test_a_child_killed_half_way_leaves_nothing_that_is_taken_for_a_loop(
    with_card: Path, tmp_path: Path, moment: str
) -> None:
    shutil.copytree(with_card / "var", tmp_path / "var")
    clip = make_clip(tmp_path / "clip.mkv", seconds=4, rate="50")
    settings = settings_for(tmp_path, IdleClip(path=clip))
    cache = cache_of(tmp_path)
    known = {f.name for f in cache.iterdir()}
    if moment == "saving":
        draft = cache / ("0" * 24 + ".draft")  # what a kill between two writes would leave
        draft.mkdir()
        (draft / "video.bin").write_bytes(b"half")
    else:
        child = start_child(tmp_path, settings)
        seen = "pictures.i420" if moment == "decoding" else "sound.f32"
        wait(lambda: bool(list(cache.glob(f"*.draft/{seen}"))))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        wait(lambda: not ffmpegs_on(clip))
    assert {f.name for f in cache.iterdir() if f.suffix != ".draft"} == known
    assert list(cache.glob("*.draft")) != []
    code, told = finish(start_child(tmp_path, settings))
    assert (code, [line["kind"] for line in told]) == (0, ["card", "clips"])
    fmt = plan_encode(settings.channels[0], load_platforms()).format
    assert len(load_loop(Path(told[1]["folder"]), fmt).packets) == 100
    assert list(cache.glob("*.draft")) == []


def test_a_full_disk_is_told_and_what_was_there_stays(with_card: Path, tmp_path: Path) -> None:
    """A limit on file size stands for the disk: writes fail in the same places."""
    shutil.copytree(with_card / "var", tmp_path / "var")
    clip = make_clip(tmp_path / "clip.mkv")
    settings = settings_for(tmp_path, IdleClip(path=clip))
    code, told = finish(start_child(tmp_path, settings, "prlimit", "--fsize=100000"))
    assert [line["kind"] for line in told] == ["card", "clip"]
    assert told[1]["folder"] is None
    assert "clip.mkv: " in told[1]["error"]
    assert code == 0
    code, told = finish(start_child(tmp_path, settings))
    assert [line["kind"] for line in told] == ["card", "clips"]


def test_a_disk_too_full_for_the_card_ends_in_words(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    child = start_child(tmp_path, settings_for(tmp_path), "prlimit", "--fsize=2000")
    code, told = finish(child)
    assert code == 1
    assert [line["kind"] for line in told] == ["idle"]
    assert "File too large" in told[0]["error"]
    code, told = finish(start_child(tmp_path, settings_for(tmp_path)))
    assert [line["kind"] for line in told] == ["card"]


def test_a_damaged_loop_in_the_cache_is_made_again(with_card: Path, tmp_path: Path) -> None:
    shutil.copytree(with_card / "var", tmp_path / "var")
    packets = next(cache_of(tmp_path).glob("*/video.bin"))
    data = bytearray(packets.read_bytes())
    data[len(data) // 2] ^= 0xFF
    packets.write_bytes(data)
    settings = settings_for(tmp_path)
    _, told = finish(start_child(tmp_path, settings))
    fmt = plan_encode(settings.channels[0], load_platforms()).format
    assert load_loop(Path(told[0]["folder"]), fmt).title == "test card"
    assert packets.read_bytes() != data
