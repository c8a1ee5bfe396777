"""Viewers' time goes on evenly, whatever the relay's timestamps do."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from broadcaster.preview.timeline import LEAST_STEP_S, Timeline

TICK_S = 0.04


def test_within_a_run_the_distances_are_those_of_the_source() -> None:
    line = Timeline()
    jitter = (0.0, 0.03, -0.01, 0.02, 0.0)
    placed = [
        line.place("picture", 7.0 + n * TICK_S, 100.0 + n * TICK_S + late)
        for n, late in enumerate(jitter)
    ]
    assert all(abs(b - a - TICK_S) < 1e-9 for a, b in pairwise(placed))
    assert placed[0] == 100.0


def test_sound_and_picture_keep_their_distance() -> None:
    line = Timeline()
    picture = line.place("picture", 3.0, 50.0)
    sound = line.place("sound", 3.06, 50.001)
    assert abs(sound - picture - 0.06) < 1e-9


def test_a_new_session_that_starts_at_zero_goes_on_where_time_is() -> None:
    line = Timeline()
    line.place("picture", 5000.0, 10.0)
    line.restart()
    assert line.place("picture", 0.0, 13.5) == 13.5


def test_timestamps_that_jump_without_a_new_connection_are_followed_too() -> None:
    line = Timeline()
    line.place("picture", 5000.0, 10.0)
    assert line.place("picture", 0.0, 10.04) == 10.04


def test_a_relay_that_first_gives_an_old_second_at_once_does_not_turn_time_back() -> None:
    line = Timeline()
    placed = [line.place("picture", n * TICK_S, 20.0) for n in range(60)]
    assert all(b >= a + LEAST_STEP_S - 1e-9 for a, b in pairwise(placed))


@given(st.lists(st.tuples(st.floats(-1e4, 1e6), st.floats(0, 5)), min_size=2, max_size=60))
def test_no_source_can_turn_a_viewers_clock_back(packets: list[tuple[float, float]]) -> None:
    line, now, last = Timeline(), 0.0, float("-inf")
    for source_s, pause_s in packets:
        now += pause_s
        placed = line.place("picture", source_s, now)
        assert placed > last
        last = placed
