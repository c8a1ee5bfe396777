"""Workers that hang, load for ever or are left alone: who is judged, in virtual time."""

from __future__ import annotations

from gpu_pool.limits import Limits
from gpu_pool.orders import Dump, Kill
from tests.doubles.pool_world import World, batch
from tests.unit.test_pool_dispatch import ready


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


def test_a_batch_far_slower_than_measured_is_waited_for_while_its_engine_goes_on() -> None:
    world = ready(devices=1)
    world.submit(batch(0))
    for step in range(1, 61):  # twenty times what an engine that stands still is given
        world.step(1.0)
        world.beat(steps=step)
    assert not world.condemned
    for _ in range(5):
        world.step(1.0)
        world.beat(steps=60)
    assert world.condemned == {0}


def test_an_avatar_is_waited_for_while_its_engine_goes_on_but_not_for_ever() -> None:
    limits = Limits()
    world = World(1)
    world.step()
    world.begin(0)
    began, step = world.now, 0
    while not world.condemned:
        world.step(5.0)
        world.beat(steps=(step := step + 1))
        assert world.now - began <= limits.slow_s + 5
    assert world.now - began >= limits.slow_s


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
