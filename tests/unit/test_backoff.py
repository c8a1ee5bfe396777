from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from broadcaster.backoff import RetrySchedule

REMOTE = RetrySchedule(first_s=0.2, spacing_s=2.0, late_s=5.0, late_after_s=300.0)
LOOPBACK = RetrySchedule(first_s=0.2, spacing_s=1.0, late_s=1.0, late_after_s=math.inf)


def middle() -> float:
    return 0.5


def starts(schedule: RetrySchedule, attempt_s: float, until_s: float, rng: float) -> list[float]:
    """When attempts begin if each fails after ``attempt_s``."""
    found = [0.0]
    while found[-1] < until_s:
        now = found[-1] + attempt_s
        found.append(schedule.next_start(now, found[-1], 0.0, 0.0, lambda: rng))
    return found


def test_the_first_retry_comes_within_a_quarter_of_a_second() -> None:
    assert REMOTE.next_start(10.05, 10.0, 10.0, 10.0, middle) - 10.05 <= 0.25


def test_attempts_are_two_seconds_apart_for_five_minutes_counted_from_their_starts() -> None:
    begun = starts(REMOTE, 0.6, 299, 0.5)
    pauses = [b - a for a, b in itertools.pairwise(begun) if b < 299]
    assert max(pauses) <= 2.0 + 1e-9
    assert min(pauses[1:]) >= 2.0 - 1e-9


@given(st.floats(0, 0.999999))
def test_after_five_minutes_attempts_are_five_seconds_apart_give_or_take_a_fifth(
    rng: float,
) -> None:
    next_start = REMOTE.next_start(1000.1, 1000.0, 0.0, 0.0, lambda: rng)
    assert 4.0 - 1e-9 <= next_start - 1000.0 <= 6.0 + 1e-9


def test_loopback_is_tried_every_second_even_after_a_day() -> None:
    assert LOOPBACK.next_start(86400.1, 86400.0, 0.0, 0.0, middle) == 86401.0


def test_a_failure_of_a_kind_that_must_not_slow_down_keeps_the_early_pace() -> None:
    assert REMOTE.next_start(1000.1, 1000.0, 0.0, 1000.0, middle) == 1002.0


def test_an_attempt_that_took_longer_than_the_spacing_is_followed_after_the_least_pause() -> None:
    assert math.isclose(REMOTE.next_start(15.0, 10.0, 0.0, 0.0, middle), 15.2)
