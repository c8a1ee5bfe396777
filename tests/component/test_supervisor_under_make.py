"""``make run``: a signal to make, to the supervisor or to their group ends everything."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.component.test_supervisor_drills import family_of, is_gone
from tests.doubles.fake_station import REPO, free_port, wait_for

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

ROLES = [
    {"name": "playout", "watch": "heartbeat", "stop_by": 0.85},
    {"name": "studio", "args": ["--grandchild"]},
]


@dataclass(frozen=True, slots=True)
class Run:
    """A ``make run`` over stand-in roles."""

    make: subprocess.Popen[bytes]
    supervisor: int
    family: frozenset[int]
    run_dir: Path


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """The repository's own recipe, with a stand-in in place of the interpreter."""
    settings = {
        "station": {"state_dir": str(tmp_path / "var")},
        "api": {"port": free_port()},
        "relay": {"mode": "none"},
    }
    (tmp_path / "plan").write_text(json.dumps({"settings": settings, "roles": ROLES}))
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nexec {sys.executable} -m tests.doubles.fake_station "$(cat {tmp_path}/plan)"\n'
    )
    python.chmod(0o755)
    make = subprocess.Popen(
        # A test run in the background inherits "ignore SIGINT", which no make could undo.
        ["env", "--default-signal=INT", "make", "--old-file=setup", "run", f"PYTHON={python}"],
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(lambda: len(family_of(make.pid)) == 4, 15, "supervisor, roles and grandchild")
        family = frozenset(family_of(make.pid))
        (supervisor,) = map(
            int, Path(f"/proc/{make.pid}/task/{make.pid}/children").read_text().split()
        )
        roster = tmp_path / "var/run/roles.json"
        wait_for(lambda: roster.read_text().count('"running"') == 2, 15, "both roles running")
        yield Run(make, supervisor, family, tmp_path / "var/run")
    finally:
        if make.poll() is None:
            make.kill()
        make.wait(timeout=10)
        wait_for(lambda: all(map(is_gone, family_of(os.getpid()))), 10, "nothing left")


def ended_within(run: Run, began: float, limit_s: float) -> int:
    """The exit status of make, when everything is gone in time and nothing is left."""
    status = run.make.wait(timeout=10)
    wait_for(lambda: all(map(is_gone, run.family)), limit_s, "every descendant dead")
    assert time.monotonic() - began < limit_s
    assert list(run.run_dir.iterdir()) == []
    return status


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_make_alone_ends_everything(run: Run, sig: signal.Signals) -> None:
    began = time.monotonic()
    os.kill(run.make.pid, sig)
    ended_within(run, began, 5)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_process_group_ends_everything(run: Run, sig: signal.Signals) -> None:
    began = time.monotonic()
    os.killpg(run.make.pid, sig)
    ended_within(run, began, 5)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_supervisor_ends_everything_and_make_succeeds(
    run: Run, sig: signal.Signals
) -> None:
    began = time.monotonic()
    os.kill(run.supervisor, sig)
    assert ended_within(run, began, 5) == 0


def test_a_killed_make_takes_the_station_with_it(run: Run) -> None:
    began = time.monotonic()
    run.make.kill()
    ended_within(run, began, 5)


def test_a_killed_supervisor_makes_make_fail_and_leaves_no_orphan(run: Run) -> None:
    os.kill(run.supervisor, signal.SIGKILL)
    assert run.make.wait(timeout=5) != 0
    wait_for(lambda: all(map(is_gone, run.family)), 2, "every descendant dead")
