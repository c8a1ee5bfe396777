"""The real supervisor over stand-in roles: restarts, hangs, orphans, stops, refusals."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.fake_station import REPO, FakeStation, free_port, wait_for

Start = Callable[..., FakeStation]
PLAYOUT = {"name": "playout", "watch": "heartbeat", "stop_by": 0.85}
STUDIO = {"name": "studio", "args": ["--grandchild"]}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts stations on this test's folder and ends them."""
    stations: list[FakeStation] = []

    def begin(*roles: dict[str, Any], **more: Any) -> FakeStation:
        stations.append(FakeStation(tmp_path / "var", roles, **more))
        return stations[-1]

    yield begin
    for station in stations:
        station.close()


def family_of(pid: int) -> set[int]:
    """All living descendants of a process."""
    found: set[int] = set()
    pending = [pid]
    while pending:
        listing = Path(f"/proc/{pending[-1]}/task/{pending.pop()}/children")
        with contextlib.suppress(OSError):
            new = {int(child) for child in listing.read_text().split()} - found
            found |= new
            pending += new
    return found


def is_gone(pid: int) -> bool:
    """Ended, or a zombie that somebody else has yet to reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def left_behind(station: FakeStation) -> list[str]:
    """What is still in the run folder."""
    return [entry.name for entry in station.paths.run.iterdir()]


def test_a_killed_role_is_back_at_once_and_the_others_are_untouched(start: Start) -> None:
    station = start(PLAYOUT, STUDIO)
    playout, studio = station.running("playout"), station.running("studio")
    for kills in range(1, 4):
        os.kill(playout, signal.SIGKILL)
        began = time.monotonic()
        playout = station.running("playout", other_than=playout)
        assert time.monotonic() - began < 3
        assert station.roster()["playout"]["restarts"] == kills
    assert station.roster()["playout"]["last_error"] == "killed by SIGKILL"
    assert station.running("studio") == studio


def test_a_role_that_dies_at_start_is_retried_ever_more_slowly(
    start: Start, tmp_path: Path
) -> None:
    log = tmp_path / "starts"
    bad = {"name": "bad", "args": ["--log", str(log), "--live-s", "0", "--exit-status", "3"]}
    settings = {"supervisor": {"restart_min_s": 0.3, "restart_max_s": 1.2}}
    station = start(PLAYOUT, bad, settings=settings)
    wait_for(lambda: log.exists() and len(log.read_text().split()) >= 5, 20, "five starts")
    starts = [float(line) for line in log.read_text().split()][:5]
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert gaps[1] >= 0.3
    assert gaps[2] >= 0.6
    assert gaps[3] >= 1.2
    assert station.roster()["bad"]["last_error"] == "exit status 3"
    assert station.roster()["playout"]["restarts"] == 0


def test_a_role_whose_program_is_missing_is_reported_and_does_not_stop_the_others(
    start: Start,
) -> None:
    station = start(PLAYOUT, {"name": "lost", "argv": ["/nonexistent/program"]})
    station.running("playout")
    assert "cannot be started" in station.roster()["lost"]["last_error"]
    assert station.process.poll() is None


def test_a_playout_frozen_for_longer_than_its_limit_is_replaced(start: Start) -> None:
    station = start({**PLAYOUT, "limit_s": 1.5})
    pid = station.running("playout")
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    station.running("playout", other_than=pid)
    assert 1.4 <= time.monotonic() - began < 5
    assert station.roster()["playout"]["last_error"].startswith("hung: no sign of life")


def test_a_playout_frozen_for_less_than_its_limit_is_left_alone(start: Start) -> None:
    station = start({**PLAYOUT, "limit_s": 3.0})
    pid = station.running("playout")
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1.8)  # the fault itself
    os.kill(pid, signal.SIGCONT)
    time.sleep(2.0)  # long enough for a late verdict
    assert station.roster()["playout"]["pid"] == pid
    assert station.roster()["playout"]["restarts"] == 0


def test_a_role_that_answers_no_more_is_replaced_within_its_limit(start: Start) -> None:
    station = start({"name": "relay", "watch": free_port(), "limit_s": 2.75})
    pid = station.running("relay")
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    wait_for(lambda: is_gone(pid), 6, "the frozen relay killed")
    assert time.monotonic() - began <= 3.0
    station.running("relay", other_than=pid)


def test_a_supervisor_that_slept_blames_no_role(start: Start) -> None:
    station = start({**PLAYOUT, "limit_s": 1.5})
    pid = station.running("playout")
    os.kill(pid, signal.SIGSTOP)
    os.kill(station.process.pid, signal.SIGSTOP)
    time.sleep(3.0)  # the whole service was frozen
    os.kill(pid, signal.SIGCONT)
    os.kill(station.process.pid, signal.SIGCONT)
    time.sleep(1.5)  # long enough for a wrong verdict
    assert station.roster()["playout"]["pid"] == pid


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_an_ordered_stop_leaves_nothing(start: Start, sig: signal.Signals) -> None:
    station = start(PLAYOUT, STUDIO)
    station.running("playout")
    wait_for(lambda: len(family_of(station.process.pid)) == 3, 10, "the grandchild")
    family = family_of(station.process.pid)
    began = time.monotonic()
    station.process.send_signal(sig)
    assert station.process.wait(timeout=10) == 0
    assert time.monotonic() - began < 2
    assert all(map(is_gone, family))
    assert left_behind(station) == []


def test_a_stop_goes_by_rank_and_kills_who_does_not_listen_within_five_seconds(
    start: Start,
) -> None:
    deaf = {"name": "deaf", "args": ["--ignore-term", "--grandchild"]}
    station = start(PLAYOUT, deaf)
    station.running("playout")
    wait_for(lambda: len(family_of(station.process.pid)) == 3, 10, "the grandchild")
    family = family_of(station.process.pid)
    began = time.monotonic()
    station.process.send_signal(signal.SIGTERM)
    _, err = station.output()
    assert time.monotonic() - began < 5
    assert station.process.returncode == 0
    assert "deaf did not stop in time" in err
    assert "playout did not stop" not in err
    assert all(map(is_gone, family))


def test_twenty_stops_at_any_moment_leave_no_process(start: Start) -> None:
    for round_ in range(20):
        station = start(PLAYOUT, STUDIO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lock = station.paths.lock
        pid = str(station.process.pid)
        wait_for(lambda lock=lock, pid=pid: lock.exists() and pid in lock.read_text(), 10, "lock")
        time.sleep(0.03 * round_)  # before, during and after the start of the roles
        family = family_of(station.process.pid)
        began = time.monotonic()
        station.process.terminate()
        assert station.process.wait(timeout=10) == 0
        assert time.monotonic() - began < 5
        assert all(map(is_gone, family))
        assert left_behind(station) == []


def test_no_orphan_survives_a_supervisor_that_is_killed(start: Start) -> None:
    for _ in range(5):
        station = start(PLAYOUT, STUDIO)
        station.running("playout")
        wait_for(lambda s=station: len(family_of(s.process.pid)) == 3, 10, "the grandchild")
        family = family_of(station.process.pid)
        station.process.kill()
        wait_for(lambda f=family: all(map(is_gone, f)), 2, "every descendant dead")


def test_it_runs_with_closed_streams_and_without_a_terminal(tmp_path: Path) -> None:
    plan = json.dumps(
        {
            "settings": {
                "station": {"state_dir": str(tmp_path / "var")},
                "api": {"port": free_port()},
                "relay": {"mode": "none"},
            },
            "roles": [PLAYOUT],
        }
    )
    module = "tests.doubles.fake_station"
    shell = subprocess.Popen(
        ["sh", "-c", f'exec "$0" -m {module} "$1" <&- >&- 2>&-', sys.executable, plan],
        cwd=REPO,
        start_new_session=True,
    )
    roster = tmp_path / "var" / "run" / "roles.json"
    wait_for(lambda: roster.exists() and '"running"' in roster.read_text(), 10, "running")
    open_fds = [str(Path(f"/proc/{shell.pid}/fd/{number}").readlink()) for number in range(3)]
    shell.terminate()
    assert shell.wait(timeout=10) == 0
    assert open_fds == [os.devnull] * 3


def test_a_second_station_on_the_same_folder_is_refused_with_the_pid_of_the_first(
    start: Start,
) -> None:
    first = start(PLAYOUT)
    first.running("playout")
    began = time.monotonic()
    second = start(PLAYOUT)
    _, err = second.output()
    assert time.monotonic() - began < 5
    assert second.process.returncode != 0
    assert f"pid {first.process.pid}" in err
    assert first.roster()["playout"]["state"] == "running"


def test_a_busy_port_is_refused_with_its_number_and_its_holder(start: Start) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        began = time.monotonic()
        station = start(PLAYOUT, settings={"api": {"port": port}})
        _, err = station.output()
    assert time.monotonic() - began < 5
    assert station.process.returncode != 0
    assert f"port {port}" in err
    assert f"pid {os.getpid()}" in err


def test_the_summary_comes_once_and_only_on_air(start: Start) -> None:
    station = start(PLAYOUT)
    station.running("playout")
    wait_for(lambda: b"on air after" in station.process.stderr.readline(), 10, "on air")
    station.process.terminate()
    out, _ = station.output()
    assert out.count("is on air: main") == 1
    assert f"http://127.0.0.1:{station.settings['api']['port']}/generate_video" in out


def test_an_idle_supervisor_wakes_about_twice_a_second(start: Start) -> None:
    station = start(PLAYOUT, {"name": "relay", "watch": free_port()}, STUDIO)
    station.running("playout")
    station.running("relay")
    time.sleep(1.5)  # past the hurried ticks of the start
    before, cpu_before = _switches(station.process.pid), _cpu_s(station.process.pid)
    time.sleep(5.0)  # the measurement
    woken = (_switches(station.process.pid) - before) / 5
    used = (_cpu_s(station.process.pid) - cpu_before) / 5
    assert woken <= 6.0
    assert used <= 0.1, "a hundredth at most where nothing else runs"


def _switches(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches"):
            return int(line.split()[1])
    raise AssertionError("no switches")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
