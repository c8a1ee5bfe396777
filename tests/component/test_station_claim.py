"""What a station takes for itself before it starts: memory for what is written at every tick."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from broadcaster.paths import StatePaths
from broadcaster.supervisor.claim import memory_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from broadcaster.paths import StatePaths
from broadcaster.supervisor.claim import memory_folder
with memory_folder(StatePaths(Path(sys.argv[1]))) as folder:
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_is_written_at_every_tick_lies_in_memory_and_not_on_a_disk(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path / "var")
    with memory_folder(paths) as folder:
        assert folder is not None
        paths.make()
        assert paths.metrics.resolve().is_relative_to("/dev/shm")
        assert paths.heartbeat.parent.resolve() == folder
    assert not folder.exists()


def test_what_a_killed_station_left_in_memory_goes_when_any_station_starts(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed")]
    left = Path(subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip())
    assert left.exists()
    with memory_folder(StatePaths(tmp_path / "other")) as folder:
        assert not left.exists()
        with memory_folder(StatePaths(tmp_path / "third")):
            assert folder is not None
            assert folder.exists(), "a living station keeps its folder"
