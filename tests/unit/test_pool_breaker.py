"""G13: five deaths in 60 s park a slot for 60 s, then one trial; it is never given up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpu_pool.breaker import Breaker
from gpu_pool.limits import Limits

LIMITS = Limits()


def after_deaths(times: list[float], lived_s: float = 1.0) -> Breaker:
    breaker = Breaker(LIMITS)
    for at in times:
        breaker = breaker.started().died(at, lived_s)
    return breaker


def test_a_first_death_costs_no_pause() -> None:
    assert after_deaths([100.0]).retry_at == 100.0


def test_deaths_in_a_row_are_followed_by_growing_pauses() -> None:
    pauses = [after_deaths([100.0] * n).retry_at - 100.0 for n in (1, 2, 3, 4)]
    assert pauses == [0.0, 0.25, 0.5, 1.0]


def test_a_worker_that_did_work_before_it_died_is_followed_at_once() -> None:
    breaker = after_deaths([100.0, 101.0]).started().worked().died(110.0, 8.0)
    assert breaker.retry_at == 110.0
    assert breaker.started().died(111.0, 1.0).retry_at == 111.25


def test_the_fifth_death_within_a_minute_parks_the_slot_for_a_minute() -> None:
    breaker = after_deaths([100.0, 110.0, 120.0, 130.0, 159.9])
    assert breaker.parked
    assert breaker.retry_at == 159.9 + 60.0


def test_five_deaths_of_workers_that_did_work_spread_over_more_than_a_minute_do_not_park() -> None:
    breaker = Breaker(LIMITS)
    for at in (100.0, 110.0, 120.0, 130.0, 160.1):
        breaker = breaker.started().worked().died(at, 5.0)
    assert not breaker.parked


def test_a_worker_that_dies_so_slowly_that_no_window_counts_it_is_parked_all_the_same() -> None:
    """A load that takes 70 s and then fails would go on for ever, one death per window."""
    assert after_deaths([70.0 * n for n in range(1, 6)], lived_s=70.0).parked


def test_a_trial_that_fails_parks_at_once_again() -> None:
    breaker = after_deaths([1.0, 2.0, 3.0, 4.0, 5.0]).started().died(66.0, 1.0)
    assert breaker.parked
    assert breaker.retry_at == 126.0


def test_a_trial_that_renders_a_batch_closes_the_breaker() -> None:
    breaker = after_deaths([1.0, 2.0, 3.0, 4.0, 5.0]).started().worked().died(70.0, 4.0)
    assert not breaker.parked
    assert breaker.retry_at == 70.0


def test_a_trial_that_lives_through_the_window_without_work_closes_it_too() -> None:
    breaker = after_deaths([1.0, 2.0, 3.0, 4.0, 5.0]).started().died(1000.0, 935.0)
    assert not breaker.parked


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), min_size=1, max_size=60))
def test_there_is_always_a_next_start_and_never_later_than_the_parking_time(
    lives: list[tuple[float, bool]],
) -> None:
    now, breaker = 0.0, Breaker(LIMITS)
    for lived_s, worked in lives:
        breaker = breaker.started()
        breaker = breaker.worked() if worked else breaker
        now = max(now, breaker.retry_at) + lived_s
        breaker = breaker.died(now, lived_s)
        assert now <= breaker.retry_at <= now + LIMITS.park_s
