"""Avatars come and go while workers render; one that is bad fails alone."""

from __future__ import annotations

from gpu_pool.contracts import AvatarState, BatchLost, SlotState
from gpu_pool.limits import Limits
from gpu_pool.orders import Learn, Send, Start, Unlearn
from tests.doubles.pool_world import NEEDS, World, batch

PREPARING, READY, FAILED = AvatarState.PREPARING, AvatarState.READY, AvatarState.FAILED


def loaded(devices: int = 2, **more: float) -> World:
    world = World(devices, limits=Limits(**more))  # type: ignore[arg-type]
    world.step()
    world.load()
    return world


def standing(world: World, name: str) -> AvatarState:
    return world.dispatcher.roster.standing(name).state


def learning(world: World) -> list[int]:
    return [slot for slot, serials in sorted(world.preparing.items()) if serials]


def test_an_avatar_that_is_asked_for_is_prepared_by_one_worker_then_by_all() -> None:
    world = loaded(3)
    world.want("leon")
    assert (learning(world), standing(world, "leon")) == ([0], PREPARING)
    world.begin(0)
    world.prepare(0)
    assert (learning(world), standing(world, "leon")) == ([1, 2], READY)
    world.prepare(1)
    world.prepare(2)
    assert all("leon" in slot.speeds for slot in world.dispatcher.slots)


def test_asking_again_changes_nothing() -> None:
    world = loaded()
    world.want("leon")
    world.want("leon")
    world.prepare(0)
    assert world.want("leon", "presenter") == []


def test_a_batch_goes_only_to_workers_that_have_its_avatar() -> None:
    world = loaded()
    world.want("leon")
    world.submit(batch(0, avatar="leon"), batch(4), batch(8, avatar="leon"))
    assert world.sent_to() == {1: 4}, "the one of a ready avatar overtakes"
    world.prepare(0)
    assert world.sent_to() == {0: 0, 1: 4}
    world.finish(1)
    assert learning(world) == [1] or world.sent_to() == {0: 0}


def test_a_worker_with_batches_prepares_between_them_after_a_while() -> None:
    world = loaded(1, prepare_patience_s=5.0)
    world.submit(batch(0), batch(4), batch(8))
    world.want("leon")
    world.finish(0, 3.0)
    assert world.sent_to() == {0: 4}, "what is on air goes first"
    world.finish(0, 3.0)
    assert world.sent_to() == {}
    assert learning(world) == [0]
    world.prepare(0)
    assert world.sent_to() == {0: 8}


def test_an_avatar_that_is_refused_fails_alone_with_its_batches() -> None:
    world = loaded()
    world.want("leon")
    world.submit(batch(0, avatar="leon"))
    world.refuse(0, "two faces")
    assert world.dispatcher.roster.standing("leon").reason == "two faces"
    assert standing(world, "leon") is FAILED
    (lost,) = [each for each in world.results if isinstance(each, BatchLost)]
    assert lost.reason == "avatar leon has failed: two faces"
    assert learning(world) == []
    assert world.submit(batch(4)) != []


def test_an_avatar_that_has_failed_is_tried_again_when_it_is_asked_for_again() -> None:
    world = loaded(1)
    world.want("leon")
    world.refuse(0, "two faces")
    world.want("leon")
    assert standing(world, "leon") is PREPARING
    world.prepare(0)
    assert standing(world, "leon") is READY


def test_an_avatar_that_ends_two_workers_is_given_up_and_they_come_back() -> None:
    world = loaded()
    world.want("leon")
    world.begin(0)
    world.die(0)
    assert learning(world) == [0, 1], "the next worker tries, the first one comes back"
    world.load(0)
    world.begin(1)
    world.die(1)
    assert standing(world, "leon") is FAILED
    reason = world.dispatcher.roster.standing("leon").reason
    assert reason.startswith("it ended 2 workers while it was prepared, the last: killed by")
    for slot in (0, 1):
        if slot not in world.loaded:
            world.load(slot)
    assert learning(world) == []
    world.submit(batch(0), batch(4))
    assert world.sent_to() == {0: 0, 1: 4}


def test_a_worker_that_comes_back_has_the_good_avatars_before_it_tries_the_bad_one() -> None:
    world = loaded(1)
    world.want("leon")
    world.begin(0)
    orders = world.die(0)
    (start,) = [each for each in orders if isinstance(each, Start)]
    assert [avatar.name for _, avatar in start.avatars] == ["presenter"]
    world.submit(batch(0))
    world.load(0)
    assert world.sent_to() == {0: 0}, "what is on air goes before it, too"


def test_a_death_is_not_blamed_on_an_avatar_that_was_ready_before() -> None:
    world = loaded(1)
    world.want("leon")
    world.prepare(0)
    for _ in range(3):
        world.die(0)
        while 0 not in world.running:
            world.wait()
        world.begin(0)
    assert standing(world, "leon") is PREPARING


def test_the_only_avatar_is_tried_on_and_on_as_it_may_be_the_device() -> None:
    world = World(1)
    world.step()
    for _ in range(4):
        world.begin(0)
        world.die(0)
        while 0 not in world.running:
            world.wait()
    assert standing(world, "presenter") is FAILED, "said, all the same"
    world.load(0)
    assert standing(world, "presenter") is READY


def test_a_parked_slot_speaks_for_the_avatars_that_were_given_up() -> None:
    world = World(1)
    world.dispatcher.roster.want(world.dispatcher.roster.for_start()[0].avatar, world.now)
    world.step()
    world.want("leon")
    for _ in range(5):
        while 0 not in world.running:
            world.wait()
        if world.preparing[0]:
            world.begin(0)
        world.die(0)
    assert world.dispatcher.slots[0].state is SlotState.PARKED
    while 0 not in world.running:
        world.wait()
    world.load(0)
    while learning(world):
        world.prepare(0)
    assert {standing(world, name) for name in ("presenter", "leon")} == {READY}


def test_a_worker_that_hangs_over_an_avatar_is_judged_and_the_avatar_blamed() -> None:
    world = loaded(1, prepare_s=10.0, load_silent_s=30.0)
    world.want("leon")
    world.begin(0)
    began = world.now
    world.hang(0)
    assert world.now - began <= 10.5
    world.die(0)
    assert "an avatar not ready after" in world.dispatcher.roster.standing("leon").reason


def test_an_avatar_that_is_forgotten_is_freed_and_its_batches_are_answered() -> None:
    world = loaded(1)
    world.want("leon")
    world.prepare(0)
    world.submit(batch(0), batch(4, avatar="leon"))
    world.dispatcher.forget("leon")
    assert world.step() == [Unlearn(0, "leon")]
    assert world.lost == [4]
    assert standing(world, "leon") is FAILED


def test_an_avatar_forgotten_while_it_is_prepared_and_wanted_again_is_prepared_again() -> None:
    world = loaded(1)
    world.want("leon")
    old = world.preparing[0].pop()
    world.dispatcher.forget("leon")
    world.want("leon")
    world.dispatcher.prepared(0, old, NEEDS, (0.1, 4), world.now)
    orders = world.step()
    assert [type(each) for each in orders] == [Unlearn, Learn]
    assert standing(world, "leon") is PREPARING
    world.prepare(0)
    assert standing(world, "leon") is READY
    assert any(isinstance(each, Send) for each in world.submit(batch(0, avatar="leon")))
