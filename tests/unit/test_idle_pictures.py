"""Decode-ahead: the right picture for each tick, a window that moves, nobody who waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from broadcaster.codec.h264_decode import PictureDecoder
from broadcaster.idle.loop import EncodedLoop
from broadcaster.idle.timeline import IdleTimeline
from broadcaster.mixer.blend import Picture
from broadcaster.playout.idle_pictures import AHEAD_TICKS, IdlePictures
from tests.doubles.programme import SMALL, make_loop, moving_pictures

GOP = SMALL.gop_ticks
LOOP = make_loop(SMALL, moving_pictures(SMALL.video, 2 * GOP, 1))
OTHER = make_loop(replace(SMALL, preset="ultrafast"), moving_pictures(SMALL.video, GOP, 2))


def decoded(loop: EncodedLoop) -> list[Picture]:
    decoder = PictureDecoder(loop.parameter_sets.avc_config())
    return [decoder.decode(packet) for packet in loop.packets]


SHOWN = decoded(LOOP)


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def pictures() -> Iterator[IdlePictures]:
    made = IdlePictures(IdleTimeline(LOOP, GOP), GOP)
    yield made
    made.close()
    assert not any(t.name == "idle-pictures" for t in threading.enumerate())


def test_a_picture_in_the_middle_of_a_gop_is_what_viewers_see(pictures: IdlePictures) -> None:
    pictures.want(1_000_037)
    wait(lambda: pictures.ready(1_000_037, 3))
    for tick in range(1_000_037, 1_000_040):
        picture = pictures.get(tick)
        assert picture is not None
        assert np.array_equal(picture, SHOWN[tick % 50])


def test_only_a_window_is_kept(pictures: IdlePictures) -> None:
    for tick in range(10, 80):
        pictures.want(tick)
        wait(lambda now=tick: pictures.ready(now, AHEAD_TICKS))
        assert sorted(pictures._pictures) == list(range(tick, tick + AHEAD_TICKS))
    assert all(np.array_equal(pictures.get(t), SHOWN[t % 50]) for t in range(79, 79 + AHEAD_TICKS))


def test_a_wish_far_ahead_does_not_decode_all_that_lies_between(pictures: IdlePictures) -> None:
    pictures.want(0)
    wait(lambda: pictures.ready(0, 1))
    pictures.want(10**8 + 3)
    wait(lambda: pictures.ready(10**8 + 3, 1))
    assert np.array_equal(pictures.get(10**8 + 3), SHOWN[3])


def test_a_wish_may_go_back(pictures: IdlePictures) -> None:
    """An interrupt brings the end of a task forward."""
    pictures.want(44)
    wait(lambda: pictures.ready(44, AHEAD_TICKS))
    assert pictures.horizon == 44 + AHEAD_TICKS
    pictures.want(37)
    wait(lambda: pictures.ready(37, AHEAD_TICKS))
    assert all(np.array_equal(pictures.get(t), SHOWN[t % 50]) for t in range(37, 47))


def test_at_rest_nothing_is_held_and_it_starts_again(pictures: IdlePictures) -> None:
    pictures.want(30)
    wait(lambda: pictures.ready(30, 5))
    pictures.rest()
    assert pictures.get(30) is None
    pictures.want(7)
    wait(lambda: pictures.ready(7, 2))
    assert np.array_equal(pictures.get(7), SHOWN[7])


def test_a_change_of_programme_changes_the_decoder_at_its_tick() -> None:
    timeline = IdleTimeline(LOOP, GOP)
    pictures = IdlePictures(timeline, GOP)
    timeline.switch(2 * GOP, OTHER)
    pictures.want(2 * GOP - 4)
    wait(lambda: pictures.ready(2 * GOP - 4, 8))
    other = decoded(OTHER)
    for tick in range(2 * GOP - 4, 2 * GOP + 4):
        wanted = SHOWN[tick % 50] if tick < 2 * GOP else other[tick % GOP]
        assert np.array_equal(pictures.get(tick), wanted)
    pictures.close()


def test_a_broken_packet_costs_its_gop_and_no_more() -> None:
    packets = list(LOOP.packets)
    packets[5] = b"\0\0\0\4\x41\xff\xff\xff"
    broken = EncodedLoop("broken", packets, LOOP.parameter_sets, LOOP.sound)
    pictures = IdlePictures(IdleTimeline(broken, GOP), GOP)
    pictures.want(0)
    wait(lambda: pictures.ready(0, 5))
    for tick in range(6, GOP + 1):
        pictures.want(tick)
    wait(lambda: pictures.ready(GOP, 2))
    assert np.array_equal(pictures.get(GOP), SHOWN[GOP])
    pictures.close()
