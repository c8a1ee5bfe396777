"""Who gets which batch, who is judged: in virtual time, workers and all."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pool.contracts import BatchDone, BatchKey, SlotState
from gpu_pool.limits import Limits
from gpu_pool.orders import Start
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
        elif kind == "bump":
            epoch += 1
            world.dispatcher.bump("main", epoch)
        else:
            world.happens(kind, slot, seconds)
        world.step()
    settle(world)
    keys = [result.key for result in world.results]
    assert len(keys) == len(set(keys))
    assert set(keys) >= {key for key in submitted if key.epoch == epoch}
    assert set(keys) <= set(submitted)
    world.release_all()
    assert world.credits.free == pictures


def settle(world: World) -> None:
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
