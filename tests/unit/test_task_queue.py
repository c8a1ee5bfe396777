"""The queue of tasks in playout: when each begins, pauses, ends, and what is told about it."""

from __future__ import annotations

import pytest

from broadcaster.mixer.mixer import INTERRUPT_FADE_TICKS
from broadcaster.playout.task_queue import HELD_TASKS
from tests.unit.test_mixer import PER_TICK, Rig, Voice


@pytest.fixture
def rig() -> Rig:
    made = Rig(fade=3, lead=3, gop=25)
    made.run(5)
    return made


def test_a_task_is_started_and_done_once_at_its_first_and_last_tick(rig: Rig) -> None:
    rig.queue.add(Voice("a", 60))
    told = {}
    for _ in range(100):
        before = len(rig.events)
        rig.step()
        told |= {(e["event"], e["played_samples"]): rig.tick - 1 for e in rig.events[before:]}
    assert told == {
        ("started", 0): 8,
        ("progress", 25 * PER_TICK): 33,
        ("progress", 50 * PER_TICK): 58,
        ("done", 60 * PER_TICK): 67,
    }


def test_a_task_waits_for_its_pre_roll_but_a_short_one_only_for_itself(rig: Rig) -> None:
    long, short = Voice("long", 60, ready=9), Voice("short", 4, ready=4)
    rig.queue.add(long)
    rig.run(50)
    assert rig.told("long") == []
    long.ready = 10
    rig.run(5)
    assert rig.told("long") == ["started"]
    long.ready = 60
    rig.run(100)
    rig.queue.add(short)
    rig.run(10)
    assert rig.told("short") == ["started", "done"]


def test_a_task_waits_for_the_idle_pictures_beneath_its_fade(rig: Rig) -> None:
    rig.queue.add(Voice("a", 20))
    for _ in range(30):
        rig.step(pictures_ready=False)
    assert rig.told("a") == []
    rig.run(30)
    assert rig.told("a") == ["started", "done"]


def test_tasks_follow_without_an_idle_sample_in_between(rig: Rig) -> None:
    a, b = Voice("a", 17, base=1000), Voice("b", 12, base=5000)
    rig.queue.add(a)
    rig.queue.add(b)
    rig.run(60)
    heard = [s.source.task_id for s in rig.segments if s]
    assert heard == ["a"] * 17 + ["b"] * 12
    first = next(n for n, s in enumerate(rig.segments) if s)
    assert all(rig.segments[first : first + 29])


def test_a_task_that_stays_dry_for_long_goes_on_where_it_stopped(rig: Rig) -> None:
    """Its place must be remembered longer than its fade out takes."""
    a = Voice("a", 40, ready=15)
    rig.queue.add(a)
    rig.run(400)
    assert rig.mixer.underruns == 1
    assert rig.queue.played_samples(rig.tick) == 15 * PER_TICK
    a.ready = 40
    rig.run(60)
    assert a.given == list(range(40))
    assert rig.told("a") == ["started", "done"]


def test_a_task_that_breaks_plays_what_it_has_and_then_fails(rig: Rig) -> None:
    """Fewer ticks than the pre-roll are left: waiting for more would be for ever."""
    a, b = Voice("a", 40, ready=4), Voice("b", 5)
    a.error = "its sound cannot be read"
    rig.queue.add(a)
    rig.queue.add(b)
    rig.run(60)
    assert a.given == list(range(4))
    assert rig.told("a") == ["started", "failed"]
    failed = next(e for e in rig.events if e["event"] == "failed")
    assert failed["error"] == "its sound cannot be read"
    assert failed["played_samples"] == 4 * PER_TICK
    assert rig.told("b") == ["started", "done"]


def test_a_task_with_nothing_at_all_fails_at_once_and_is_closed(rig: Rig) -> None:
    a = Voice("a", 40, ready=0)
    a.error = "no such file"
    rig.queue.add(a)
    rig.run(2)
    assert rig.told("a") == ["failed"]
    assert a.closed == 1


def test_an_interrupt_ends_the_sound_within_the_lead_and_one_soft_tick(rig: Rig) -> None:
    a = Voice("a", 60)
    rig.queue.add(a)
    rig.run(20)
    at, free = rig.tick, rig.free
    assert rig.queue.interrupt(None, free) == "a"
    rig.run(20)
    assert rig.segments[free] is not None
    assert rig.segments[free + 1] is None
    ended = next(e for e in rig.events if e["event"] == "interrupted")
    assert ended["played_samples"] == len(a.given) * PER_TICK
    assert rig.told("a") == ["started", "interrupted"]
    assert rig.weights[free : free + 3] == [1.0, 0.5, 0.0]
    assert free + 2 - at == rig.lead + 1 + INTERRUPT_FADE_TICKS, "200 ms at 25 pictures a second"


def test_an_interrupt_into_the_next_task_is_as_quick(rig: Rig) -> None:
    a, b = Voice("a", 60), Voice("b", 40)
    rig.queue.add(a)
    rig.queue.add(b)
    rig.run(20)
    free = rig.free
    rig.queue.interrupt("a", free)
    rig.run(20)
    blended = [c.entered for c in rig.compositions[free : free + 4]]
    assert blended == [1.0, 0.5, 1.0, 1.0]
    assert rig.weights[free : free + 4] == [1.0] * 4


def test_after_an_interrupt_the_next_task_follows_at_once(rig: Rig) -> None:
    a, b = Voice("a", 60), Voice("b", 5)
    rig.queue.add(a)
    rig.queue.add(b)
    rig.run(20)
    free = rig.free
    rig.queue.interrupt("a", free)
    rig.run(30)
    assert [s.source.task_id if s else "" for s in rig.segments[free : free + 3]] == ["a", "b", "b"]
    assert rig.told("b") == ["started", "done"]


def test_behind_an_interrupted_task_nobody_waits_for_the_tick_at_which_it_would_have_ended(
    rig: Rig,
) -> None:
    a, b = Voice("a", 500), Voice("b", 5, ready=0)
    rig.queue.add(a)
    rig.run(20)
    place = rig.queue.add(b, rig.free)
    assert place.tick > 500
    rig.queue.interrupt("a", rig.free)
    rig.run(10)
    assert rig.told("b") == [], "its pictures are not there yet"
    b.ready = 5
    rig.run(15)
    assert rig.told("b") == ["started", "done"]


def test_a_task_that_missed_its_tick_begins_at_the_one_reserved_again(rig: Rig) -> None:
    a = Voice("a", 40, ready=0)
    missed = rig.queue.add(a, rig.free + 4)
    rig.run(30)
    assert rig.told("a") == []
    again = rig.queue.reserve_again(a, rig.free + 5)
    assert again is not None
    assert again.tick >= rig.free + 5 > missed.tick
    a.ready = 40
    rig.run(60)
    began = next(e for e in rig.events if e["event"] == "started")
    assert (began["tick"], began["index"]) == (again.tick, 0)


def test_a_task_behind_another_one_is_reserved_again_behind_it(rig: Rig) -> None:
    a, b = Voice("a", 60), Voice("b", 9, ready=0)
    rig.queue.add(a)
    rig.run(10)
    behind = rig.queue.add(b, rig.free)
    again = rig.queue.reserve_again(b, rig.free)
    assert again == behind


def test_a_task_that_has_begun_is_not_reserved_again(rig: Rig) -> None:
    a = Voice("a", 40)
    rig.queue.add(a, rig.free + 4)
    rig.run(30)
    assert rig.queue.reserve_again(a, rig.free + 5) is None


def test_a_waiting_task_can_be_taken_out_without_touching_the_one_on_air(rig: Rig) -> None:
    a, b = Voice("a", 30), Voice("b", 30)
    rig.queue.add(a)
    rig.queue.add(b)
    rig.run(10)
    assert rig.queue.interrupt("b", rig.free) == "b"
    rig.run(60)
    assert rig.told("b") == ["interrupted"]
    assert b.closed == 1
    assert rig.told("a") == ["started", "done"]


def test_a_task_interrupted_while_dry_ends_with_what_was_played(rig: Rig) -> None:
    a = Voice("a", 40, ready=12)
    rig.queue.add(a)
    rig.run(60)
    assert rig.queue.interrupt("a", rig.free) == "a"
    rig.run(2)
    assert rig.events[-1]["event"] == "interrupted"
    assert rig.events[-1]["played_samples"] == 12 * PER_TICK
    assert rig.queue.task_id is None


def test_a_task_decided_but_not_begun_never_sounds_when_interrupted(rig: Rig) -> None:
    rig.run(25 - rig.free % 25 - 1)  # the next free tick lies just before the grid: it is put off
    a = Voice("a", 20)
    rig.queue.add(a)
    rig.step()
    assert rig.mixer.schedule.last is not None
    rig.queue.interrupt("a", rig.free)
    rig.run(30)
    assert rig.told("a")[-1] == "interrupted"
    assert len(a.given) <= 2


def test_an_interrupt_in_the_last_ticks_names_the_task_and_ends_it_so(rig: Rig) -> None:
    a, b = Voice("a", 30), Voice("b", 20)
    rig.queue.add(a)
    rig.queue.add(b)
    rig.run(2)
    last = rig.mixer.schedule.last
    assert last is not None
    rig.run(last.end - rig.tick - 1)
    assert rig.free > last.end - 1, "its sound has left: nothing of it can be stopped"
    assert rig.queue.interrupt(None, rig.free) == "a"
    rig.run(40)
    assert rig.told("a") == ["started", "interrupted"]
    assert rig.told("b") == ["started", "done"]


def test_nothing_to_interrupt_is_told(rig: Rig) -> None:
    assert rig.queue.interrupt(None, rig.free) is None
    rig.queue.add(Voice("a", 5))
    assert rig.queue.interrupt("other", rig.free) is None


def test_a_repeated_task_or_one_too_many_changes_nothing(rig: Rig) -> None:
    rig.queue.add(Voice("a", 30))
    again, third = Voice("a", 30), Voice("c", 30)
    rig.queue.add(again)
    assert again.closed == 1
    assert not rig.queue.full
    rig.queue.add(Voice("b", 30))
    assert rig.queue.full
    rig.queue.add(third)
    assert third.closed == 1
    assert HELD_TASKS == 2
    rig.run(90)
    assert [e["task_id"] for e in rig.events if e["event"] == "done"] == ["a", "b"]


def test_closing_lets_go_of_every_source(rig: Rig) -> None:
    voices = [Voice("a", 4), Voice("b", 30), Voice("c", 30)]
    rig.queue.add(voices[0])
    rig.queue.add(voices[1])
    while rig.told("a") != ["started", "done"]:
        rig.step()
    rig.queue.add(voices[2])
    rig.queue.close()
    assert [v.closed for v in voices] == [1, 1, 1]


def test_a_waiting_task_is_given_back_without_a_word(rig: Rig) -> None:
    a, b = Voice("a", 30), Voice("b", 30)
    rig.queue.add(a)
    rig.queue.add(b)
    rig.run(10)
    assert rig.queue.withdraw("b")
    assert not rig.queue.withdraw("b")
    rig.run(60)
    assert b.closed == 1
    assert rig.told("b") == []
    assert rig.told("a") == ["started", "done"]


def test_a_task_that_is_decided_or_unknown_is_not_given_back(rig: Rig) -> None:
    rig.queue.add(Voice("a", 30))
    rig.run(10)
    assert not rig.queue.withdraw("a")
    assert not rig.queue.withdraw("x")
    rig.run(60)
    assert rig.told("a") == ["started", "done"]
