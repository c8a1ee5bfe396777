"""Workers that end: what becomes of their batches and slots, in virtual time."""

from __future__ import annotations

import pytest

from gpu_pool.contracts import BatchLost, SlotState
from gpu_pool.orders import Start
from tests.doubles.pool_world import World, batch
from tests.unit.test_pool_dispatch import ready, state


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
    world.answer(0, 0, refused="no face")
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
