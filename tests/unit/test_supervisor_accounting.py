"""Memory of a family of processes, and the metrics of processes that are gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from broadcaster.supervisor.accounting import family, forget_dead, pss_bytes

GRANDCHILD = "import subprocess; subprocess.run(['sleep', '600'])"


def test_a_family_is_a_process_with_all_its_descendants() -> None:
    child = subprocess.Popen([sys.executable, "-c", GRANDCHILD], start_new_session=True)
    try:
        while len(family(child.pid)) < 2 and child.poll() is None:
            pass
        members = family(child.pid)
        assert members[0] == child.pid
        assert len(members) == 2
        assert set(members) < set(family(os.getpid()))
    finally:
        os.killpg(child.pid, 9)
        child.wait()


def test_memory_is_in_bytes_and_a_process_that_is_gone_has_none() -> None:
    assert pss_bytes(os.getpid()) > 5_000_000
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert pss_bytes(child.pid) == 0


def test_live_gauges_of_the_dead_go_and_counters_stay(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    names = [
        f"{kind}_{pid}.db"
        for kind in ("gauge_livemostrecent", "counter")
        for pid in (gone.pid, os.getpid())
    ]
    for name in names:
        (tmp_path / name).touch()
    forget_dead(tmp_path)
    left = {file.name for file in tmp_path.iterdir()}
    assert left == set(names) - {f"gauge_livemostrecent_{gone.pid}.db"}
