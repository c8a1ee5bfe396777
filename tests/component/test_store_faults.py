"""The store on a really full disk, under a file size limit, and under SIGKILL."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from broadcaster.store import Spool, TaskStore
from tests.doubles.api_server import ApiServer
from tests.doubles.sound import wav

WRITER = """
import os, sys
from pathlib import Path
from broadcaster.store import Spool, Task, TaskStore
root = Path(sys.argv[1])
(root / "spool").mkdir(exist_ok=True)
store = TaskStore(root / "store.sqlite3", Spool(root / "spool"), 1_000_000)
while True:
    incoming = store.spool.begin()
    incoming.file.write(os.urandom(3000))
    task = store.accept(Task(incoming.task_id, "main", "x", 48000), incoming)
    os.write(1, task.id.encode() + b"\\n")
    incoming.discard()
"""

FILLER = """
import os, sys
from pathlib import Path
from broadcaster.errors import StoreFull
from broadcaster.store import Spool, Task, TaskStore
from broadcaster.store.task import ACTIVE_STATES, TaskState
root = Path(sys.argv[1])
(root / "spool").mkdir(exist_ok=True)
store = TaskStore(root / "store.sqlite3", Spool(root / "spool"), 1_000_000)

def accept(size):
    incoming = None
    try:
        incoming = store.spool.begin()
        incoming.file.write(bytes(size))
        incoming.file.flush()
        return store.accept(Task(incoming.task_id, "main", "x", 48000), incoming)
    except OSError as error:
        assert error.errno in (27, 28), error
        raise StoreFull("spool") from error
    finally:
        if incoming is not None:
            incoming.discard()

accepted = []
try:
    while len(accepted) < 5000:
        accepted.append(accept(20_000))
except StoreFull as error:
    print("full after", len(accepted), error)
else:
    sys.exit("never full")
assert len(accepted) > 3, len(accepted)
assert {t.id for t in accepted} == store.spool.task_ids()
assert store.counts() == {"main": {"queued": len(accepted)}}
assert list((root / "spool" / "incoming").iterdir()) == []
for task in accepted[:3]:
    store.spool.remove(task.id)
assert accept(10_000)
print("healed")
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path.cwd())}


def run(prefix: list[str], root: Path) -> str:
    done = subprocess.run(
        [*prefix, sys.executable, "-c", FILLER, str(root)],
        env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fill(file: Path) -> None:
    """Take all the space there is."""
    with file.open("wb", buffering=0) as handle, contextlib.suppress(OSError):
        while True:
            handle.write(bytes(4096))


def can_mount() -> bool:
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def test_a_full_disk_refuses_leaves_nothing_half_and_heals(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("a small disk needs the right to mount a tmpfs")
    small = f'mount -t tmpfs -o size=2m none {tmp_path} && exec "$@"'
    assert "healed" in run(["unshare", "-m", "sh", "-c", small, "sh"], tmp_path)


def test_every_task_answered_before_a_sigkill_is_there_after_it(tmp_path: Path) -> None:
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            env=environment(), stdout=subprocess.PIPE,
        )  # fmt: skip
        assert writer.stdout is not None
        answered = [writer.stdout.readline().decode().strip() for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
        rest = writer.communicate()[0].decode()
        # A last line may be cut off; those that are whole were answers.
        answered += [line.strip() for line in rest.splitlines(keepends=True) if line[-1:] == "\n"]
        store = TaskStore(tmp_path / "store.sqlite3", Spool(tmp_path / "spool"), 1_000_000)
        store.spool.sweep_incoming()
        _, lost = store.sweep()
        assert lost == 0
        for task_id in answered:
            assert store.get(task_id).state == "queued"
            assert store.spool.upload(task_id).stat().st_size == 3000
        assert list((tmp_path / "spool" / "incoming").iterdir()) == []
        assert set(answered) <= store.spool.task_ids()
        store.close()


def test_the_api_answers_507_on_a_full_disk_and_heals(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("a small disk needs the right to mount a tmpfs")
    root = tmp_path / "var"
    root.mkdir()
    metrics = f"{root}/run/memory/metrics"
    small = f'mount -t tmpfs -o size=16m none {root} && mkdir -p {metrics} && exec "$@"'
    server = ApiServer(root)
    # The mount hides what lies in the folder now.
    server.settings_file = tmp_path / "settings.json"
    server.settings_file.write_text(server.paths.resolved_settings.read_text())
    try:
        server.start(("unshare", "-m", "sh", "-c", small, "sh"))
        inside = Path(f"/proc/{server.worker_pid()}/root{root}")
        assert server.post_file(wav(0.2))[0] == 202
        filler = inside / "filler"
        fill(filler)
        begun = time.monotonic()
        status, headers, body = server.post_file(wav(0.2))
        took_s = time.monotonic() - begun
        assert status == 507, body
        assert headers["Content-Type"].startswith("application/problem+json")
        assert took_s < 0.5, f"507 took {took_s:.3f} s"
        assert server.get("/healthz")[0] == 200
        assert server.get("/tasks")[0] == 200
        filler.unlink()
        assert server.post_file(wav(0.2))[0] == 202
        assert len(list((inside / "spool").rglob("upload"))) == 2
    finally:
        server.close()
