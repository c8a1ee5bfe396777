"""How early a tick is reserved and how much of a task must be ready, from what was measured."""

from __future__ import annotations

import pytest

from broadcaster.studio.tempo import FIRST_GUESS_S, LONGEST_LEAD_S, Tempo


def test_a_first_task_reserves_by_a_guess() -> None:
    assert Tempo().lead_ticks(25) >= FIRST_GUESS_S * 25


def test_slowness_counts_at_once_and_quickness_by_and_by() -> None:
    tempo = Tempo()
    tempo.begin("a", 0.0)
    tempo.rendered("a", 10, 1.0)
    slow = tempo.lead_ticks(25)
    assert slow >= 25
    for n in range(20):
        tempo.begin(f"t{n}", 0.0)
        tempo.rendered(f"t{n}", 10, 0.08)
    assert tempo.lead_ticks(25) < slow / 3


def test_only_the_first_pictures_of_a_task_are_measured() -> None:
    tempo = Tempo()
    tempo.begin("a", 0.0)
    tempo.rendered("a", 0, 3.0)
    tempo.rendered("a", 10, FIRST_GUESS_S)
    before = tempo.lead_ticks(25)
    tempo.rendered("a", 20, 60.0)
    assert tempo.lead_ticks(25) == before


def test_a_hopelessly_slow_machine_does_not_reserve_for_ever() -> None:
    tempo = Tempo()
    tempo.begin("a", 0.0)
    tempo.rendered("a", 1, 500.0)
    assert tempo.lead_ticks(25) <= LONGEST_LEAD_S * 25 + 1


@pytest.mark.parametrize(("speed", "least"), [(100.0, 1), (40.0, 10), (20.0, 60), (0.0, 10)])
def test_an_engine_that_cannot_keep_up_needs_enough_in_hand(speed: float, least: int) -> None:
    """At 20 pictures a second 300 pictures last 15 s; 60 of them in hand let it play through."""
    assert Tempo.preroll(300, 25, speed, 300) >= least


def test_never_more_is_waited_for_than_there_is() -> None:
    assert Tempo.preroll(3, 25, 0.0, 100) == 3
    assert Tempo.preroll(1000, 25, 1.0, 50) == 50
    assert Tempo.preroll(1000, 25, 100.0, 50) <= 10
