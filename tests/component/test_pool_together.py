"""Real workers that draw batches of two channels by one pass: ended, hung, called off in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gpu_pool.contracts import Batch, BatchDone, BatchLost, BatchResult, SlotState
from gpu_pool.engines.simulated import read_stamp, task_number
from tests.doubles.pool_stage import AVATAR, TINY, PoolStage, fault, no_sound, pool_stage

ONE = {"devices": ["cpu"], "together": 4}
"""One worker that draws up to four batches by one pass."""


def of(channel: str, first: int, count: int = 8) -> Batch:
    """A batch of the task named as its channel."""
    made = PoolStage.batch(channel, no_sound(32), first, count)
    return replace(made, key=replace(made.key, channel=channel))


FOUR = (of("main", 8), of("main", 16, 2), of("other", 8), of("other", 16))
"""Of the middle of two tasks: a task's first one would not be drawn with its next ones. The second
one is through after two pictures of each."""


def submit(stage: PoolStage, batches: Sequence[Batch]) -> None:
    """They wait while the worker loads, and so are given to it at once."""
    for each in batches:
        assert stage.pool.submit(each)


def assert_drawn(stage: PoolStage, results: Sequence[BatchResult]) -> dict[tuple[str, int], int]:
    """Every picture is that of its task and index; attempts by channel and first picture."""
    attempts = {}
    for result in results:
        assert isinstance(result, BatchDone), result
        for offset, ref in enumerate(result.pictures):
            picture = stage.reader.picture(ref, TINY)
            assert picture is not None
            index = result.key.first + offset
            stamp = read_stamp(picture)
            assert (stamp.task, stamp.picture, stamp.tick) == (
                task_number(result.key.task_id),
                index,
                1000 + index,
            )
        stage.pool.release(result.pictures)
        attempts[result.key.channel, result.key.first] = result.attempts
    assert len(attempts) == len(results)
    return attempts


def test_batches_of_two_channels_come_from_one_pass_as_soon_as_each_is_done(
    tmp_path: Path,
) -> None:
    with pool_stage(tmp_path, picture_s=0.02, **ONE) as stage:
        submit(stage, FOUR)
        results = stage.answers(4)
        assert results[0].key == FOUR[1].key, "the short one does not wait for the others"
        assert set(assert_drawn(stage, results).values()) == {1}
        together_s = max(r.render_s for r in results if isinstance(r, BatchDone))
        assert together_s < 26 * 0.02, "one after the other they take that"
        report = stage.pool.report()
        assert report.fps > report.fps_of(AVATAR.name), "a channel has half of what both have"
        assert stage.ring.free == stage.ring.slots


@pytest.mark.parametrize(("kind", "death"), [("kill", "signal"), ("hang", "hung")])
def test_a_worker_that_ends_in_the_middle_of_a_pass_costs_a_retry_of_what_was_not_done(
    tmp_path: Path, kind: str, death: str
) -> None:
    faults = [fault(tmp_path, kind, 20, task="other", together=True)]
    with pool_stage(tmp_path, faults=faults, **ONE) as stage:
        submit(stage, FOUR)
        attempts = assert_drawn(stage, stage.answers(4))
        assert attempts == {("main", 8): 2, ("main", 16): 1, ("other", 8): 2, ("other", 16): 2}
        assert stage.slot(0).deaths == {death: 1}
        stage.until(lambda: stage.ring.free == stage.ring.slots)


def test_a_batch_that_ends_every_worker_is_lost_and_those_drawn_with_it_come(
    tmp_path: Path,
) -> None:
    faults = [{"fault": "kill", "picture": 20, "task": "other"}]
    with pool_stage(tmp_path, faults=faults, **ONE) as stage:
        submit(stage, FOUR)
        results = stage.answers(4)
        lost = [each for each in results if isinstance(each, BatchLost)]
        assert [each.key for each in lost] == [FOUR[3].key]
        assert_drawn(stage, [each for each in results if isinstance(each, BatchDone)])
        assert stage.slot(0).deaths == {"signal": 2}
        assert stage.ring.free == stage.ring.slots


def test_a_channel_that_is_interrupted_leaves_the_pass_and_the_other_stays(tmp_path: Path) -> None:
    long = [replace(of(name, 0, 8), count=8) for name in ("main", "other")]
    with pool_stage(tmp_path, picture_s=0.1, batch_pictures=1, **ONE) as stage:
        submit(stage, long)
        stage.until_state(0, SlotState.BUSY)
        stage.pool.bump("other", 1)
        results = stage.answers(1)
        stage.until_state(0, SlotState.READY)
        assert list(assert_drawn(stage, results)) == [("main", 0)]
        assert stage.pool.poll() == []
        assert stage.slot(0).deaths == {}
        assert stage.ring.free == stage.ring.slots
