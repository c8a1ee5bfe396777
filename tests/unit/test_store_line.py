"""Who is said before whom, and how long that takes."""

from __future__ import annotations

from dataclasses import replace

from broadcaster.store import Task, TaskState
from broadcaster.store.line import Ahead, ahead_of, remaining_s

RATE = 48_000


def task(place: int, state: TaskState = TaskState.QUEUED, **changes: object) -> Task:
    made = Task(f"{place:032x}", "main", "", RATE, state=state, place=place)
    return replace(made, **changes)  # type: ignore[arg-type]


ON_AIR = task(1, TaskState.ON_AIR, samples=10 * RATE, played_samples=4 * RATE, updated_s=100.0)
NEXT = task(2, TaskState.BUFFERING, samples=3 * RATE)
LINE = [ON_AIR, NEXT, task(3, expected_s=5.0), task(4, expected_s=7.0)]


def test_a_task_waits_for_those_before_it() -> None:
    assert ahead_of(LINE[3], LINE, 100.0) == Ahead(3, 6 + 3 + 5)
    assert ahead_of(NEXT, LINE, 100.0) == Ahead(1, 6)
    assert ahead_of(ON_AIR, LINE, 100.0) == Ahead(0, 0)


def test_what_is_on_air_goes_on_between_two_notes_but_not_for_ever() -> None:
    assert remaining_s(ON_AIR, 100.5) == 5.5
    assert remaining_s(ON_AIR, 500.0) == 4.5
    assert remaining_s(ON_AIR, 50.0) == 6.0, "a clock that was set back adds nothing"


def test_an_urgent_task_waits_only_for_what_the_studio_holds_already() -> None:
    urgent = task(5, priority=9)
    assert ahead_of(urgent, [*LINE, urgent], 100.0) == Ahead(2, 9)
    assert ahead_of(LINE[2], [*LINE, urgent], 100.0).tasks == 3


def test_a_task_that_interrupts_waits_for_nothing() -> None:
    interrupts = task(5, interrupts=True)
    assert ahead_of(interrupts, [*LINE, interrupts], 100.0) == Ahead(0, 0)
    assert ahead_of(NEXT, [*LINE, interrupts], 100.0).tasks == 2


def test_the_newest_of_two_that_interrupt_is_first() -> None:
    older, newer = task(5, interrupts=True), task(6, interrupts=True)
    assert ahead_of(newer, [older, newer], 0.0).tasks == 0
    assert ahead_of(older, [older, newer], 0.0).tasks == 1


def test_one_that_interrupted_earlier_waits_for_the_newer_one_on_air() -> None:
    older = task(5, interrupts=True)
    newer = task(6, TaskState.ON_AIR, interrupts=True, samples=2 * RATE, updated_s=0.0)
    assert ahead_of(older, [older, newer], 0.0) == Ahead(1, 2)
