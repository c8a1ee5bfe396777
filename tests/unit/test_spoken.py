"""A task read from its PCM file: every sample as it is, never a wait."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from broadcaster.playout.spoken import READ_AHEAD_S, SpokenSource, draw_level_bar, level
from tests.doubles.programme import SMALL

PER_TICK = SMALL.samples_per_tick


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def noise(samples: int) -> NDArray[np.int16]:
    rng = np.random.default_rng(samples)
    return rng.integers(-32768, 32767, (samples, 2), dtype=np.int16)


def readers() -> int:
    return sum(t.name == "pcm-read" for t in threading.enumerate())


def play(source: SpokenSource) -> NDArray[np.float32]:
    blocks = []
    for index in range(source.length_ticks):
        wait(lambda at=index: source.ready_from(at) > 0)
        block = source.sound(index)
        assert block is not None
        blocks.append(block)
    return np.concatenate(blocks, axis=1)


@pytest.mark.parametrize("samples", [2, PER_TICK - 1, PER_TICK, 100 * PER_TICK + 7])
@pytest.mark.parametrize("from_sample", [0, 1])
def test_every_sample_is_played_exactly_and_the_rest_of_the_last_tick_is_silent(
    tmp_path: Path, samples: int, from_sample: int
) -> None:
    wave = noise(samples)
    wave.tofile(tmp_path / "a.pcm")
    source = SpokenSource("a", tmp_path / "a.pcm", samples, from_sample, SMALL)
    heard = play(source)
    left = samples - from_sample
    assert np.array_equal(heard[:, :left] * 32768, wave[from_sample:].T)
    assert not heard[:, left:].any()
    assert heard.shape[1] - left < PER_TICK
    assert source.played_samples(source.length_ticks) == samples
    assert source.played_samples(0) == from_sample
    source.close()


def test_only_a_few_seconds_are_held_in_memory(tmp_path: Path) -> None:
    noise(200 * PER_TICK).tofile(tmp_path / "a.pcm")
    source = SpokenSource("a", tmp_path / "a.pcm", 200 * PER_TICK, 0, SMALL)
    most = READ_AHEAD_S * 25
    wait(lambda: source.ready_from(0) == most)
    source.sound(0)
    wait(lambda: source.ready_from(1) == most)
    assert len(source._blocks) == most
    source.close()


def test_a_slow_disk_is_a_dry_source_and_not_a_wait(tmp_path: Path) -> None:
    pipe = tmp_path / "a.pcm"
    os.mkfifo(pipe)
    source = SpokenSource("a", pipe, 10 * PER_TICK, 0, SMALL)
    began = time.monotonic()
    assert source.sound(0) is None
    assert source.ready_from(0) == 0
    assert time.monotonic() - began < 1.0
    source.close()
    with pipe.open("wb"):  # lets the reader's open return
        wait(lambda: readers() == 0)


def test_a_file_that_is_gone_is_an_error_in_words(tmp_path: Path) -> None:
    source = SpokenSource("a", tmp_path / "none", PER_TICK, 0, SMALL)
    wait(lambda: bool(source.error))
    assert source.error == "its sound cannot be read: No such file or directory"
    source.close()


def test_a_file_that_is_too_short_ends_in_silence(tmp_path: Path) -> None:
    wave = noise(PER_TICK + 10)
    (tmp_path / "a.pcm").write_bytes(wave.tobytes()[:-1])
    source = SpokenSource("a", tmp_path / "a.pcm", 3 * PER_TICK, 0, SMALL)
    heard = play(source)
    assert heard.shape[1] == 3 * PER_TICK
    assert not heard[:, PER_TICK + 10 :].any()
    source.close()


def test_closing_ends_the_reader_wherever_it_is(tmp_path: Path) -> None:
    noise(200 * PER_TICK).tofile(tmp_path / "a.pcm")
    before = readers()
    source = SpokenSource("a", tmp_path / "a.pcm", 200 * PER_TICK, 0, SMALL)
    wait(lambda: source.ready_from(0) > 70)
    source.close()
    wait(lambda: readers() == before)


def test_the_level_is_measured_in_decibels() -> None:
    block = np.full((2, PER_TICK), 1.0, np.float32)
    assert level(block) == 1.0
    assert level(block * 10 ** (-24 / 20)) == pytest.approx(0.5, abs=1e-3)
    assert level(block * 10 ** (-48 / 20)) == pytest.approx(0.0, abs=1e-3)
    assert level(np.zeros((2, 0), np.float32)) == 0.0


@pytest.mark.parametrize(("width", "height"), [(192, 112), (64, 66), (1280, 720), (98, 110)])
def test_the_bar_is_as_long_as_the_level_and_leaves_the_idle_picture_alone(
    width: int, height: int
) -> None:
    idle = np.full((height * 3 // 2, width), 90, np.uint8)
    lengths = []
    for amount in (0.0, 0.3, 0.7, 1.0):
        drawn = draw_level_bar(idle, amount, height, width)
        assert drawn.shape == idle.shape
        assert drawn is not idle
        lengths.append(int((drawn[int(height * 0.965) // 2 * 2] == 170).sum()))
        untouched = drawn[: int(height * 0.96) // 2 * 2]
        assert (untouched == 90).all()
    assert (idle == 90).all()
    assert lengths[0] == 0
    assert lengths == sorted(lengths)
    assert lengths[3] == pytest.approx(0.9 * width, abs=4)
    assert lengths[2] == pytest.approx(0.63 * width, abs=6)


def test_the_picture_of_a_tick_shows_the_sound_of_that_tick(tmp_path: Path) -> None:
    wave = np.zeros((6 * PER_TICK, 2), np.int16)
    wave[3 * PER_TICK : 4 * PER_TICK] = 30000
    wave.tofile(tmp_path / "a.pcm")
    source = SpokenSource("a", tmp_path / "a.pcm", len(wave), 0, SMALL)
    play(source)  # sound is taken a few ticks ahead of its picture
    idle = np.full(SMALL.video.i420_shape, 90, np.uint8)
    bright = [int((source.picture(index, idle) == 170).sum()) > 0 for index in range(9)]
    assert bright == [n == 3 for n in range(9)]
    source.close()
