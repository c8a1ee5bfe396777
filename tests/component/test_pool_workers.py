"""What a worker is given, what it hears and draws."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_pool.contracts import (
    AvatarState,
    BatchDone,
    BatchResult,
    EngineSpec,
    SlotState,
)
from gpu_pool.limits import Limits
from gpu_pool.pool import Pool
from gpu_pool.ring import Ring
from tests.doubles.pool_stage import (
    AVATAR,
    LIVENESS_S,
    TINY,
    PoolStage,
    assert_whole,
    fault,
    no_sound,
    pool_stage,
)

# --- pictures -------------------------------------------------------------------------------


def test_each_picture_is_drawn_to_its_own_sound(tmp_path: Path) -> None:
    """Sound made so that each picture's samples have a loudness of their own."""
    pictures = 45
    levels = np.arange(1, pictures + 1, dtype=np.float32) / 100
    with pool_stage(tmp_path) as stage:
        told = stage.speak(pictures, np.repeat(levels, 640))
    loudness = [stamp.loudness for stamp in told.pictures.values() if stamp is not None]
    assert loudness == [10_000 * n for n in range(1, pictures + 1)]


def test_two_tasks_at_once_do_not_mix(tmp_path: Path) -> None:
    """LatentsyncRealtime plays the pictures of two tasks interleaved."""
    with pool_stage(tmp_path) as stage:
        for first in (0, 8, 16):
            for task in ("a", "b"):
                stage.pool.submit(stage.batch(task, no_sound(24), first, 8))
        results = stage.answers(6)
        for task in ("a", "b"):
            mine = [r.key.first for r in results if r.key.task_id == task]
            assert sorted(mine) == [0, 8, 16]


def test_a_ring_that_nobody_empties_stops_the_workers_and_not_the_caller(tmp_path: Path) -> None:
    """Duix-Avatar: "queue full, downstream blocked" for ever (#226, #466)."""
    with pool_stage(tmp_path, pictures=16) as stage:
        taken = [stage.pool.submit(stage.batch("a", no_sound(80), 8 * n, 8)) for n in range(12)]
        assert taken[-1] is False
        results = stage.answers(2)
        assert stage.ring.free == 0
        assert stage.pool.poll(0.2) == []
        for result in results:
            assert isinstance(result, BatchDone)
            stage.pool.release(result.pictures)
        stage.answers(2)


def test_a_long_task_is_rendered_in_bounded_memory(tmp_path: Path) -> None:
    """Five minutes of sound through a ring of 32 pictures."""
    pictures = 7500
    with pool_stage(tmp_path, pictures=32, picture_s=0.0) as stage:
        sound = no_sound(pictures)
        stage.speak(500, sound)
        before = [_rss_kib(report.pid) for report in stage.pool.report().slots]
        assert_whole(stage.speak(pictures, sound), pictures)
        after = [_rss_kib(report.pid) for report in stage.pool.report().slots]
        assert max(b - a for a, b in zip(before, after, strict=True)) < 8192


def _rss_kib(pid: int | None) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


# --- interrupts -----------------------------------------------------------------------------


def test_after_a_bump_nothing_older_comes_and_the_worker_is_soon_free(tmp_path: Path) -> None:
    with pool_stage(tmp_path, devices=["cpu"], picture_s=0.02, batch_pictures=1) as stage:
        stage.until_state(0, SlotState.READY)
        long = [stage.batch("a", no_sound(500), 16 * n, 16) for n in range(3)]
        for each in long:
            assert stage.pool.submit(each)
        stage.until_state(0, SlotState.BUSY)
        stage.pool.bump("main", 1)
        began = time.monotonic()
        stage.until_state(0, SlotState.READY)
        assert time.monotonic() - began < 5
        assert stage.pool.poll(0.1) == []
        assert stage.ring.free == stage.ring.slots
        report = stage.pool.report()
        assert (report.queued, report.in_flight, report.lost) == (0, 0, 0)


def test_a_dropped_task_leaves_the_others(tmp_path: Path) -> None:
    with pool_stage(tmp_path, devices=["cpu"]) as stage:
        for task in ("a", "b"):
            stage.pool.submit(stage.batch(task, no_sound(8), 0, 8))
        stage.pool.drop("main", "a")
        (result,) = stage.pool.poll(LIVENESS_S)
        assert result.key.task_id == "b"


# --- what a worker is given -----------------------------------------------------------------


def lives(file: Path) -> list[dict[str, Any]]:
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def test_a_respawned_worker_has_the_device_of_its_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LatentsyncRealtime reads the GPU off the process's number: after one death it is past the
    last GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    file = tmp_path / "lives"
    engine = EngineSpec("tests.doubles.probe_engine", {"file": str(file)})
    with pool_stage(tmp_path, devices=["cuda:0", "cuda:1"], engine=engine) as stage:
        for number in (0, 1):
            stage.until_state(number, SlotState.READY)
        for _ in range(2):
            pid = stage.slot(1).pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            stage.until(lambda: stage.slot(1).pid not in (None, pid), "respawned")  # noqa: B023
            stage.until_state(1, SlotState.READY)
    seen = [(each["environment"]["CUDA_VISIBLE_DEVICES"], each["device"]) for each in lives(file)]
    assert sorted(seen) == [("4", "cuda:0")] + [("6", "cuda:0")] * 3


def test_a_worker_inherits_nothing_but_its_own_line_and_runs_few_threads(tmp_path: Path) -> None:
    file, secret = tmp_path / "lives", (tmp_path / "secret").open("w")
    os.set_inheritable(secret.fileno(), True)
    engine = EngineSpec("tests.doubles.probe_engine", {"file": str(file)})
    with secret, pool_stage(tmp_path, devices=["cpu"], engine=engine) as stage:
        stage.until_state(0, SlotState.READY)
        pid = stage.slot(0).pid
    (life,) = lives(file)
    # Made without a name first, the ring is known to the kernel by its number.
    assert not [name for name in life["files"].values() if str(tmp_path / "secret") in name]
    kinds = sorted(name.partition(":")[0].partition("#")[0] for name in life["files"].values())
    given = [kind for kind in kinds if not kind.startswith("/proc/")]
    assert given == ["/dev/null", f"{tmp_path}/", "pipe", "pipe", "socket"]
    assert life["threads"] == ["MainThread", "listener"]
    assert life["environment"]["OMP_NUM_THREADS"] == "1"
    assert life["session"] == life["pid"] == pid


def test_a_chatty_worker_is_heard_out_but_not_logged_without_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """LatentsyncRealtime never reads its encoder's stderr: frozen after 64 KiB of it."""
    with pool_stage(tmp_path, devices=["cpu"], faults=[fault(tmp_path, "flood", 3)]) as stage:
        assert_whole(stage.speak(16), 16)
        assert stage.slot(0).deaths == {}
    printed = [line for line in caplog.messages if "chatty" in line]
    assert 0 < len(printed) <= 400


def test_an_engine_that_does_not_exist_is_named_as_the_reason(tmp_path: Path) -> None:
    with pool_stage(tmp_path, devices=["cpu"], engine=EngineSpec("wav3lip")) as stage:
        failed = AvatarState.FAILED
        stage.until(lambda: stage.pool.standing(AVATAR.name).state is failed)
        reason = stage.pool.standing(AVATAR.name).reason
        assert "no engine 'wav3lip'; there are" in reason
        assert "simulated" in reason
        assert stage.slot(0).deaths == {}, "a worker that has other avatars would be lost"


def test_a_machine_that_starts_no_process_is_a_death_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pool_stage(tmp_path, devices=["cpu"]) as stage:
        stage.until_state(0, SlotState.PARKED)
        assert "cannot be started" in stage.slot(0).last_error


def test_a_doorbell_is_rung_when_answers_wait(tmp_path: Path) -> None:
    ring, rung = Ring(16, TINY.picture_bytes, tmp_path), threading.Event()
    with Pool([AVATAR], ["cpu"], ring, limits=Limits(), on_results=rung.set) as pool:
        pool.submit(PoolStage.batch("a", no_sound(8), 0, 8))
        found: list[BatchResult] = []
        while not found:
            assert rung.wait(LIVENESS_S)
            rung.clear()
            found = pool.poll()
        assert isinstance(found[0], BatchDone)
        needs = pool.needs(AVATAR.name)
        assert needs is not None
        assert needs.batch_pictures == 8
    ring.close()
