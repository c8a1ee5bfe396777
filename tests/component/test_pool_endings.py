"""What is left when a worker, a pool or the owner of a pool has gone: nothing."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gpu_pool.contracts import (
    PoolClosed,
    SlotState,
)
from tests.doubles.pool_stage import (
    LIVENESS_S,
    QUICK,
    fault,
    no_sound,
    pool_stage,
)
from tests.doubles.processes import alive

ROOT = Path(__file__).resolve().parents[2]


def test_a_pool_that_closes_leaves_no_process_thread_descriptor_or_ring(tmp_path: Path) -> None:
    with pool_stage(tmp_path) as stage:  # what is made once per process is made now
        stage.speak(16)
    gc.collect()
    files, threads = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    for _ in range(3):
        with pool_stage(tmp_path, faults=[fault(tmp_path, "kill", 20)]) as stage:
            stage.speak(40)
            pids = [report.pid for report in stage.pool.report().slots]
        assert not any(alive(pid) for pid in pids if pid)
        del stage
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) <= files
    assert threading.active_count() == threads
    assert not list(tmp_path.glob("gpu-pool-*"))


def test_closing_ends_workers_that_hang(tmp_path: Path) -> None:
    with pool_stage(
        tmp_path, devices=["cpu", "cpu"], faults=[fault(tmp_path, "hang_with_lock", 0)]
    ) as stage:
        stage.pool.submit(stage.batch("a", no_sound(8), 0, 8))
        stage.until(lambda: SlotState.BUSY in {r.state for r in stage.pool.report().slots})
        pids = [report.pid for report in stage.pool.report().slots]
        stage.pool.close()
        assert not any(alive(pid) for pid in pids if pid)
        with pytest.raises(PoolClosed):
            stage.pool.submit(stage.batch("a", no_sound(8), 0, 8))
        stage.pool.close()


OWNER = """
import sys, threading, time
from pathlib import Path
from tests.doubles.pool_stage import PoolStage, fault, no_sound
folder = Path(sys.argv[1])
stage = PoolStage(folder, faults=[fault(folder, sys.argv[2], 0)] if sys.argv[2] else [])
stage.until(lambda: all(r.state == "ready" for r in stage.pool.report().slots))
stage.pool.submit(stage.batch("a", no_sound(8), 0, 8))
if sys.argv[2]:
    stage.until(lambda: stage.pool.report().in_flight)
else:
    (done,) = stage.pool.poll(60)
print(*(r.pid for r in stage.pool.report().slots), stage.ring.path, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("kind", ["", "hang", "hang_with_lock", "stop"])
def test_no_worker_outlives_a_killed_owner(tmp_path: Path, kind: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), kind],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert owner.stdout is not None
        first, second, _ = owner.stdout.readline().split()
    finally:
        owner.kill()
        owner.communicate()
    deadline = time.monotonic() + LIVENESS_S
    while alive(int(first)) or alive(int(second)):
        assert time.monotonic() < deadline, "an orphan"
        time.sleep(0.01)


PLAYOUT = """
import sys
from pathlib import Path
from gpu_pool.contracts import PictureRef
from gpu_pool.engines.simulated import read_stamp
from gpu_pool.ring import RingReader
from tests.doubles.pool_stage import TINY
reader = RingReader(Path(sys.argv[1]))
print("attached", flush=True)
sys.stdin.readline()
print([read_stamp(reader.picture(PictureRef(n, 1), TINY)).picture for n in range(8)])
"""


def test_a_playout_goes_on_reading_when_the_owner_and_its_ring_are_gone(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), ""],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    playout: subprocess.Popen[str] | None = None
    try:
        assert owner.stdout is not None
        ring = owner.stdout.readline().split()[2]
        playout = subprocess.Popen(
            [sys.executable, "-c", PLAYOUT, ring],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert playout.stdout is not None
        assert playout.stdout.readline() == "attached\n"
        owner.kill()
        owner.wait()
        with pool_stage(tmp_path) as stage:  # the studio's next life clears up and starts anew
            assert not Path(ring).exists()
            stage.speak(64)
        out, _ = playout.communicate("go\n", timeout=LIVENESS_S)
        assert out == "[0, 1, 2, 3, 4, 5, 6, 7]\n"
    finally:
        for process in (owner, playout):
            if process is not None:
                process.kill()
                process.communicate()


def test_an_owner_that_stood_still_does_not_blame_its_workers(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", PAUSED, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert owner.stdout is not None
        owner.stdout.readline()
        owner.send_signal(signal.SIGSTOP)
        time.sleep(QUICK.silent_s + 0.7)
        owner.send_signal(signal.SIGCONT)
        out, _ = owner.communicate("go\n", timeout=LIVENESS_S)
        assert out == "{}\n"
    finally:
        owner.kill()
        owner.communicate()


PAUSED = """
import sys
from pathlib import Path
from tests.doubles.pool_stage import PoolStage, assert_whole
stage = PoolStage(Path(sys.argv[1]), devices=["cpu"])
stage.until(lambda: stage.slot(0).state == "ready")
print("ready", flush=True)
sys.stdin.readline()
assert_whole(stage.speak(40), 40)
print(dict(stage.slot(0).deaths))
stage.close()
"""


SHORTAGE = """
mount -t tmpfs -o size=4m tmpfs /dev/shm && exec "$0" -c '
from gpu_pool.contracts import RingError
from gpu_pool.ring import Ring
Ring(2, 1 << 20).close()
try:
    Ring(8, 1 << 20)
except RingError as error:
    print(error)
'
"""


def test_a_small_shared_memory_is_an_error_at_start_and_no_crash() -> None:
    """F19: a tmpfs of 4 MiB over /dev/shm, in a mount namespace of the test's own."""
    ran = subprocess.run(
        ["unshare", "-m", "sh", "-c", SHORTAGE, sys.executable],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in ran.stderr or "mount" in ran.stderr:
        pytest.skip(f"no mount namespace here: {ran.stderr.strip()}")
    assert ran.stdout.startswith("the picture ring needs 8 MiB in /dev/shm, where 4 MiB are free")
    assert ran.returncode == 0
