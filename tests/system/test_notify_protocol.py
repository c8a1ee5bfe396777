"""systemd's notification protocol, heard on a socket of our own around the real supervisor."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broadcaster.notify import Notifier
from tests.doubles.fake_station import FakeStation

PLAYOUT = {"name": "playout", "watch": "heartbeat", "stop_by": 0.85}


class Manager:
    """The service manager's end of the socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def next(self, timeout_s: float) -> dict[str, str]:
        """The next message as key=value pairs; empty when none comes in time."""
        self._socket.settimeout(timeout_s)
        try:
            text = self._socket.recv(4096).decode()
        except TimeoutError:
            return {}
        return dict(line.split("=", 1) for line in text.splitlines())

    def until(self, key: str, timeout_s: float) -> dict[str, str]:
        """The next message with this key."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            message = self.next(deadline - time.monotonic())
            if key in message:
                return message
        raise AssertionError(f"no {key} within {timeout_s} s")

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """A listening manager, at a path or in the abstract namespace."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@notify-{os.getpid()}"
    listening = Manager(address)
    yield listening
    listening.close()


def started(manager: Manager, state_dir: Path, watchdog_s: float) -> FakeStation:
    """A station that believes it runs under systemd."""
    env = {
        **os.environ,
        "NOTIFY_SOCKET": manager.address,
        "WATCHDOG_USEC": str(int(watchdog_s * 1e6)),
    }
    return FakeStation(state_dir, [PLAYOUT], env=env)


def test_ready_then_watchdog_then_stopping(manager: Manager, tmp_path: Path) -> None:
    station = started(manager, tmp_path / "var", watchdog_s=1.5)
    try:
        assert manager.until("READY", 15)["STATUS"] == "on air"
        fed = []
        for _ in range(4):
            manager.until("WATCHDOG", 2)
            fed.append(time.monotonic())
        assert fed[-1] - fed[0] >= 1.0
        station.process.terminate()
        manager.until("STOPPING", 5)
        assert station.process.wait(timeout=10) == 0
    finally:
        station.close()


def test_a_tick_loop_that_stands_still_starves_the_watchdog(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    station = started(manager, tmp_path / "var", watchdog_s=1.5)
    try:
        manager.until("READY", 15)
        playout = station.running("playout")
        os.kill(playout, signal.SIGSTOP)
        stopped_at = last_fed = time.monotonic()
        while manager.next(2.0):
            last_fed = time.monotonic()
        assert 1.5 < last_fed - stopped_at <= 3.6
        assert station.process.poll() is None
        os.kill(playout, signal.SIGCONT)
        manager.until("WATCHDOG", 3)
    finally:
        station.close()
        manager.close()


def test_no_role_sees_the_managers_socket(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    station = started(manager, tmp_path / "var", watchdog_s=30)
    try:
        playout = station.running("playout")
        environment = Path(f"/proc/{playout}/environ").read_bytes()
        assert b"NOTIFY_SOCKET" not in environment
        assert b"WATCHDOG" not in environment
    finally:
        station.close()
        manager.close()


def test_a_watchdog_meant_for_another_process_is_not_ours() -> None:
    environ = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "1"}
    notifier = Notifier.from_environment(environ)
    assert notifier.watchdog_s is None
    assert environ == {}
    notifier.close()


def test_without_a_manager_and_with_one_that_is_gone_nothing_happens(tmp_path: Path) -> None:
    for notifier in (Notifier(), Notifier(str(tmp_path / "nobody"), 10.0)):
        notifier.ready("on air")
        notifier.alive()
        notifier.close()
        notifier.stopping()
