"""No push process outlives the process that started it, however that one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles import fake_ffmpeg
from tests.doubles.processes import alive
from tests.doubles.push_stage import wait_until

ROOT = Path(__file__).resolve().parents[2]

PLAYOUT = """
import sys, time
from broadcaster.processes import die_with_parent
from broadcaster.settings.model import Push
from tests.doubles.air import AirFeed, loop
from tests.doubles.push_stage import make_destination, pid_of, state_of, wait_until
die_with_parent()
d = make_destination("rtmp://127.0.0.1:9/app/key", loop(), Push(ffmpeg=sys.argv[1]))
d.start()
with AirFeed(loop(), [d]):
    wait_until(lambda: state_of(d) == "on_air", 10)
    print(pid_of(d), flush=True)
    time.sleep(60)
"""

PARENT = """
import subprocess, sys, time
from broadcaster.processes import start_child
child = start_child([sys.executable, "-c", sys.argv[1], sys.argv[2]], foreign=False)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """parent -> playout -> push process that ignores SIGTERM and never reads; their pids."""
    program = fake_ffmpeg.executable(tmp_path, "ignore-sigterm")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, PLAYOUT, program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    playout, push = int(parent.stdout.readline()), int(parent.stdout.readline())
    yield parent, playout, push
    parent.kill()
    parent.wait()
    parent.stdout.close()


def test_killing_the_parent_ends_playout_and_push(
    tree: tuple[subprocess.Popen[str], int, int],
) -> None:
    parent, playout, push = tree
    assert alive(playout)
    assert alive(push)
    parent.kill()
    wait_until(lambda: not alive(playout) and not alive(push), 3, "no orphan")


def test_killing_playout_ends_its_push(tree: tuple[subprocess.Popen[str], int, int]) -> None:
    _, playout, push = tree
    os.kill(playout, signal.SIGKILL)
    wait_until(lambda: not alive(push), 3, "no orphan")


def test_each_child_leads_a_group_of_its_own(tree: tuple[subprocess.Popen[str], int, int]) -> None:
    _, playout, push = tree
    assert os.getpgid(playout) == playout
    assert os.getpgid(push) == push
