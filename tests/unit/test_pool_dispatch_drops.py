"""Batches that nobody waits for, or that are late, in virtual time."""

from __future__ import annotations

import pytest

from gpu_pool.orders import Abandon
from tests.doubles.pool_world import World, batch
from tests.unit.test_pool_dispatch import ready


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
