"""Real workers with several engines and avatars that come, fail and go while a task is rendered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gpu_pool.contracts import (
    AvatarRef,
    AvatarState,
    BatchDone,
    BatchLost,
    EngineSpec,
    PictureFormat,
    SlotState,
)
from gpu_pool.limits import Limits
from tests.doubles.pool_stage import (
    AVATAR,
    TINY,
    PoolStage,
    assert_whole,
    no_sound,
    pool_stage,
)

OTHER = replace(AVATAR, name="other", engine=EngineSpec("simulated", {"batch_pictures": 4}))


def stands(stage: PoolStage, name: str, state: AvatarState) -> str:
    stage.until(lambda: stage.pool.standing(name).state is state, f"{name} {state}")
    return stage.pool.standing(name).reason


def pids(stage: PoolStage) -> list[int | None]:
    return [slot.pid for slot in stage.pool.report().slots]


def test_one_worker_renders_with_two_engines(tmp_path: Path) -> None:
    probe = EngineSpec("tests.doubles.probe_engine", {"file": str(tmp_path / "lives")})
    with pool_stage(tmp_path, devices=["cpu"], others=[replace(OTHER, engine=probe)]) as stage:
        stage.until_state(0, SlotState.READY)
        shaded = replace(stage.batch("b", no_sound(8), 0, 8), avatar="other")
        assert stage.pool.submit(shaded)
        (done,) = stage.answers(1)
        assert isinstance(done, BatchDone)
        picture = stage.reader.picture(done.pictures[3], TINY)
        pid = stage.slot(0).pid
        assert picture is not None
        assert pid is not None
        assert (picture == pid & 0xFF).all()
        stage.pool.release(done.pictures)
        assert_whole(stage.speak(16), 16)
        assert len((tmp_path / "lives").read_text().splitlines()) == 1


def test_an_avatar_is_prepared_while_a_task_is_rendered(tmp_path: Path) -> None:
    with pool_stage(tmp_path) as stage:
        stage.until_state(0, SlotState.READY)
        before = pids(stage)

        def ask(released: int) -> None:
            stage.pool.prepare(OTHER)

        assert_whole(stage.speak(100, between=ask), 100)
        stands(stage, "other", AvatarState.READY)
        needs = stage.pool.needs("other")
        assert needs is not None
        assert needs.batch_pictures == 4
        stage.until(lambda: all("other" in s.avatars for s in stage.pool.report().slots))
        assert pids(stage) == before


def test_an_avatar_that_is_refused_fails_alone(tmp_path: Path) -> None:
    with pool_stage(tmp_path, devices=["cpu"]) as stage:
        stage.until_state(0, SlotState.READY)
        before = pids(stage)
        stage.pool.prepare(replace(OTHER, options={"refused": "no face"}))
        assert stands(stage, "other", AvatarState.FAILED) == "no face"
        stage.pool.submit(replace(stage.batch("b", no_sound(8), 0, 8), avatar="other"))
        (lost,) = stage.answers(1)
        assert isinstance(lost, BatchLost)
        assert_whole(stage.speak(16), 16)
        assert pids(stage) == before


def test_an_engine_that_is_not_installed_is_a_refusal(tmp_path: Path) -> None:
    with pool_stage(tmp_path, devices=["cpu"]) as stage:
        stage.pool.prepare(replace(OTHER, engine=EngineSpec("no.such.engine")))
        assert "No module named 'no'" in stands(stage, "other", AvatarState.FAILED)
        assert_whole(stage.speak(16), 16)


@pytest.mark.parametrize("kind", ["kill", "raise", "hang", "hang_with_lock"])
def test_an_avatar_that_ends_workers_is_given_up_and_the_others_are_rendered(
    tmp_path: Path, kind: str
) -> None:
    limits = Limits(
        beat_s=0.1, load_silent_s=1.5, prepare_s=1.5, restart_pauses_s=(0.0,), dump_s=0.1
    )
    with pool_stage(tmp_path, limits=limits) as stage:
        stage.until_state(0, SlotState.READY)
        stage.until_state(1, SlotState.READY)
        stage.pool.prepare(replace(OTHER, options={"fault": kind}))
        told = stage.speak(200)
        assert_whole(told, 200)
        assert "it ended 2 workers" in stands(stage, "other", AvatarState.FAILED)
        for number in (0, 1):
            stage.until_state(number, SlotState.READY)
        deaths = [n for slot in stage.pool.report().slots for n in slot.deaths.values()]
        assert sum(deaths) == 2
        assert_whole(stage.speak(16), 16)


def test_an_avatar_that_ends_workers_from_the_start_is_given_up(tmp_path: Path) -> None:
    bad = replace(OTHER, options={"fault": "exit"})
    with pool_stage(tmp_path, devices=["cpu"], others=[bad]) as stage:
        assert_whole(stage.speak(16), 16)
        stands(stage, "other", AvatarState.FAILED)
        stage.until_state(0, SlotState.READY)


def test_an_avatar_comes_and_goes(tmp_path: Path) -> None:
    with pool_stage(tmp_path, devices=["cpu"]) as stage:
        for _ in range(3):
            stage.pool.prepare(OTHER)
            stands(stage, "other", AvatarState.READY)
            stage.pool.forget("other")
            assert stage.pool.needs("other") is None
            with pytest.raises(ValueError, match="no avatar 'other'"):
                stage.pool.submit(replace(stage.batch("b", no_sound(8), 0, 8), avatar="other"))
        assert_whole(stage.speak(16), 16)


def test_an_avatar_too_large_for_the_ring_is_refused_at_once(tmp_path: Path) -> None:
    with pool_stage(tmp_path, devices=["cpu"]) as stage:
        large = AvatarRef("large", "", PictureFormat(128, 72, 25))
        with pytest.raises(ValueError, match="do not fit into the ring"):
            stage.pool.prepare(large)
