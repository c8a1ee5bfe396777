"""Batches come in any order and leave in one; what is lost leaves as a gap, nothing is skipped."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_pool.contracts import BatchDone, BatchKey, BatchLost, PictureRef
from gpu_pool.reorder import Gap, Reorder, Run


def done(first: int, count: int = 4) -> BatchDone:
    pictures = tuple(PictureRef(first + n, 1) for n in range(count))
    return BatchDone(BatchKey("main", "a", 0, first), pictures, 0, 0.04, 1)


def lost(first: int, count: int = 4) -> BatchLost:
    return BatchLost(BatchKey("main", "a", 0, first), count, "its worker died twice", 2)


def expecting(*firsts: int, needed_by: float = math.inf) -> Reorder:
    order = Reorder()
    for first in firsts:
        order.expect(first, 4, needed_by)
    return order


def test_batches_that_come_backwards_leave_forwards() -> None:
    order = expecting(0, 4, 8)
    for first in (8, 4):
        order.put(done(first))
        assert order.release(0.0) == []
    order.put(done(0))
    assert [run.first for run in order.release(0.0)] == [0, 4, 8]


def test_a_lost_batch_leaves_as_a_gap_and_those_behind_it_follow() -> None:
    """LatentsyncRealtime: after one failed batch the later ones stay in the buffer for ever."""
    order = expecting(0, 4, 8)
    for each in (done(4), done(8), lost(0)):
        order.put(each)
    gap, *runs = order.release(0.0)
    assert gap == Gap(0, 4, "its worker died twice")
    assert [run.first for run in runs] == [4, 8]


def test_a_lost_batch_waits_for_its_turn() -> None:
    order = expecting(0, 4)
    order.put(lost(4))
    assert order.release(0.0) == []
    order.put(done(0))
    assert [type(each) for each in order.release(0.0)] == [Run, Gap]


def test_a_batch_that_is_not_there_in_time_leaves_as_a_gap() -> None:
    order = expecting(0, needed_by=10.0)
    assert order.next_deadline() == 10.0
    assert order.release(9.9) == []
    assert order.release(10.0) == [Gap(0, 4, "not there in time")]


def test_pictures_of_a_batch_that_comes_after_its_gap_are_handed_back() -> None:
    order = expecting(0, needed_by=10.0)
    order.release(10.0)
    late = done(0)
    assert order.put(late) == late.pictures
    assert order.release(11.0) == []


def test_a_late_batch_is_still_used_if_its_turn_has_not_come() -> None:
    order = Reorder()
    order.expect(0, 4, 20.0)
    order.expect(4, 4, 10.0)
    assert order.release(15.0) == []
    order.put(done(4))
    order.put(done(0))
    assert [type(each) for each in order.release(16.0)] == [Run, Run]


def test_a_second_answer_for_a_batch_changes_nothing_and_is_handed_back() -> None:
    order = expecting(0, 4)
    order.put(lost(4))
    assert order.put(done(4)) == done(4).pictures
    order.put(done(0))
    assert [type(each) for each in order.release(0.0)] == [Run, Gap]


def test_an_answer_that_was_never_announced_is_handed_back() -> None:
    assert Reorder().put(done(40)) == done(40).pictures


def test_a_batch_of_the_wrong_length_leaves_as_a_gap() -> None:
    order = expecting(0)
    assert len(order.put(done(0, count=3))) == 3
    assert order.release(0.0) == [Gap(0, 4, "3 pictures came")]


def test_a_batch_that_does_not_follow_the_one_before_is_an_error() -> None:
    order = expecting(0)
    for first in (0, 8):
        with pytest.raises(ValueError, match="does not follow picture 4"):
            order.expect(first, 4, math.inf)


def test_closing_hands_back_what_is_here() -> None:
    order = expecting(0, 4)
    order.put(done(4))
    assert order.close() == done(4).pictures
    assert order.next_deadline() is None


@given(st.data())
def test_every_picture_leaves_exactly_once_and_in_order(data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=12))
    start = data.draw(st.integers(0, 1000))
    firsts = [start + sum(counts[:n]) for n in range(len(counts))]
    order = Reorder(start)
    for first, count in zip(firsts, counts, strict=True):
        order.expect(first, count, data.draw(st.floats(0, 100)))
    answers = data.draw(st.permutations(range(len(counts))))
    now, seen, taken, returned = 0.0, start, 0, 0
    for n in answers:
        fate = data.draw(st.sampled_from(["done", "done", "lost", "never"]))
        if fate == "done":
            taken += counts[n]
            returned += len(order.put(done(firsts[n], counts[n])))
        elif fate == "lost":
            order.put(lost(firsts[n], counts[n]))
        now += data.draw(st.floats(0, 20))
        for each in order.release(now):
            assert each.first == seen
            length = each.count if isinstance(each, Gap) else len(each.pictures)
            taken -= length if isinstance(each, Run) else 0
            seen += length
    for each in order.release(1e9):
        assert each.first == seen
        seen += each.count if isinstance(each, Gap) else len(each.pictures)
        taken -= len(each.pictures) if isinstance(each, Run) else 0
    assert seen == start + sum(counts) == order.released
    assert taken == returned


def test_when_nothing_more_will_come_what_is_there_leaves_and_the_rest_is_a_gap() -> None:
    order = expecting(0, 4, 8)
    order.put(done(4))
    order.lose("no worker serves")
    leaving = order.release(0.0)
    assert [type(each) for each in leaving] == [Gap, Run, Gap]
    assert order.put(done(8)) == done(8).pictures, "too late: nobody will show them"
