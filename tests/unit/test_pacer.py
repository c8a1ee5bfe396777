"""Deadlines and the IDR grid."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.timeline.grid import gop_start, live_start, next_grid, on_grid
from broadcaster.timeline.pacer import Pacer

ticks = st.integers(0, 10**9)
gops = st.integers(10, 300)


@given(ticks, gops)
def test_the_grid_is_absolute(tick: int, gop: int) -> None:
    before, after = gop_start(tick, gop), next_grid(tick, gop)
    assert on_grid(before, gop)
    assert on_grid(after, gop)
    assert before <= tick <= after
    assert after - before == (0 if on_grid(tick, gop) else gop)


@given(ticks, gops)
def test_live_begins_within_a_tick_and_never_beside_an_idr_of_the_grid(tick: int, gop: int) -> None:
    start = live_start(tick, gop)
    assert start in (tick, tick + 1)
    assert not on_grid(start - 1, gop)
    assert not on_grid(start + 1, gop)
    assert live_start(start, gop) == start


def test_live_is_not_put_off_without_need() -> None:
    assert [live_start(t, 25) for t in (50, 51, 52, 60, 73, 74, 75)] == [50, 52, 52, 60, 73, 75, 75]


def test_deadlines_do_not_drift_over_a_year() -> None:
    pacer = Pacer(5000.0, 1.0)
    year = 365 * 24 * 3600 * 30
    assert pacer.due(year, 30) == 5000.0 + year / 30


def test_early_or_a_little_late_moves_nothing() -> None:
    pacer = Pacer(0.0, 1.0)
    assert pacer.check(25, 25, 0.5).late_s == 0.0
    assert pacer.check(25, 25, 2.0).skipped_s == 0.0  # exactly the limit
    assert pacer.due(25, 25) == 1.0


def test_too_late_gives_the_lost_time_up_for_all_channels() -> None:
    pacer = Pacer(0.0, 1.0)
    verdict = pacer.check(25, 25, 6.5)
    assert verdict.late_s == verdict.skipped_s == pytest.approx(5.5)
    assert pacer.due(25, 25) == pytest.approx(6.5)
    assert pacer.due(60, 30) == pytest.approx(7.5)
