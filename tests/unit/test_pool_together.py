"""Batches that one worker draws by one pass: who flies with whom, and what becomes of each."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pool.contracts import AvatarRef, BatchKey, BatchLost, EngineSpec
from gpu_pool.limits import Limits
from gpu_pool.orders import Abandon, Send, SendTogether
from tests.doubles.pool_world import PRESENTER, World, batch
from tests.unit.test_pool_dispatch import settle


def ready(
    devices: int = 1, together: int = 4, pictures: int = 64, picture_s: float = 0.01
) -> World:
    world = World(devices, pictures, together=together)
    world.step()
    world.load(picture_s=picture_s)
    return world


def state(world: World, slot: int) -> str:
    return world.dispatcher.report(world.now).slots[slot].state


# --- who flies with whom ----------------------------------------------------------------------


def test_what_waits_is_given_to_one_worker_at_once_whichever_task_it_is_of() -> None:
    world = ready()
    orders = world.submit(batch(1), batch(4, channel="other"), batch(8, task="b"))
    assert [type(order) for order in orders] == [SendTogether]
    assert world.together() == {0: [1, 4, 8]}


def test_no_batch_waits_for_company() -> None:
    world = ready()
    (order,) = world.submit(batch(1))
    assert isinstance(order, Send)
    world.submit(batch(4), batch(8))
    world.finish(0)
    assert world.together() == {0: [4, 8]}


def test_no_more_than_the_engine_draws_together() -> None:
    world = ready(together=2)
    world.submit(*(batch(4 * n or 1) for n in range(3)))
    assert world.together() == {0: [1, 4]}
    world.finish(0)
    assert world.together() == {0: [8]}


def test_an_engine_that_draws_one_at_a_time_is_given_one() -> None:
    world = ready(together=1)
    world.submit(*(batch(4 * n or 1) for n in range(3)))
    assert world.together() == {0: [1]}


def test_batches_are_spread_over_idle_workers_before_any_are_put_together() -> None:
    world = ready(devices=3)
    world.submit(batch(1), batch(4))
    assert sorted(world.together().values()) == [[1], [4]]


def test_what_is_left_after_spreading_is_dealt_out_in_turn() -> None:
    world = ready(devices=2)
    world.submit(*(batch(4 * n or 1) for n in range(5)))
    assert world.together() == {0: [1, 8, 16], 1: [4, 12]}


def test_as_many_may_wait_as_fly_together() -> None:
    world = ready(together=12)
    world.submit(*(batch(n, 1) for n in range(1, 13)))
    world.submit(*(batch(n, 1) for n in range(13, 25)))
    assert not world.dispatcher.ledger.add(batch(25, 1))


def test_batches_of_two_engines_never_fly_together() -> None:
    world = ready()
    other = AvatarRef("leon", "", PRESENTER.picture, engine=EngineSpec("wav2lip"))
    world.dispatcher.roster.want(other, world.now)
    world.want("anna")
    for _ in range(2):
        world.prepare(0)
    world.submit(batch(1), batch(4, avatar="leon"), batch(8, avatar="anna"))
    assert world.together() == {0: [1, 8]}
    world.finish(0)
    assert world.together() == {0: [4]}


def test_the_ring_must_have_room_for_a_batch_and_all_before_it() -> None:
    """Pictures 8 to 11 leave the ring only after 4 to 7: they must not take their place."""
    world = ready(pictures=9)
    world.submit(batch(1, 4), batch(4, 6), batch(10, 2))
    assert world.together() == {0: [1]}


def test_the_room_of_a_retry_that_waits_for_another_worker_is_kept_free() -> None:
    world = ready(devices=2, pictures=12)
    world.submit(batch(1), batch(4))
    world.die(0)
    world.load(0)
    world.submit(batch(8, task="b"), batch(12, task="c"))
    assert world.together() == {0: [8], 1: [4]}


def test_a_tasks_beginning_is_not_held_up_by_what_comes_after_it() -> None:
    world = ready()
    world.submit(batch(0), batch(4), batch(8, task="b"), batch(0, channel="other"))
    assert world.together() == {0: [0, 8, 0]}
    world.finish(0)
    assert world.together() == {0: [4]}


# --- one after the other they come ------------------------------------------------------------


def test_each_batch_is_answered_as_it_comes_and_the_worker_is_free_after_the_last() -> None:
    world = ready()
    world.submit(*(batch(4 * n or 1) for n in range(3)))
    world.answer(0, 4)
    assert (world.done, state(world, 0)) == ([4], "busy")
    world.submit(batch(12))
    assert world.together() == {0: [1, 8]}
    world.answer(0, 1)
    world.answer(0, 8)
    assert world.done == [4, 1, 8]
    assert world.together() == {0: [12]}


def test_a_refused_batch_is_lost_and_those_beside_it_come() -> None:
    world = ready()
    world.submit(batch(1), batch(4))
    world.answer(0, 1, refused="no face")
    world.finish(0)
    assert (world.lost, world.done) == ([1], [4])
    world.release_all()
    assert world.credits.free == 64


def test_a_dropped_batch_is_called_off_and_its_pictures_come_free_with_its_answer() -> None:
    world = ready()
    world.submit(batch(1), batch(4, channel="other"), batch(8))
    world.dispatcher.bump("main", 1)
    assert world.step() == [Abandon(0, 0), Abandon(0, 2)]
    assert world.step() == [], "told once"
    assert world.credits.free == 64 - 12
    world.answer(0, 1)
    assert world.credits.free == 64 - 8
    world.finish(0)
    assert world.done == [4]
    assert world.credits.free == 64 - 4


def test_a_batch_that_is_late_is_lost_and_those_beside_it_come() -> None:
    world = ready()
    world.submit(batch(1, needed_by=1e4 + 1.0), batch(4))
    assert world.step(1.0) == [Abandon(0, 0)]
    world.finish(0)
    assert (world.lost, world.done) == ([1], [4])


# --- workers that end -------------------------------------------------------------------------


def test_a_worker_that_ends_costs_a_retry_of_what_it_has_not_answered() -> None:
    world = ready(devices=2)
    world.submit(*(batch(4 * n or 1) for n in range(6)))
    assert world.together() == {0: [1, 8, 16], 1: [4, 12, 20]}
    world.answer(0, 8)
    world.die(0)
    world.finish(1)
    assert world.together() == {1: [1]}
    world.load(0)
    world.finish(1)
    world.finish(1)
    assert sorted(world.done) == [1, 4, 8, 12, 16, 20]
    retried = {r.key.first for r in world.results if r.attempts > 1}
    assert retried == {1, 16}


def test_a_batch_whose_flight_failed_is_tried_alone() -> None:
    world = ready()
    world.submit(*(batch(4 * n or 1, task=f"{n}") for n in range(3)))
    world.die(0)
    world.load(0)
    for first in (1, 4, 8):
        assert world.together() == {0: [first]}
        world.finish(0)


def test_the_others_fly_together_beside_a_retry() -> None:
    world = ready()
    world.submit(batch(1, task="bad"))
    world.die(0)
    world.submit(batch(4, task="b"), batch(8, task="c"))
    world.load(0)
    assert world.together() == {0: [1]}
    world.finish(0)
    assert world.together() == {0: [4, 8]}


def test_a_batch_that_ends_every_worker_takes_no_other_down() -> None:
    world = ready()
    world.submit(*(batch(4 * n or 1, task="bad" if n == 1 else "good") for n in range(4)))
    while world.flights:
        if 4 in world.together()[0]:
            world.die(0)
            world.revive(0)
        else:
            world.finish(0)
    assert (world.lost, sorted(world.done)) == ([4], [1, 8, 12])


def test_a_task_that_ends_every_worker_is_given_up_as_soon_as_if_it_flew_alone() -> None:
    """Four deaths: one of them with others on board. No slot is parked by it."""
    world = ready(devices=2)
    world.submit(*(batch(n, 1, task="bad" if n % 2 else "good") for n in range(8)))
    deaths = 0
    for _ in range(100):
        bad = [s for s, firsts in world.together().items() if any(n % 2 for n in firsts)]
        if bad:
            world.die(bad[0])
            world.revive(bad[0])
            deaths += 1
        elif world.flights:
            world.finish(min(world.flights))
    assert deaths <= 5, "two flights may have been on their way at once"
    assert sorted(world.done) == [0, 2, 4, 6]
    assert sorted(world.lost) == [1, 3, 5, 7]


def test_a_task_that_has_ended_a_worker_flies_alone_until_a_batch_of_it_comes() -> None:
    world = ready()
    world.submit(batch(1, task="bad"), batch(4, task="good"))
    for _ in range(2):
        world.die(0)
        world.revive(0)
    assert (world.lost, world.together()) == ([1], {0: [4]})
    world.submit(*(batch(n, task="bad" if n == 8 else "good") for n in (8, 12, 16)))
    world.finish(0)
    assert world.together() == {0: [8]}
    world.finish(0)
    world.submit(batch(20, task="bad"))
    assert world.together() == {0: [12, 16]}
    world.submit(batch(24, task="good"))
    world.finish(0)
    assert world.together() == {0: [20, 24]}


def test_an_innocent_task_is_not_blamed_for_every_flight_that_it_was_in() -> None:
    world = World(5, 64, together=2)
    world.step()
    world.load()
    world.submit(*(batch(4 * n or 1, 1, task="bad" if n % 2 else "good") for n in range(10)))
    assert len(world.together()) == 5
    for slot in range(5):
        world.die(slot)
    assert not [r for r in world.results if r.key.task_id == "good"]


def test_after_a_good_batch_a_task_that_was_suspected_flies_with_others_again() -> None:
    world = ready()
    world.submit(batch(1), batch(4, channel="other"))
    world.die(0)
    world.load(0)
    world.finish(0)
    world.finish(0)
    world.submit(batch(8), batch(12, channel="other"))
    assert world.together() == {0: [8, 12]}


def test_a_hung_worker_fails_only_what_it_has_not_answered() -> None:
    world = ready(devices=2, picture_s=1.0)
    world.submit(*(batch(4 * n or 1) for n in range(4)))
    world.answer(0, 1)
    world.hang(0)
    assert world.done == [1]
    world.finish(1)
    assert world.together()[1] == [8]
    assert world.credits.free == 64 - 4 * 5, "the hung one may still write"
    world.die(0)
    world.finish(1)
    assert sorted(world.done) == [1, 4, 8, 12]
    world.release_all()
    assert world.credits.free == 64


def test_a_lost_batch_says_that_its_worker_had_others_too_long() -> None:
    world = World(1, together=2, limits=Limits(restart_pauses_s=(0.0,)))
    world.step()
    world.load()
    world.submit(batch(1), batch(4, needed_by=world.now + 100))
    while not world.condemned:
        world.step(0.5)
        world.beat()
    assert "2 batches together of 8 not done" in world.dispatcher.slots[0]._verdict


# --- time and speed ---------------------------------------------------------------------------


def given_s(world: World, slot: int = 0) -> float:
    """Seconds from now until a worker is judged whose engine stands still but which gives signs."""
    began = world.now
    while slot not in world.condemned:
        world.step(0.25)
        world.beat()
    return world.now - began


def test_a_flight_is_given_the_time_of_all_its_batches() -> None:
    world = ready(picture_s=1.0)
    world.submit(*(batch(4 * n or 1) for n in range(3)))
    assert given_s(world) == pytest.approx(5.0 * 12, abs=0.5)


def test_an_answer_is_a_step_and_what_is_left_has_its_own_time() -> None:
    world = ready(picture_s=1.0)
    world.submit(*(batch(4 * n or 1) for n in range(3)))
    world.now += 50
    world.beat()
    world.answer(0, 1, 50.0)
    assert given_s(world) == pytest.approx(5.0 * 8, abs=0.5)


def test_no_flight_is_given_less_than_its_batches_alone_however_fast_they_were_together() -> None:
    world = ready(picture_s=1.0)
    for n in range(1, 21):
        world.submit(*(batch(16 * n + 4 * m) for m in range(4)))
        world.finish(0, after_s=4.0)
        world.release_all()
    world.submit(batch(400))
    assert given_s(world) == pytest.approx(5.0 * 4, abs=0.5)


def test_speed_is_what_the_worker_does_together_and_a_channel_has_its_share() -> None:
    world = ready()
    for n in range(30):
        each = batch(8 * n)
        channels = ["main", "two", "three", "four"]
        keys = [replace(each.key, channel=channel) for channel in channels]
        world.submit(*(replace(each, key=key) for key in keys))
        for order in world.flights.pop(0):
            world.now += 0.02
            took_s = 0.02 * (1 + channels.index(order.batch.key.channel))
            world.dispatcher.done(0, order.serial, took_s, world.now)
        world.step()
        world.release_all()
    report = world.dispatcher.report(world.now)
    assert report.fps == pytest.approx(16 / 0.08, rel=0.01)
    assert report.fps_of(PRESENTER.name) == pytest.approx(4 / 0.08, rel=0.01)


def test_a_channel_that_has_a_worker_for_itself_has_all_of_its_speed() -> None:
    world = ready()
    for n in range(30):
        world.submit(*(batch(16 * n + 4 * m) for m in range(4)))
        world.finish(0, after_s=0.08)
        world.release_all()
    report = world.dispatcher.report(world.now)
    assert report.fps == report.fps_of(PRESENTER.name) == pytest.approx(200.0, rel=0.01)


def test_a_flight_that_was_called_off_in_part_is_no_measure() -> None:
    world = ready()
    world.submit(batch(1), batch(4, channel="other"))
    before = world.dispatcher.report(world.now).fps
    world.dispatcher.bump("other", 1)
    world.finish(0, after_s=0.001)
    assert world.dispatcher.report(world.now).fps == before


# --- whatever happens -------------------------------------------------------------------------

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *["submit"] * 4,
                *["finish", "answer", "answer", "refuse", "die", "load", "pass"],
                *["beat", "bump", "drop", "free"],
            ]
        ),
        st.integers(0, 2),
        st.floats(0, 5),
    ),
    max_size=80,
)


@settings(max_examples=300, deadline=None)
@given(EVENTS, st.integers(1, 3), st.integers(4, 40), st.integers(2, 5))
def test_every_batch_is_answered_exactly_once_whatever_happens(
    events: list[tuple[str, int, float]], devices: int, pictures: int, together: int
) -> None:
    world = World(devices, pictures, Limits(park_s=5.0), together=together)
    unwanted: set[BatchKey] = set()
    submitted: list[BatchKey] = []
    epochs = {f"{n}": 0 for n in range(3)}
    for kind, number, seconds in events:
        name = f"{number}"
        if kind == "submit":
            late = {} if seconds > 1 else {"needed_by": world.now + 4 * seconds}
            first, epoch = 4 * len(submitted), epochs[name]
            each = batch(first, channel=name, task=f"{first % 3}", epoch=epoch, **late)
            if world.dispatcher.ledger.add(each):
                submitted.append(each.key)
        elif kind in {"bump", "drop"}:
            unwanted |= _call_off(world, kind, name, epochs, submitted)
        elif kind in {"answer", "refuse"}:
            _answer_one(world, kind, number, seconds)
        else:
            world.happens(kind, number, seconds)
        world.step()
    settle(world)
    keys = [result.key for result in world.results]
    assert len(keys) == len(set(keys))
    assert set(keys) >= set(submitted) - unwanted
    assert set(keys) <= set(submitted)
    world.release_all()
    assert world.credits.free == pictures


def _answer_one(world: World, kind: str, slot: int, seconds: float) -> None:
    """Some batch of a flight, if there is one."""
    if slot in world.flights and slot not in world.condemned:
        sends = world.flights[slot]
        first = sends[int(seconds) % len(sends)].batch.key.first
        world.answer(slot, first, refused="no face" if kind == "refuse" else "")


def _call_off(
    world: World, kind: str, channel: str, epochs: dict[str, int], submitted: list[BatchKey]
) -> set[BatchKey]:
    if kind == "bump":
        epochs[channel] += 1
        world.dispatcher.bump(channel, epochs[channel])
        return {key for key in submitted if key.channel == channel}
    world.dispatcher.drop(lambda key: (key.channel, key.task_id) == (channel, "0"))
    return {key for key in submitted if (key.channel, key.task_id) == (channel, "0")}


def test_a_refused_flight_leaves_no_loss_unexplained() -> None:
    world = ready()
    world.submit(batch(1), batch(4))
    world.answer(0, 4, refused="two faces")
    (lost,) = [each for each in world.results if isinstance(each, BatchLost)]
    assert lost.reason == "refused: two faces"
