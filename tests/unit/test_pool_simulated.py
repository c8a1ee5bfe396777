"""The simulated engine: its pictures can be told apart, torn ones from whole ones too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpu_pool.contracts import Batch, BatchKey, BatchRefused, EngineSpec, Picture, PoolError
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


def test_engines_are_found_by_name_or_module_and_unknown_names_are_errors() -> None:
    assert isinstance(make_engine(EngineSpec("simulated")), Simulated)
    assert isinstance(make_engine(EngineSpec("gpu_pool.engines.simulated")), Simulated)
    with pytest.raises(PoolError, match="no engine 'nobody'; there are"):
        make_engine(EngineSpec("nobody"))
    with pytest.raises(TypeError, match="speed"):
        make_engine(EngineSpec("simulated", {"speed": 2}))
