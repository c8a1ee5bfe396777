"""Who gets which batch, who is judged: in virtual time, workers and all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pool.contracts import BatchDone, BatchKey, BatchLost, SlotState
from gpu_pool.dispatch import Abandon, Dump, Kill, Start
from gpu_pool.limits import Limits
from tests.doubles.pool_world import World, batch


def ready(devices: int = 2, pictures: int = 64) -> World:
    world = World(devices, pictures)
    world.step()
    world.load()
    return world


def state(world: World, slot: int) -> SlotState:
    return world.dispatcher.report(world.now).slots[slot].state


# --- handing out ----------------------------------------------------------------------------


def test_every_slot_is_started_at_once() -> None:
    assert World(3).step() == [Start(0), Start(1), Start(2)]


def test_batches_wait_for_a_worker_that_is_ready() -> None:
    world = World(1)
    world.step()
    world.submit(batch(0))
    assert world.sent_to() == {}
    world.load()
    assert world.sent_to() == {0: 0}


def test_batches_are_begun_in_the_order_of_submission() -> None:
    world = ready()
    world.submit(batch(0), batch(4), batch(8))
    assert sorted(world.sent_to().values()) == [0, 4]
    world.finish(0)
    assert world.sent_to()[0] == 8


def test_the_faster_worker_is_served_first() -> None:
    world = World(2)
    world.step()
    world.load(0, picture_s=0.1)
    world.load(1, picture_s=0.01)
    world.submit(batch(0))
    assert world.sent_to() == {1: 0}


def test_a_batch_without_room_in_the_ring_waits_until_pictures_are_released() -> None:
    world = ready(devices=1, pictures=4)
    world.submit(batch(0), batch(4))
    world.finish(0)
    assert world.sent_to() == {}
    world.release_all()
    world.step()
    assert world.sent_to() == {0: 4}


def test_the_short_last_batch_is_rendered_like_any_other() -> None:
    """MuseTalk drops the last picture; LatentsyncRealtime up to 24 of them."""
    world = ready(devices=1)
    world.submit(batch(0, 4), batch(4, 1))
    world.finish(0)
    world.finish(0)
    assert [len(r.pictures) for r in world.results if isinstance(r, BatchDone)] == [4, 1]


def test_more_than_the_queue_holds_is_not_taken() -> None:
    world = World(1)
    taken = [world.dispatcher.ledger.add(batch(n)) for n in range(6)]
    assert taken == [True, True, True, True, False, False]


# --- deaths ---------------------------------------------------------------------------------


def test_the_batch_of_a_dead_worker_goes_to_another_one_before_later_batches() -> None:
    world = ready()
    world.submit(batch(0), batch(4), batch(8))
    world.die(0)
    world.finish(1)
    assert world.sent_to() == {1: 0}


def test_a_worker_that_died_is_started_on_the_same_slot() -> None:
    world = ready()
    assert Start(1) in world.die(1)


def test_a_retry_waits_for_another_worker_while_one_serves() -> None:
    world = ready()
    world.submit(batch(0), batch(4))
    world.die(0)
    world.load(0)
    assert world.sent_to() == {1: 4}
    world.finish(1)
    assert world.sent_to() == {1: 0}


def test_a_later_batch_may_pass_a_retry_that_waits_for_another_worker() -> None:
    world = ready()
    world.submit(batch(0), batch(4))
    world.die(0)
    world.load(0)
    world.submit(batch(8))
    assert world.sent_to() == {0: 8, 1: 4}


def test_the_only_worker_gets_its_batch_again() -> None:
    world = ready(devices=1)
    world.submit(batch(0))
    world.die(0)
    world.load(0)
    assert world.sent_to() == {0: 0}


def test_a_batch_that_two_workers_died_of_is_lost_and_says_why() -> None:
    world = ready()
    world.submit(batch(0), batch(4))
    world.die(0)
    world.finish(1)
    world.die(1, "exit status 1: out of memory")
    (lost,) = [r for r in world.results if isinstance(r, BatchLost)]
    assert lost.key.first == 0
    assert lost.attempts == 2
    assert "out of memory" in lost.reason


def test_a_lost_batch_does_not_stop_those_behind_it() -> None:
    """In LatentsyncRealtime one failed batch loses every later one; an item of a killed Pool
    worker never comes back, and the task never ends."""
    world = ready(devices=1)
    world.submit(*(batch(4 * n) for n in range(3)))
    for _ in range(2):
        world.die(0)
        world.revive(0)
    world.finish(0)
    world.finish(0)
    assert world.lost == [0]
    assert world.done == [4, 8]


def test_the_pictures_of_a_dead_worker_come_free() -> None:
    world = ready(devices=1, pictures=4)
    world.submit(batch(0))
    world.die(0)
    world.load(0)
    world.finish(0)
    world.release_all()
    assert world.credits.free == 4


def test_a_retry_is_never_shut_out_by_later_batches_that_fill_the_ring() -> None:
    """The playout empties the ring in order: pictures 4 to 11 leave only after 0 to 3."""
    world = ready(devices=2, pictures=8)
    world.submit(batch(0), batch(4), batch(8))
    world.die(0)
    world.load(0)
    world.finish(1)
    assert world.sent_to() == {1: 0}


def test_a_refused_batch_is_lost_without_a_retry_and_the_worker_lives() -> None:
    world = ready(devices=1)
    world.submit(batch(0), batch(4))
    serial = world.flying.pop(0).serial
    world.dispatcher.refused(0, serial, "no face", world.now)
    world.step()
    assert world.lost == [0]
    assert world.sent_to() == {0: 4}
    assert world.credits.free == 60


def test_five_deaths_park_the_slot_and_the_others_go_on() -> None:
    world = ready()
    for _ in range(4):
        world.die(0)
        world.revive(0)
    world.die(0)
    assert state(world, 0) == SlotState.PARKED
    world.submit(batch(0))
    assert world.sent_to() == {1: 0}
    assert world.dispatcher.report(world.now).retry_after_s == 0


def test_a_pool_of_parked_slots_says_when_to_come_back_and_tries_again_then() -> None:
    world = World(1)
    world.step()
    for _ in range(5):
        world.die(0, "exit status 1: no such model")
        while state(world, 0) == SlotState.DEAD:
            world.wait()
    report = world.dispatcher.report(world.now)
    assert report.retry_after_s == pytest.approx(60.0)
    assert report.slots[0].deaths == {"load": 5}
    assert report.slots[0].last_error == "exit status 1: no such model"
    assert Start(0) in world.step(60.0)


def test_a_task_that_kills_every_worker_is_given_up_before_all_slots_are_parked() -> None:
    world = ready(devices=2)
    world.submit(*(batch(4 * n, task="poison") for n in range(8)))
    for _ in range(4):
        slot = min(world.flying)
        world.die(slot)
        world.revive(slot)
    world.finish(0) if 0 in world.flying else None
    assert len(world.lost) >= 6
    world.submit(batch(100, task="poison"), batch(0, task="good"))
    assert 100 in world.lost
    assert 0 in world.sent_to().values()
    assert not [s for s in (0, 1) if state(world, s) == SlotState.PARKED]


def test_deaths_with_finished_batches_between_them_are_not_the_tasks_fault() -> None:
    world = ready(devices=2)
    for n in range(12):
        world.now += 20.0
        world.beat()
        world.submit(batch(8 * n), batch(8 * n + 4))
        world.die(0)
        world.revive(0)
        while world.flying:
            world.finish(min(world.flying))
        world.release_all()
    assert world.lost == []
    assert len(world.done) == 24


# --- hangs ----------------------------------------------------------------------------------


def test_a_silent_worker_is_asked_for_its_stacks_then_killed_within_ten_seconds() -> None:
    world = ready(devices=1)
    world.submit(batch(0))
    silent_since = world.now
    assert [type(order) for order in world.wait()] == [Dump]
    assert [type(order) for order in world.wait()] == [Kill]
    assert world.now - silent_since <= 10.0


def test_a_batch_of_a_hung_worker_is_tried_elsewhere_before_the_process_is_gone() -> None:
    world = ready()
    world.submit(batch(0))
    hung = min(world.flying)
    world.hang(hung)
    assert world.sent_to()[1 - hung] == 0


def test_the_pictures_of_a_hung_worker_stay_taken_until_it_is_gone() -> None:
    """It may still write: a driver can hold a killed process for minutes."""
    world = ready(devices=1, pictures=8)
    world.submit(batch(0))
    world.wait()
    world.wait()
    assert world.credits.free == 4
    world.die(0)
    assert world.credits.free == 8


def test_a_worker_that_gives_signs_of_life_but_never_ends_its_batch_is_judged() -> None:
    world = ready(devices=1)
    world.submit(batch(0))
    began = world.now
    while not world.condemned:
        world.step(0.5)
        world.beat()
        assert world.now - began < 10.0
    assert world.now - began >= Limits().batch_floor_s


def test_a_slow_engine_is_given_a_multiple_of_the_time_it_was_measured_at() -> None:
    world = World(1)
    world.step()
    world.load(picture_s=1.0)
    world.submit(batch(0))
    for _ in range(38):
        world.step(0.5)
        world.beat()
    assert not world.condemned
    for _ in range(4):
        world.step(0.5)
        world.beat()
    assert world.condemned == {0}


def test_an_answer_that_comes_after_the_verdict_counts_for_nothing() -> None:
    world = ready()
    world.submit(batch(0))
    hung = min(world.flying)
    late = world.flying[hung]
    world.hang(hung)
    world.dispatcher.done(hung, late.serial, 4.0, world.now)
    world.step()
    assert world.done == []
    world.die(hung)
    world.finish(1 - hung)
    assert world.done == [0]


def test_loading_may_be_silent_for_longer_than_working() -> None:
    world = World(1)
    world.step()
    world.step(Limits().silent_s + 1)
    assert not world.condemned
    world.step(Limits().load_silent_s)
    assert world.condemned == {0}


def test_a_load_without_end_is_judged_in_spite_of_its_signs_of_life() -> None:
    world = World(1)
    world.step()
    while not world.condemned:
        world.step(5.0)
        world.beat()
        assert world.now - 1e4 < 200
    world.die(0)
    assert world.dispatcher.report(world.now).slots[0].deaths == {"load": 1}


def test_no_worker_is_judged_by_a_pause_of_the_owner() -> None:
    world = ready(devices=1)
    world.submit(batch(0))
    world.now += 600.0
    world.dispatcher.excuse(600.0)
    world.step()
    assert not world.condemned


def test_a_worker_that_closes_its_line_but_does_not_end_is_killed() -> None:
    world = ready(devices=1)
    world.dispatcher.lost_touch(0, world.now)
    assert world.step() == []
    assert world.wait() == [Kill(0)]


def test_no_batch_goes_to_a_worker_that_closed_its_line() -> None:
    world = ready(devices=1)
    world.dispatcher.lost_touch(0, world.now)
    world.submit(batch(0))
    assert world.sent_to() == {}


# --- interrupts and deadlines ---------------------------------------------------------------


def test_a_bump_drops_what_waits_what_flies_and_what_was_not_taken() -> None:
    world = ready(devices=1, pictures=16)
    for each in (batch(0), batch(4), batch(8)):
        world.dispatcher.ledger.add(each)
    world.dispatcher.decide(world.now)
    world.dispatcher.done(0, 0, 0.04, world.now)
    world.dispatcher.decide(world.now)
    world.dispatcher.bump("main", 1)
    assert world.dispatcher.take_results() == []
    assert world.dispatcher.decide(world.now) == [Abandon(0, 1)]
    assert world.credits.free == 12
    world.dispatcher.done(0, 1, 0.01, world.now)
    assert world.credits.free == 16
    assert world.dispatcher.take_results() == []


def test_a_bump_reaches_only_its_channel_and_only_older_epochs() -> None:
    world = World(1)
    world.submit(batch(0, epoch=1), batch(0, channel="other"), batch(4, epoch=0))
    world.dispatcher.bump("main", 1)
    world.load()
    while world.flying:
        world.finish(0)
    assert [(r.key.channel, r.key.epoch) for r in world.results] == [("main", 1), ("other", 0)]


def test_a_batch_of_an_ended_epoch_that_comes_late_is_forgotten() -> None:
    world = ready(devices=1)
    world.dispatcher.bump("main", 3)
    world.submit(batch(0, epoch=2))
    assert world.sent_to() == {}


def test_the_death_of_a_worker_with_a_dropped_batch_brings_no_answer() -> None:
    world = ready(devices=1)
    world.submit(batch(0))
    world.dispatcher.bump("main", 1)
    world.die(0)
    world.load(0)
    assert world.results == []
    assert world.sent_to() == {}
    assert world.credits.free == 64


def test_a_batch_that_nobody_could_take_in_time_is_lost() -> None:
    world = World(1)
    world.submit(batch(0, needed_by=1e4 + 2.0))
    world.wait()
    assert world.now == 1e4 + 2.0
    assert world.lost == [0]


def test_a_batch_that_is_late_at_its_worker_is_lost_and_its_pictures_come_back_later() -> None:
    world = ready(devices=1, pictures=4)
    world.submit(batch(0, needed_by=1e4 + 1.0))
    assert world.step(1.0) == [Abandon(0, 0)]
    assert world.lost == [0]
    assert world.credits.free == 0
    world.finish(0)
    assert world.credits.free == 4
    assert world.done == []


def test_a_batch_without_a_deadline_never_makes_the_pool_wait_for_infinity() -> None:
    world = ready(devices=1)
    world.submit(batch(0), batch(4))
    world.wait()
    world.wait()
    assert world.dispatcher.next_due() is None


def test_measured_speed_is_that_of_the_batches() -> None:
    world = ready(devices=2)
    for n in range(30):
        world.submit(batch(8 * n), batch(8 * n + 4))
        world.finish(0, after_s=0.08)
        world.finish(1, after_s=0.08)
        world.release_all()
    assert world.dispatcher.report(world.now).fps == pytest.approx(100.0, rel=0.05)


# --- whatever happens -----------------------------------------------------------------------

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["submit", "submit", "finish", "finish", "die", "load", "pass", "beat", "bump", "free"]
        ),
        st.integers(0, 2),
        st.floats(0, 5),
    ),
    max_size=80,
)


@settings(max_examples=300, deadline=None)
@given(EVENTS, st.integers(1, 3), st.integers(4, 24))
def test_every_batch_is_answered_exactly_once_whatever_happens(
    events: list[tuple[str, int, float]], devices: int, pictures: int
) -> None:
    world = World(devices, pictures, Limits(park_s=5.0))
    epoch = 0
    submitted: list[BatchKey] = []
    for kind, slot, seconds in events:
        if kind == "submit":
            each = batch(4 * len(submitted), epoch=epoch)
            if world.dispatcher.ledger.add(each):
                submitted.append(each.key)
        elif kind == "finish" and slot in world.flying and slot not in world.condemned:
            world.finish(slot)
        elif kind == "die" and slot in world.running:
            world.die(slot)
        elif kind == "load" and slot in world.running - world.loaded - world.condemned:
            world.load(slot)
        elif kind == "pass":
            world.now += seconds
        elif kind == "beat":
            world.beat()
        elif kind == "bump":
            epoch += 1
            world.dispatcher.bump("main", epoch)
        elif kind == "free":
            world.release_all()
        world.step()
    _settle(world)
    keys = [result.key for result in world.results]
    assert len(keys) == len(set(keys))
    assert set(keys) >= {key for key in submitted if key.epoch == epoch}
    assert set(keys) <= set(submitted)
    world.release_all()
    assert world.credits.free == pictures


def _settle(world: World) -> None:
    """From now on all is well: everything left is rendered."""
    for _ in range(400):
        world.release_all()
        for slot in sorted(world.condemned):
            world.die(slot)
        world.load()
        for slot in sorted(world.flying):
            if slot not in world.condemned:  # judged while another one finished
                world.finish(slot)
        report = world.dispatcher.report(world.now)
        idle = not report.queued and not report.in_flight and not world.flying
        if idle and not world.condemned:  # a condemned worker keeps its pictures until it is gone
            return
        world.beat()
        if not world.flying:
            world.wait()
    raise AssertionError("batches are left for ever")
