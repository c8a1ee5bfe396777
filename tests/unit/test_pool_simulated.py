"""The simulated engine: its pictures can be told apart, torn ones from whole ones too."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_pool.contracts import (
    Answer,
    Batch,
    BatchKey,
    BatchRefused,
    EngineSpec,
    Job,
    Picture,
    PoolError,
)
from gpu_pool.engines.registry import make_engine
from gpu_pool.engines.simulated import Simulated, TornPicture, read_stamp, task_number
from gpu_pool.windows import cut_sound, sound_span
from tests.doubles.pool_stage import NEEDS, TINY, no_sound


def rendered(first: int, task: str = "a", engine: Simulated | None = None) -> list[Picture]:
    engine = engine or Simulated()
    sound = cut_sound(no_sound(100), 0, sound_span(NEEDS, 25, first, 2))
    batch = Batch(BatchKey("main", task, 0, first), 2, "presenter", 500 + first, sound)
    out = list(np.zeros((2, *TINY.shape), np.uint8))
    engine.render(batch, engine.features(sound, first, 2, 25), out, lambda: False)
    return out


def test_a_picture_tells_its_task_its_index_and_its_tick() -> None:
    stamp = read_stamp(rendered(7)[1])
    assert (stamp.task, stamp.picture, stamp.tick) == (task_number("a"), 8, 508)


@pytest.mark.parametrize("rows", [1, 20, 53])
def test_a_picture_of_which_only_a_part_is_new_is_torn(rows: int) -> None:
    old, new = rendered(0)[0], rendered(1)[0]
    old[:rows] = new[:rows]
    with pytest.raises(TornPicture):
        read_stamp(old)


def test_a_fault_strikes_as_often_as_told_whoever_counts(tmp_path: Path) -> None:
    fault = {"fault": "refuse", "picture": 3, "task": "a", "times": 2, "marks": str(tmp_path)}
    for _ in range(2):
        with pytest.raises(BatchRefused):
            rendered(3, engine=Simulated(faults=[fault]))
    rendered(3, engine=Simulated(faults=[fault]))
    rendered(3, task="b", engine=Simulated(faults=[{**fault, "times": None}]))


def test_an_abandoned_batch_is_left_where_it_is() -> None:
    engine, sound = Simulated(), no_sound(40)
    batch = Batch(BatchKey("main", "a", 0, 0), 2, "presenter", 0, sound)
    out = list(np.zeros((2, *TINY.shape), np.uint8))
    engine.render(batch, engine.features(sound, 0, 2, 25), out, lambda: True)
    assert not np.any(out)


def jobs(engine: Simulated, *lengths: int, unwanted: int = -1) -> list[Job[NDArray[np.uint32]]]:
    """Batches of task "0", "1", ... of so many pictures."""
    made = []
    for n, count in enumerate(lengths):
        sound = cut_sound(no_sound(100), 0, sound_span(NEEDS, 25, 0, count))
        batch = Batch(BatchKey("main", f"{n}", 0, 0), count, "presenter", 500, sound)
        out = list(np.zeros((count, *TINY.shape), np.uint8))
        heard = engine.features(sound, 0, count, 25)
        made.append(Job(batch, heard, out, lambda n=n: n == unwanted))
    return made


def test_batches_drawn_together_are_those_drawn_alone_and_the_shortest_comes_first() -> None:
    engine = Simulated(together=3)
    assert engine.needs.batches_together == 3
    given = jobs(engine, 3, 1, 2)
    assert list(engine.render_together(given)) == [Answer(1), Answer(2), Answer(0)]
    for job in given:
        alone = list(np.zeros((job.batch.count, *TINY.shape), np.uint8))
        engine.render(job.batch, job.features, alone, lambda: False)
        assert np.array_equal(job.out, alone)


def test_a_pass_takes_as_long_as_its_longest_batch() -> None:
    engine, began = Simulated(together=2, picture_s=0.02), time.monotonic()
    list(engine.render_together(jobs(engine, *[5] * 8)))
    assert 0.1 <= time.monotonic() - began < 0.8, "one after the other they take 0.8 s"


def test_a_refusal_or_nobodys_batch_ends_by_itself() -> None:
    engine = Simulated(together=4, faults=[{"fault": "refuse", "picture": 1, "task": "2"}])
    given = jobs(engine, 2, 2, 2, unwanted=0)
    answers = list(engine.render_together(given))
    assert answers == [Answer(0), Answer(1), Answer(2, "a scripted refusal")]
    assert not np.any(given[0].out)


def test_a_fault_of_batches_drawn_together_spares_one_drawn_alone() -> None:
    engine = Simulated(together=2, faults=[{"fault": "raise", "picture": 0, "together": True}])
    rendered(0, engine=engine)
    with pytest.raises(RuntimeError, match="scripted"):
        list(engine.render_together(jobs(engine, 1, 1)))


def test_engines_are_found_by_name_or_module_and_unknown_names_are_errors() -> None:
    assert isinstance(make_engine(EngineSpec("simulated")), Simulated)
    assert isinstance(make_engine(EngineSpec("gpu_pool.engines.simulated")), Simulated)
    with pytest.raises(PoolError, match="no engine 'nobody'; there are"):
        make_engine(EngineSpec("nobody"))
    with pytest.raises(TypeError, match="speed"):
        make_engine(EngineSpec("simulated", {"speed": 2}))
