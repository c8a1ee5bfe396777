"""Which pictures of a task are asked for, and in which order they leave."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.studio.performance import ANSWER_WITHIN_S, Part, Performance
from gpu_pool.contracts import Batch, BatchDone, BatchLost, EngineNeeds, PictureRef
from gpu_pool.reorder import Gap, Run

NEEDS = EngineNeeds(0.5, 0.1, 10)
SPOKEN, TAIL = 47, 10


def performance(index: int = 0, tick: int = 100, origin: int = 0) -> Performance:
    part = Part("main", "a", "anna", 25, index, tick, SPOKEN + TAIL, SPOKEN, origin)
    sound = np.linspace(0, 1, SPOKEN * 640 + origin, dtype=np.float32)
    return Performance(part, 7, sound)


def ask_all(made: Performance, window: int = 1000) -> list[Batch]:
    asked = []
    while (batch := made.next_batch(NEEDS, window)) is not None:
        made.submitted(batch, 0.0)
        asked.append(batch)
    return asked


def answer(batch: Batch) -> BatchDone:
    refs = tuple(PictureRef(batch.key.first + n, 1) for n in range(batch.count))
    return BatchDone(batch.key, refs, 0, 0.1, 1)


def test_every_picture_is_asked_for_once_with_the_fade_out_included() -> None:
    asked = ask_all(performance())
    assert [batch.key.first for batch in asked] == [0, 10, 20, 30, 40, 50]
    assert sum(batch.count for batch in asked) == SPOKEN + TAIL
    assert [batch.base_tick for batch in asked] == [100, 110, 120, 130, 140, 150]
    assert {batch.cues["spoken"] for batch in asked} == {SPOKEN}
    assert all(len(b.sound) == round((b.count / 25 + 0.6) * 16000) for b in asked)


def test_a_task_that_goes_on_hears_what_was_said_before() -> None:
    made = performance(origin=6400)
    (first, *_) = ask_all(made)
    whole = np.linspace(0, 1, SPOKEN * 640 + 6400, dtype=np.float32)
    assert np.array_equal(first.sound[1600:], whole[: len(first.sound) - 1600])


def test_the_window_counts_what_is_not_given_back() -> None:
    made = performance()
    assert len(ask_all(made, 25)) == 2
    made.released(5)
    assert len(ask_all(made, 25)) == 1
    assert ask_all(made, 25) == []


def test_a_window_smaller_than_a_batch_still_lets_one_through() -> None:
    assert len(ask_all(performance(), 3)) == 1


@given(st.permutations(range(6)))
def test_answers_in_any_order_leave_in_order(order: list[int]) -> None:
    made = performance()
    asked, left = ask_all(made), list[Run | Gap]()
    for n in order:
        assert made.answered(answer(asked[n])) == ()
        left += made.leaving(0.0, lambda _: None)
    assert [run.first for run in left] == [batch.key.first for batch in asked]
    assert all(a.first < b.first for a, b in pairwise(left))
    assert made.rendered == SPOKEN + TAIL


def test_a_lost_batch_leaves_a_gap_and_its_place_in_the_window() -> None:
    made, told = performance(), list[Gap]()
    first, second = ask_all(made, 20)
    made.answered(BatchLost(first.key, 10, "it broke", 2))
    made.answered(answer(second))
    assert [type(run) for run in made.leaving(0.0, told.append)] == [Gap, Run]
    assert (told[0].first, told[0].count, told[0].reason) == (0, 10, "it broke")
    assert len(ask_all(made, 20)) == 1


def test_a_batch_that_is_never_answered_does_not_hold_up_the_task_for_ever() -> None:
    made = performance()
    _, second, *_ = ask_all(made)
    made.answered(answer(second))
    assert made.leaving(ANSWER_WITHIN_S - 1, lambda _: None) == []
    gone, run = made.leaving(ANSWER_WITHIN_S + 1, lambda _: None)[:2]
    assert (type(gone), type(run)) == (Gap, Run)


def test_a_slow_batch_is_waited_for_while_a_worker_serves() -> None:
    made = performance()
    first, *_ = ask_all(made)
    for now in range(0, 600, 50):
        made.worked_at(now)
        assert made.leaving(now + ANSWER_WITHIN_S - 1, lambda _: None) == []
    made.answered(answer(first))
    assert [type(each) for each in made.leaving(600, lambda _: None)] == [Run]


def test_pictures_asked_for_after_a_delay_are_drawn_for_the_new_ticks() -> None:
    made = performance()
    first = made.next_batch(NEEDS, 10)
    assert first is not None
    made.submitted(first, 0.0)
    made.expected_at(3, 103)
    assert made.next_batch(NEEDS, 100).base_tick == 110, "it is where it was expected"
    made.expected_at(0, 104)
    second = made.next_batch(NEEDS, 100)
    assert second is not None
    assert (first.base_tick, second.base_tick) == (100, 114)


def test_without_workers_only_what_is_on_air_soon_is_lost() -> None:
    made, told = performance(), list[Gap]()
    first, *_ = ask_all(made, 30)
    made.answered(answer(first))
    made.expected_at(12, 112)
    made.lose(20, "nobody", 0.0)
    left = made.leaving(0.0, told.append)
    assert [run.first for run in left] == [0, 10, 20, 30]
    assert [(gap.first, gap.count) for gap in told] == [(10, 10), (20, 10), (30, 2)]
    made.lose(20, "nobody", 0.0)
    assert made.leaving(0.0, told.append) == []
    assert ask_all(made, 30)[0].key.first == 32, "a worker that is back goes on from there"


def test_without_workers_a_task_is_lost_to_its_last_picture_and_no_further() -> None:
    made, told = performance(), list[Gap]()
    made.expected_at(40, 140)
    made.lose(1000, "nobody", 0.0)
    made.leaving(0.0, told.append)
    assert sum(gap.count for gap in told) == made.rendered == SPOKEN + TAIL
    assert ask_all(made) == []


def test_a_voice_that_told_its_phonemes_gives_the_mouth_of_every_picture() -> None:
    rows = np.arange(SPOKEN * 6, dtype=np.float32).reshape(SPOKEN, 6) / 1000
    part = Part("main", "a", "anna", 25, 0, 100, 30 + TAIL, 30, (SPOKEN - 30) * 640)
    made = Performance(part, 1, np.zeros(SPOKEN * 640, np.float32), rows)
    told = np.concatenate([np.asarray(b.cues["mouths"], np.float32) for b in ask_all(made)])
    assert told.shape == (30 + TAIL, 6)
    assert np.allclose(told[:30], rows[SPOKEN - 30 :], atol=1e-4)
    assert not told[30:].any()


def test_a_task_that_goes_on_is_on_its_batches_grid_again_and_carries_its_wishes() -> None:
    part = Part("main", "a", "anna", 25, 23, 100, 60 + TAIL, 60, 0)
    sound = np.zeros(60 * 640, np.float32)
    asked = ask_all(
        Performance(part, 1, sound, wishes={"guidance_scale": 1.5}).again(part, 2, None)
    )
    size = NEEDS.batch_pictures
    assert asked[0].key.first == 23
    assert all(each.key.first % size == 0 for each in asked[1:])
    assert sum(each.count for each in asked) == 60 + TAIL - 23
    assert {each.cues["guidance_scale"] for each in asked} == {1.5}
