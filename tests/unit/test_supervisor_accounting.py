"""Memory of a family of processes, and the metrics of processes that are gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client import REGISTRY

from broadcaster.supervisor.accounting import (
    FIRST_ACCOUNT_S,
    Accounting,
    family,
    forget_dead,
    pss_bytes,
)
from broadcaster.supervisor.restart import RestartSchedule
from broadcaster.supervisor.role import END_REASONS, Role, RoleSpec

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


def test_restarts_are_counted_from_a_series_that_was_there_before(tmp_path: Path) -> None:
    role = Role(RoleSpec("accounted", ()), RestartSchedule(0.1, 1.0), 0.0)
    accounting = Accounting(tmp_path, tmp_path)

    def restarts() -> list[float | None]:
        name = "broadcaster_role_restarts_total"
        labels = [{"role": "accounted", "reason": reason} for reason in END_REASONS]
        return [REGISTRY.get_sample_value(name, each) for each in labels]

    accounting.attend(0.0, [role])
    assert restarts() == [0, 0, 0]
    accounting.role_ended(role, "hung")
    assert restarts() == [0, 0, 1]


def test_free_disk_is_told_with_its_size(tmp_path: Path) -> None:
    accounting = Accounting(tmp_path, tmp_path)
    accounting.attend(0.0, [])
    accounting.attend(FIRST_ACCOUNT_S, [])
    names = ("broadcaster_disk_free_bytes", "broadcaster_disk_size_bytes")
    free, size = (REGISTRY.get_sample_value(name, {"dir": tmp_path.name}) for name in names)
    assert free is not None
    assert size is not None
    assert 0 < free < size
