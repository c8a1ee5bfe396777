"""The slice of speech from door to playout: real API, real store, real studio, fake playout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from broadcaster.callbacks.signature import HEADER, verify
from broadcaster.clock import wall_time_s
from tests.doubles.api_server import ApiServer, form
from tests.doubles.fake_playout import FakePlayout
from tests.doubles.receiver import BUSY, Receiver
from tests.doubles.sound import wav

RATE = 48_000


class Both:
    """API and studio over one state folder."""

    def __init__(self, root: Path) -> None:
        self.api = ApiServer(root, callbacks={"allow": ["127.0.0.1"]})
        self.studio: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.api.start()
        self.start_studio()

    def start_studio(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        environment["PROMETHEUS_MULTIPROC_DIR"] = str(self.api.paths.metrics)
        environment.pop("BROADCASTER_PARENT_PID", None)
        file = str(self.api.paths.resolved_settings)
        command = [sys.executable, "-m", "broadcaster.studio", "--settings", file]
        self.studio = subprocess.Popen(command, env=environment)

    def close(self) -> None:
        if self.studio is not None and self.studio.poll() is None:
            self.studio.kill()
            self.studio.wait()
        self.api.close()

    def post(self, seconds: float) -> str:
        status, _, body = self.api.post_file(wav(seconds))
        assert status == 202, body
        return str(body["task_id"])

    def becomes(self, task_id: str, state: str, timeout_s: float = 20) -> None:
        deadline = time.monotonic() + timeout_s
        while (task := self.api.get(f"/tasks/{task_id}")[2])["state"] != state:
            assert time.monotonic() < deadline, f"{task} is not {state}"
            time.sleep(0.02)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    made = Both(tmp_path / "var")
    yield made
    made.close()


def test_a_posted_sound_is_said_whole_and_done(both: Both) -> None:
    with FakePlayout(both.api.paths.playout_socket) as playout:
        both.start()
        task = both.post(2.5)
        both.becomes(task, "done")
        assert playout.heard(task) == [(0, int(2.5 * RATE))]
        done = both.api.get(f"/tasks/{task}")[2]
        assert (done["duration_s"], done["played_s"], done["progress"]) == (2.5, 2.5, 1.0)
        time.sleep(0.35)  # the age up to which an earlier answer is used again
        text = both.api.get("/metrics")[2]
        assert 'broadcaster_tasks_total{channel="main",outcome="done"} 1.0' in text
        things = {t["name"]: t for t in both.api.get("/status")[2]["things"]}
        assert things["studio/main"]["state"] == "waiting"


def test_who_asked_to_be_told_is_told_also_across_the_studios_death(both: Both) -> None:
    with FakePlayout(both.api.paths.playout_socket), Receiver(BUSY) as receiver:
        both.start()
        body, kind = form(wav(0.5), "a.wav", {"callback_url": receiver.url})
        answer = both.api.request("POST", "/generate_video", body, {"Content-Type": kind})
        both.becomes(answer[2]["task_id"], "done")
        deadline = time.monotonic() + 20
        while not receiver.heard:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert both.studio is not None
        both.studio.send_signal(signal.SIGKILL)
        both.studio.wait()
        both.start_studio()
        path = f"/tasks/{answer[2]['task_id']}/callbacks"
        while {each["state"] for each in both.api.get(path)[2]["callbacks"]} != {"delivered"}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        secret = both.api.paths.callback_secret.read_text().strip()
    ids = {json.loads(heard.body)["event_id"] for heard in receiver.heard}
    events = {json.loads(heard.body)["event"] for heard in receiver.heard}
    assert (len(ids), events) == (2, {"task.started", "task.done"})
    for heard in receiver.heard:
        assert verify(secret, heard.headers[HEADER], heard.body, wall_time_s())


def test_from_the_end_of_the_upload_to_the_playout_takes_well_under_a_second(both: Both) -> None:
    with FakePlayout(both.api.paths.playout_socket) as playout:
        both.start()
        both.becomes(both.post(0.2), "done")
        times = []
        for _ in range(5):
            begun = time.monotonic()
            task = both.post(5)
            while not any(p["task_id"] == task for p in playout.plays):
                assert time.monotonic() < begun + 5
                time.sleep(0.002)
            times.append(time.monotonic() - begun)
        assert np.median(times) < 1.0, times


def test_a_task_cancelled_on_air_stops_and_the_next_one_follows(both: Both) -> None:
    with FakePlayout(both.api.paths.playout_socket, speed=0) as playout:
        both.start()
        first, second = both.post(5), both.post(1)
        both.becomes(first, "on_air")
        assert both.api.request("DELETE", f"/tasks/{first}")[0] == 200
        both.becomes(second, "on_air")
        playout.advance(2)
        both.becomes(second, "done")
        assert both.api.get(f"/tasks/{first}")[2]["reason"] == "cancelled by request"


def test_an_interrupt_cancels_with_its_reason(both: Both) -> None:
    with FakePlayout(both.api.paths.playout_socket, speed=0):
        both.start()
        task = both.post(5)
        both.becomes(task, "on_air")
        assert both.api.request("POST", "/interrupt")[2]["task_id"] == task
        both.becomes(task, "cancelled")
        assert both.api.get(f"/tasks/{task}")[2]["reason"] == "interrupted"


def test_everything_killed_in_mid_sentence_goes_on_from_the_last_second(both: Both) -> None:
    playout = FakePlayout(both.api.paths.playout_socket, speed=0).start()
    try:
        both.start()
        task, waiting = both.post(6), both.post(1)
        both.becomes(task, "on_air")
        playout.advance(2.5)
        deadline = time.monotonic() + 5
        while both.api.get(f"/tasks/{task}")[2]["played_s"] != 2.0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert both.studio is not None
        both.studio.kill()
        both.studio.wait()
        os.kill(both.api.worker_pid(), signal.SIGKILL)
        playout.die()
        playout.speed = 50
        playout.start()
        both.start_studio()
        deadline = time.monotonic() + 10
        while True:
            try:
                both.api.get("/healthz", timeout_s=1)
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        both.becomes(task, "done")
        both.becomes(waiting, "done")
        assert playout.heard(task) == [(0, int(2.5 * RATE)), (2 * RATE, 6 * RATE)]
        assert playout.heard(waiting) == [(0, RATE)]
    finally:
        playout.close()
