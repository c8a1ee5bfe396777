"""G11 to G13 with real processes: whatever ends a worker, every batch is answered exactly once."""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path

import pytest

from gpu_pool.contracts import BatchLost, SlotState
from gpu_pool.limits import Limits
from tests.doubles.pool_stage import assert_whole, fault, no_sound, pool_stage

PICTURES = 100
FIRST, MIDDLE, LAST = 0, 51, 99
ENDS = ["exit", "crash", "kill", "raise"]
HANGS = ["hang", "hang_with_lock", "stop"]


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("picture", [FIRST, MIDDLE, LAST])
def test_a_worker_that_ends_costs_one_retry_and_nothing_else(
    tmp_path: Path, kind: str, picture: int
) -> None:
    with pool_stage(tmp_path, faults=[fault(tmp_path, kind, picture)]) as stage:
        told = stage.speak(PICTURES)
        assert_whole(told, PICTURES)
        assert told.retried == [picture // 8 * 8]
        deaths = [dict(report.deaths) for report in stage.pool.report().slots]
        word = "exit" if kind in {"exit", "raise"} else "signal"
        assert {word: 1} in deaths
        assert {} in deaths
        assert stage.ring.free == stage.ring.slots


@pytest.mark.parametrize("kind", ["kill", "exit"])
def test_a_worker_that_ends_behind_its_last_picture_but_before_its_answer(
    tmp_path: Path, kind: str
) -> None:
    with pool_stage(tmp_path, faults=[fault(tmp_path, kind, LAST, after=True)]) as stage:
        told = stage.speak(PICTURES)
        assert_whole(told, PICTURES)
        assert told.retried == [96]


@pytest.mark.parametrize("kind", HANGS)
@pytest.mark.parametrize("picture", [FIRST, MIDDLE, LAST])
def test_a_worker_that_hangs_costs_one_retry_and_nothing_else(
    tmp_path: Path, kind: str, picture: int
) -> None:
    with pool_stage(tmp_path, faults=[fault(tmp_path, kind, picture)]) as stage:
        told = stage.speak(PICTURES)
        assert_whole(told, PICTURES)
        assert told.retried == [picture // 8 * 8]
        stage.until(lambda: sum(r.deaths.get("hung", 0) for r in stage.pool.report().slots) == 1)
        stage.until(lambda: stage.ring.free == stage.ring.slots)


def test_the_stacks_of_a_worker_hung_in_native_code_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING, "gpu_pool"),
        pool_stage(tmp_path, faults=[fault(tmp_path, "hang_with_lock", 3)]) as stage,
    ):
        stage.speak(16)
        stage.until(lambda: any("in _hang_with_lock" in line for line in caplog.messages))


def test_an_idle_worker_that_stops_is_replaced(tmp_path: Path) -> None:
    with pool_stage(tmp_path, devices=["cpu"]) as stage:
        stage.until_state(0, SlotState.READY)
        pid = stage.slot(0).pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        stage.until(lambda: stage.slot(0).pid not in (None, pid))
        assert_whole(stage.speak(16), 16)


def test_a_worker_stopped_for_less_than_the_limit_is_left_alone(tmp_path: Path) -> None:
    with pool_stage(tmp_path, devices=["cpu"], limits=Limits(beat_s=0.1)) as stage:
        stage.until_state(0, SlotState.READY)
        pid = stage.slot(0).pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.3)
        os.kill(pid, signal.SIGCONT)
        assert_whole(stage.speak(16), 16)
        assert stage.slot(0).pid == pid


def test_a_death_is_seen_at_once_and_the_other_worker_is_untouched(tmp_path: Path) -> None:
    with pool_stage(tmp_path) as stage:
        for number in (0, 1):
            stage.until_state(number, SlotState.READY)
        first, second = stage.slot(0).pid, stage.slot(1).pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        stage.until(lambda: stage.slot(0).deaths == {"signal": 1})
        stage.until(lambda: stage.slot(0).state is SlotState.READY)
        assert stage.slot(0).pid != first
        assert stage.slot(1).pid == second


def test_a_batch_that_kills_two_workers_is_lost_and_the_rest_of_the_task_comes(
    tmp_path: Path,
) -> None:
    with pool_stage(tmp_path, faults=[{"fault": "kill", "picture": MIDDLE}]) as stage:
        told = stage.speak(PICTURES)
        assert_whole(told, PICTURES, lost=range(48, 56))
        (lost,) = told.lost
        assert "killed by SIGKILL" in lost.reason


def test_a_crash_loop_parks_its_slot_says_so_and_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cause = {"fault": "raise", "picture": -1, "times": 6, "marks": str(tmp_path)}
    with (
        caplog.at_level(logging.ERROR, "gpu_pool"),
        pool_stage(tmp_path, devices=["cpu"], faults=[cause]) as stage,
    ):
        stage.until_state(0, SlotState.PARKED)
        report = stage.pool.report()
        assert report.slots[0].deaths == {"load": 5}
        assert "a scripted failure of the device" in report.slots[0].last_error
        assert 0 < report.retry_after_s <= 2.0
        assert any("parked" in line for line in caplog.messages)
        stage.until(lambda: stage.slot(0).deaths == {"load": 6})
        assert stage.slot(0).state is SlotState.PARKED, "a failed trial parks at once"
        stage.until_state(0, SlotState.READY)
        assert_whole(stage.speak(16), 16)


def test_a_crash_loop_on_one_slot_does_not_disturb_the_other(tmp_path: Path) -> None:
    cause = {"fault": "exit", "picture": -1, "times": 5, "marks": str(tmp_path)}
    with pool_stage(tmp_path, faults=[cause]) as stage:
        assert_whole(stage.speak(PICTURES), PICTURES)


def test_a_refused_batch_is_lost_at_once_and_its_worker_lives(tmp_path: Path) -> None:
    with pool_stage(
        tmp_path, devices=["cpu"], faults=[{"fault": "refuse", "picture": MIDDLE}]
    ) as stage:
        told = stage.speak(PICTURES)
        assert_whole(told, PICTURES, lost=range(48, 56))
        assert told.lost[0].reason == "refused: a scripted refusal"
        assert stage.slot(0).deaths == {}


def test_a_load_that_never_ends_is_ended(tmp_path: Path) -> None:
    limits = Limits(beat_s=0.1, load_s=0.5, restart_pauses_s=(0.0,))
    with pool_stage(
        tmp_path, devices=["cpu"], limits=limits, faults=[fault(tmp_path, "hang", -1)]
    ) as stage:
        stage.until(lambda: stage.slot(0).deaths.get("load"))
        assert "not ready" in stage.slot(0).last_error


def test_what_is_unanswered_when_the_pool_closes_is_answered_as_lost(tmp_path: Path) -> None:
    with pool_stage(tmp_path, devices=["cpu"], picture_s=5.0, load_s=0.0) as stage:
        stage.pool.submit(stage.batch("a", no_sound(8), 0, 8))
        began = time.monotonic()
        stage.pool.close()
        assert time.monotonic() - began < 10
        (lost,) = stage.pool.poll()
        assert isinstance(lost, BatchLost)
        assert lost.reason == "the pool has ended"
        assert stage.slot(0).state is SlotState.STOPPED


def test_every_worker_killed_again_and_again_while_a_long_task_is_rendered(tmp_path: Path) -> None:
    with pool_stage(tmp_path) as stage:
        killed: list[int] = []

        def strike(released: int) -> None:
            if released // 100 > len(killed):
                report = stage.slot(len(killed) % 2)
                if report.state is SlotState.BUSY and report.pid:
                    os.kill(report.pid, signal.SIGKILL)
                    killed.append(report.pid)

        told = stage.speak(1000, between=strike)
        assert len(set(killed)) == len(killed) >= 3
        lost = {i for each in told.lost for i in range(each.key.first, each.key.first + each.count)}
        assert_whole(told, 1000, lost=sorted(lost))
        assert stage.ring.free == stage.ring.slots
