"""Sound files and the commands of other threads at a channel on virtual ticks."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from broadcaster.playout.task_door import PlayOrder
from broadcaster.wire import Message
from tests.doubles.channel_air import (
    SLATE,
    Air,
    assert_sounds_like,
)
from tests.doubles.programme import (
    SMALL,
)


def pcm_file(folder: Path, samples: int, peak: int = 9000) -> Path:
    file = folder / f"{samples}.pcm"
    wave = peak * np.sin(2 * np.pi * 300 * np.arange(samples) / 48000)
    np.stack([wave, wave], axis=1).astype("<i2").tofile(file)
    return file


@pytest.mark.parametrize("peak", [0, 9000])
def test_a_sound_file_is_played_to_its_last_sample(air: Air, tmp_path: Path, peak: int) -> None:
    """Silence too is a task like any other: its bar is drawn, and it is done."""
    samples = 30 * SMALL.samples_per_tick + 77
    pcm = pcm_file(tmp_path, samples, peak)
    assert air.call(lambda: air.channel.play(PlayOrder("a", pcm, samples))) == {"ok": True}
    deadline = time.monotonic() + 5
    while not air.ended("a"):
        assert time.monotonic() < deadline
        air.run(1)
        time.sleep(0.0005)
    done = air.events[-1]
    assert (done["event"], done["played_samples"]) == ("done", samples)
    air.run(60)
    heard, start = air.heard(), [t.idle for t in air.recorder.ticks].index(False)
    wave = np.fromfile(pcm, "<i2").reshape(-1, 2).T / np.float32(32768)
    mix = np.zeros((2, (air.channel.tick + 8) * SMALL.samples_per_tick), np.float32)
    at = start * SMALL.samples_per_tick
    mix[:, at : at + samples] = wave
    assert_sounds_like(air, heard, mix)
    bar = heard.pictures[start + 15][int(112 * 0.965) // 2 * 2 + 1, 20]
    assert (bar > 100) == (peak > 0)


def test_a_task_goes_on_from_where_it_was(air: Air, tmp_path: Path) -> None:
    samples, begun = 40 * SMALL.samples_per_tick, 33 * SMALL.samples_per_tick
    pcm = pcm_file(tmp_path, samples)
    air.call(lambda: air.channel.play(PlayOrder("a", pcm, samples, begun)))
    air.run_until(lambda: air.ended("a") or time.sleep(0.0005) is not None, 5000)
    assert [e["played_samples"] for e in air.events if e["event"] != "progress"] == [begun, samples]


def test_the_door_takes_two_knows_a_task_again_and_refuses_nonsense(
    air: Air, tmp_path: Path
) -> None:
    samples = 400 * SMALL.samples_per_tick
    pcm = pcm_file(tmp_path, samples)

    def play(name: str, begun: int = 0) -> Message:
        order = PlayOrder(name, pcm, samples, begun)
        return cast(Message, air.call(lambda: air.channel.play(order)))

    no_sound, taken = {"ok": False, "error": "no such sound"}, {"ok": True}
    assert air.channel.play(PlayOrder("x", tmp_path / "none", 9)) == no_sound
    assert [play("x", samples), play("x", -1)] == [no_sound, no_sound]
    assert [play("a"), play("a"), play("b")] == [taken, taken, taken]
    assert play("c") == {"ok": False, "error": "busy"}
    assert play("b") == taken
    assert len(air.channel._tasks._held) == 2
    gone = PlayOrder("over", pcm, samples, 71_891, held_only=True)
    assert air.call(lambda: air.channel.play(gone)) == {"ok": False, "error": "gone"}
    assert air.call(lambda: air.channel.interrupt("b")) == "b"
    assert air.told("b") == ["interrupted"]


def test_closing_in_the_middle_of_a_task_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    air = Air(SLATE)
    samples = 400 * SMALL.samples_per_tick
    pcm = pcm_file(tmp_path, samples)
    for name in ("a", "b"):
        air.call(lambda n=name: air.channel.play(PlayOrder(n, pcm, samples)))
    air.run_until(lambda: air.told("a") == ["started"] or time.sleep(0.001) is not None, 5000)
    air.close()
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before:
        assert time.monotonic() < deadline, set(threading.enumerate()) - before
        time.sleep(0.005)
