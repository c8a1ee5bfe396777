"""What is done when a task's pictures come too late for the tick that they were drawn for."""

from __future__ import annotations

import pytest

from broadcaster.studio.appointment import AGAIN_WITHIN_S, MARGIN_TICKS, UNSEEN_TICKS, Appointment

FPS = 25
DUE_S = 100.0
MEETING = Appointment(DUE_S, preroll=15, fps=FPS)
UNSEEN_S = UNSEEN_TICKS / FPS


def test_it_is_kept_while_there_is_time_and_once_enough_is_in_hand() -> None:
    assert not MEETING.missed(0, DUE_S - 1)
    assert not MEETING.missed(14, DUE_S)
    assert not MEETING.missed(15, DUE_S + 60)


def test_a_body_that_is_off_by_less_than_can_be_seen_is_not_drawn_again() -> None:
    assert not MEETING.missed(0, DUE_S + UNSEEN_S - 0.001)
    assert MEETING.missed(0, DUE_S + UNSEEN_S + 0.001)
    assert MEETING.missed(14, DUE_S + UNSEEN_S + 0.001)


def test_what_drawing_again_costs_is_counted_in_whole_batches() -> None:
    assert MEETING.again_s(10, 250.0) == pytest.approx(0.08)
    assert MEETING.again_s(15, 250.0) == pytest.approx(0.06)


def test_only_an_engine_quick_enough_is_asked_to_draw_again() -> None:
    assert MEETING.again_s(10, 20 / AGAIN_WITHIN_S + 1) is not None
    assert MEETING.again_s(10, 20 / AGAIN_WITHIN_S) is None
    assert MEETING.again_s(10, 0.0) is None, "not measured yet"


def test_nothing_is_drawn_a_third_time() -> None:
    again = Appointment(DUE_S, 15, FPS, final=True)
    assert again.missed(0, DUE_S + 1)
    assert again.again_s(10, 1000.0) is None


def test_the_next_tick_leaves_time_for_the_drawing_and_the_way() -> None:
    assert MEETING.lead_ticks(0.08) == 2 + MARGIN_TICKS
    assert MEETING.lead_ticks(0.001) == 1 + MARGIN_TICKS
