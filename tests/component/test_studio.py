"""The real studio process between a real store and a fake playout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from broadcaster.paths import StatePaths
from broadcaster.settings.model import SettingsModel
from broadcaster.store import Spool, Task, TaskState, TaskStore
from broadcaster.studio.doorbell import ring
from broadcaster.studio.report import read_report
from tests.doubles.fake_playout import FakePlayout

RATE = 48_000


def until(condition: Callable[[], bool], what: str, timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.01)


class Station:
    """State folder, store and studio process of one test."""

    def __init__(self, root: Path) -> None:
        self.paths = StatePaths(root)
        self.paths.make()
        settings = SettingsModel().model_dump(mode="json")
        settings["station"]["state_dir"] = str(root)
        settings["channels"][0]["avatar"] = "none"  # sound only: ``test_studio_stage`` has pictures
        self.paths.resolved_settings.write_text(json.dumps(settings))
        self.store = TaskStore(self.paths.database, Spool(self.paths.spool), 100)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        environment.pop("BROADCASTER_PARENT_PID", None)
        file = str(self.paths.resolved_settings)
        command = [sys.executable, "-m", "broadcaster.studio", "--settings", file]
        self.process = subprocess.Popen(command, env=environment)
        until(self.paths.doorbell.exists, "the studio's doorbell")

    def kill(self, number: int = signal.SIGKILL) -> float:
        assert self.process is not None
        begun = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(10)
        return time.monotonic() - begun

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.store.close()

    def post(self, seconds: float, priority: int = 0, junk: bool = False) -> str:
        incoming = self.store.spool.begin()
        if junk:
            incoming.file.write(b"this is not sound")
        else:
            with wave.open(incoming.file, "wb") as wav:
                wav.setparams((1, 2, RATE, 0, "NONE", ""))
                samples = np.sin(np.arange(int(seconds * RATE)) / 20) * 20_000
                wav.writeframes(samples.astype("<i2").tobytes())
        task = Task(incoming.task_id, "main", "x.wav", RATE, priority=priority)
        self.store.accept(task, incoming)
        incoming.discard()
        ring(self.paths.doorbell)
        return task.id

    def state(self, task_id: str) -> TaskState:
        return self.store.get(task_id).state

    def reaches(self, task_id: str, state: TaskState, timeout_s: float = 15.0) -> None:
        until(lambda: self.state(task_id) is state, f"{task_id} is {state}", timeout_s)


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    made = Station(tmp_path / "var")
    yield made
    made.close()


@pytest.fixture
def playout(station: Station) -> Iterator[FakePlayout]:
    with FakePlayout(station.paths.playout_socket) as made:
        yield made


def test_tasks_are_said_whole_in_order_and_their_files_go(
    station: Station, playout: FakePlayout
) -> None:
    station.start()
    tasks = [station.post(0.5 + n / 10) for n in range(4)]
    for task in tasks:
        station.reaches(task, TaskState.DONE)
    assert [play["task_id"] for play in playout.plays if play["from_sample"] == 0] == tasks
    for number, task in enumerate(tasks):
        samples = int((0.5 + number / 10) * RATE)
        assert playout.heard(task) == [(0, samples)]
        stored = station.store.get(task)
        assert (stored.samples, stored.played_samples) == (samples, samples)
        assert stored.started_s is not None
        assert stored.ended_s is not None
    until(lambda: not station.store.spool.task_ids(), "the spool is empty")


def test_the_next_task_waits_in_the_playout_before_the_first_has_ended(
    station: Station, playout: FakePlayout
) -> None:
    playout.speed = 0
    station.start()
    first, second, third = (station.post(1) for _ in range(3))
    station.reaches(first, TaskState.ON_AIR)
    station.reaches(second, TaskState.BUFFERING)
    until(lambda: len(playout.held["main"]) == 2, "both are in the playout")
    assert station.state(third) is TaskState.QUEUED
    playout.advance(1.5)
    station.reaches(first, TaskState.DONE)
    station.reaches(second, TaskState.ON_AIR)
    playout.advance(5)
    station.reaches(third, TaskState.ON_AIR)


def test_an_urgent_task_overtakes_those_that_wait(station: Station, playout: FakePlayout) -> None:
    ordinary = [station.post(0.2) for _ in range(3)]
    urgent = station.post(0.2, priority=9)
    station.start()
    for task in (*ordinary, urgent):
        station.reaches(task, TaskState.DONE)
    assert [p["task_id"] for p in playout.plays] == [urgent, *ordinary]


def test_sound_that_cannot_be_decoded_fails_with_a_sentence(
    station: Station, playout: FakePlayout
) -> None:
    station.start()
    bad, good = station.post(0, junk=True), station.post(0.2)
    station.reaches(bad, TaskState.FAILED)
    station.reaches(good, TaskState.DONE)
    assert "not sound" in station.store.get(bad).error


def test_a_playout_that_dies_is_told_to_go_on_from_the_last_journaled_second(
    station: Station, playout: FakePlayout
) -> None:
    playout.speed = 0
    station.start()
    task = station.post(10)
    station.reaches(task, TaskState.ON_AIR)
    playout.advance(3.5)
    until(lambda: station.store.get(task).played_samples == 3 * RATE, "three seconds journaled")
    playout.die()
    station.reaches(task, TaskState.BUFFERING)
    playout.speed = 50
    playout.start()
    station.reaches(task, TaskState.DONE)
    assert playout.heard(task) == [(0, int(3.5 * RATE)), (3 * RATE, 10 * RATE)]


def test_tasks_posted_while_the_playout_is_down_are_said_when_it_comes(station: Station) -> None:
    station.start()
    task = station.post(0.5)
    station.reaches(task, TaskState.BUFFERING)
    until(
        lambda: any(t["state"] == "playout_down" for t in read_report(station.paths.run, 0)),
        "the studio says that the playout is down",
    )
    with FakePlayout(station.paths.playout_socket) as playout:
        station.reaches(task, TaskState.DONE)
        assert playout.heard(task) == [(0, RATE // 2)]


def test_a_killed_studio_attaches_to_what_is_on_air_and_repeats_nothing(
    station: Station, playout: FakePlayout
) -> None:
    playout.speed = 0
    station.start()
    first, second = station.post(4), station.post(1)
    station.reaches(first, TaskState.ON_AIR)
    playout.advance(1.2)
    until(lambda: station.store.get(first).played_samples == RATE, "a second journaled")
    station.kill()
    playout.advance(1)
    asked = playout.status_asked
    station.start()
    until(lambda: playout.status_asked > asked, "the new studio has asked the playout")
    station.reaches(first, TaskState.ON_AIR)
    playout.speed = 50
    station.reaches(first, TaskState.DONE)
    station.reaches(second, TaskState.DONE)
    assert playout.heard(first) == [(0, 4 * RATE)]
    assert playout.heard(second) == [(0, RATE)]


def test_what_ended_while_the_studio_was_down_is_not_said_again_if_the_playout_remembers(
    station: Station, playout: FakePlayout
) -> None:
    playout.speed, playout.remembers_ended = 0, True
    station.start()
    task = station.post(2)
    station.reaches(task, TaskState.ON_AIR)
    station.kill()
    playout.advance(5)
    station.start()
    station.reaches(task, TaskState.DONE)
    assert playout.heard(task) == [(0, 2 * RATE)]


def test_a_studio_killed_at_any_moment_loses_nothing_and_doubles_at_most_a_second(
    station: Station, playout: FakePlayout
) -> None:
    playout.speed, playout.remembers_ended = 4, True
    tasks = [station.post(1.5) for _ in range(6)]
    for pause_s in (0.3, 0.5, 0.7, 0.9):
        station.start()
        time.sleep(pause_s)  # the fault is the moment of the kill, not a wait for anything
        station.kill()
    station.start()
    for task in tasks:
        station.reaches(task, TaskState.DONE)
        assert playout.heard(task) == [(0, int(1.5 * RATE))]


def test_a_cancelled_task_on_air_is_stopped(station: Station, playout: FakePlayout) -> None:
    playout.speed = 0
    station.start()
    first, second = station.post(5), station.post(1)
    station.reaches(first, TaskState.ON_AIR)
    station.store.cancel(first, "cancelled by request")
    ring(station.paths.doorbell)
    station.reaches(second, TaskState.ON_AIR)
    assert station.store.get(first).reason == "cancelled by request"
    assert [i["task_id"] for i in playout.interrupts] == [first]


def test_a_task_cancelled_while_the_studio_was_down_is_stopped_when_it_comes_back(
    station: Station, playout: FakePlayout
) -> None:
    playout.speed = 0
    station.start()
    task = station.post(5)
    station.reaches(task, TaskState.ON_AIR)
    station.kill()
    station.store.cancel(task, "x")
    station.start()
    until(lambda: bool(playout.interrupts), "it is interrupted")
    assert playout.held["main"] == []


def test_an_interrupt_from_elsewhere_cancels_the_task(
    station: Station, playout: FakePlayout
) -> None:
    playout.speed = 0
    station.start()
    task = station.post(5)
    station.reaches(task, TaskState.ON_AIR)
    playout._interrupt({"channel": "main"})
    station.reaches(task, TaskState.CANCELLED)
    assert station.store.get(task).reason == "interrupted"


def test_a_busy_playout_is_asked_again_and_a_refusal_fails_the_task(
    station: Station, playout: FakePlayout
) -> None:
    playout.refuse("busy", "busy", "no such sound")
    station.start()
    first, second = station.post(0.2), station.post(0.2)
    station.reaches(first, TaskState.FAILED)
    assert "no such sound" in station.store.get(first).error
    station.reaches(second, TaskState.DONE)


def test_a_task_whose_ring_was_lost_is_found_by_polling(
    station: Station, playout: FakePlayout
) -> None:
    station.start()
    station.reaches(station.post(0.1), TaskState.DONE)
    station.paths.doorbell.unlink()
    station.reaches(station.post(0.1), TaskState.DONE)


def test_sigterm_ends_the_studio_within_a_second_even_while_the_playout_hangs(
    station: Station, playout: FakePlayout
) -> None:
    station.start()
    until(lambda: playout.status_asked > 0, "the studio has found the playout")
    playout.hang()
    station.post(0.5)
    assert station.kill(signal.SIGTERM) < 1.0
    assert station.process is not None
    assert station.process.returncode == 0
    assert not station.paths.doorbell.exists()
    playout.hang(False)


def test_an_idle_studio_wakes_at_most_twice_a_second(
    station: Station, playout: FakePlayout
) -> None:
    station.start()
    station.reaches(station.post(0.1), TaskState.DONE)
    assert station.process is not None
    pid = station.process.pid

    def switches() -> int:
        status = Path(f"/proc/{pid}/status").read_text()
        line = next(x for x in status.splitlines() if x.startswith("voluntary_ctxt"))
        return int(line.split()[1])

    time.sleep(1.2)  # let the end of the task settle
    before, begun = switches(), time.monotonic()
    time.sleep(3)  # the measured time itself
    rate = (switches() - before) / (time.monotonic() - begun)
    assert rate <= 3, f"{rate:.1f} context switches/s"
