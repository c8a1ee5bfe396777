"""A disk that is full while a task is prepared: it waits, says why, and is said in the end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broadcaster.store import Spool, Task, TaskState, TaskStore
from broadcaster.studio.doorbell import ring
from broadcaster.studio.report import read_report
from tests.component.test_store_faults import can_mount, fill
from tests.component.test_studio import RATE, Station, until
from tests.doubles.fake_playout import FakePlayout

DISK_MB = 24
SPOKEN_S = 8.0
"""1.5 MB as uploaded, 7 MB while it is decoded."""


class SmallDisk(Station):
    """A studio whose spool is a small disk that only it can see; here it is seen through /proc."""

    def start(self) -> None:
        small = f'mount -t tmpfs -o size={DISK_MB}m none {self.paths.spool} && exec "$@"'
        studio = [sys.executable, "-m", "broadcaster.studio", "--settings"]
        self.process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", small, "sh", *studio, str(self.paths.resolved_settings)],
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
        until(self.paths.doorbell.exists, "the studio's doorbell")
        self.disk = Path(f"/proc/{self.process.pid}/root{self.paths.spool}")
        self.store.close()
        self.store = TaskStore(self.paths.database, Spool(self.disk), 100)

    def post_text(self, text: str) -> str:
        incoming = self.store.spool.begin()
        incoming.file.write(text.encode())
        task = Task(incoming.task_id, "main", "", RATE, text=text, voice="espeak")
        self.store.accept(task, incoming)
        incoming.discard()
        ring(self.paths.doorbell)
        return task.id

    def trouble(self) -> str:
        things = read_report(self.paths.run, time.monotonic())
        return next(str(each["last_error"]) for each in things if each["name"] == "studio/main")

    def files(self, task_id: str) -> set[str]:
        return {each.name for each in (self.disk / task_id).iterdir()}


@pytest.fixture
def station(tmp_path: Path) -> Iterator[SmallDisk]:
    if not can_mount():
        pytest.skip("a small disk needs the right to mount a tmpfs")
    made = SmallDisk(tmp_path / "var")
    with FakePlayout(made.paths.playout_socket) as playout:
        made.start()
        assert made.process is not None
        playout.root = f"/proc/{made.process.pid}/root"
        yield made
        made.close()


@pytest.mark.parametrize("kind", ["sound", "text"])
def test_a_task_prepared_on_a_full_disk_waits_says_why_and_heals(
    station: SmallDisk, kind: str
) -> None:
    held = station.disk / "filler"
    first = station.post(0.5)
    station.reaches(first, TaskState.DONE)
    fill_but(held, 2_000_000 if kind == "sound" else 100_000)
    waiting = station.post(SPOKEN_S) if kind == "sound" else station.post_text("Hello. " * 40)
    until(lambda: bool(station.trouble()), "a reason in the status")
    assert "space" in station.trouble()
    assert station.state(waiting) is TaskState.PREPARING
    until(lambda: station.files(waiting) == {"upload"}, "nothing half left behind")
    held.unlink()
    station.reaches(waiting, TaskState.DONE, 30)
    until(lambda: not (station.disk / waiting).exists(), "its files are gone")
    assert [each.name for each in station.disk.iterdir()] == ["incoming"]


def fill_but(file: Path, left_bytes: int) -> None:
    """Take all the space there is, but for so much."""
    fill(file)
    with file.open("r+b") as handle:
        handle.truncate(file.stat().st_size - left_bytes)
