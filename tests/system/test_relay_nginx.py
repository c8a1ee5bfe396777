"""The embedded relay with real nginx and real FFmpeg: starts, reports, dies, hangs, comes back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broadcaster.clock import MonotonicClock
from broadcaster.paths import StatePaths
from broadcaster.processes import start_child
from broadcaster.relay.config import channel_url, stat_url
from broadcaster.relay.install import find_module, find_nginx
from broadcaster.relay.stat import RelayStat, StreamStat, fetch_stat
from broadcaster.settings.model import Relay, SettingsModel
from broadcaster.settings.model import Supervisor as SupervisorSettings
from broadcaster.supervisor.loop import SupervisorLoop
from broadcaster.supervisor.role import Role
from broadcaster.supervisor.roles import station_roles
from broadcaster.supervisor.signals import SignalInbox
from tests.doubles.fake_station import free_port, wait_for

pytestmark = [
    pytest.mark.skipif(find_nginx() is None, reason="nginx is not installed"),
    pytest.mark.skipif(find_module() is None, reason="nginx has no RTMP module"),
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed"),
]


class Script:
    """Runs a test's steps inside the supervisor's own loop, one generator step a tick."""

    hurried = True

    def __init__(self, steps: Iterator[None], stop: Callable[[str], None]) -> None:
        self._steps = steps
        self._stop = stop
        self.error: BaseException | None = None

    def attend(self, _now: float, _roles: object) -> None:
        try:
            next(self._steps)
        except StopIteration:
            self._stop("done")
        except BaseException as error:
            self.error = error
            self._stop("failed")

    def role_ended(self, role: Role, reason: str) -> None:
        pass


class Station:
    """A supervisor with the relay as its only role, inside the test's process."""

    def __init__(self, state_dir: Path) -> None:
        self.relay = Relay(port=free_port(), stat_port=free_port())
        settings = SettingsModel(relay=self.relay)
        paths = StatePaths(state_dir)
        paths.make()
        self._attendants: list[Any] = []
        specs = [spec for spec in station_roles(settings, paths) if spec.name == "relay"]
        self.loop = SupervisorLoop(
            specs,
            env=dict(os.environ),
            settings=SupervisorSettings(),
            roster=paths.run / "roles.json",
            attendants=self._attendants,
            clock=MonotonicClock(),
        )
        self.role = self.loop.roles[0]

    def play(self, steps: Iterator[None]) -> None:
        """Run the steps; the relay is stopped afterwards whatever happened."""
        script = Script(steps, self.loop.request_stop)
        self._attendants.append(script)
        with SignalInbox() as inbox:
            try:
                self.loop.run(inbox)
            finally:
                self.loop.stop()
        if script.error:
            raise script.error

    def stat(self) -> RelayStat | None:
        """The health page, or None while there is none."""
        try:
            return fetch_stat(stat_url(self.relay), 0.5)
        except OSError:
            return None

    def main_stream(self) -> StreamStat | None:
        """The stream of the channel, once it has been published."""
        stat = self.stat()
        stream = stat.stream("main") if stat else None
        return stream if stream and stream.bytes_in else None


@pytest.fixture
def station(tmp_path: Path) -> Station:
    """Not yet running: see ``play``."""
    return Station(tmp_path / "var")


def becomes(condition: Callable[[], object], limit_s: float, what: str) -> Iterator[None]:
    """Steps until the condition holds."""
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, f"not within {limit_s} s: {what}"
        yield


def publish(url: str) -> subprocess.Popen[bytes]:
    """A small live programme."""
    command = (
        "ffmpeg -hide_banner -loglevel error -re"
        " -f lavfi -i testsrc2=size=320x180:rate=25"
        " -f lavfi -i sine=frequency=1000:sample_rate=48000"
        " -c:v libx264 -preset ultrafast -tune zerolatency -g 25 -c:a aac -f flv"
    )
    return start_child([*command.split(), url], stderr=subprocess.DEVNULL)


def test_a_publisher_is_seen_and_counted(station: Station) -> None:
    def steps() -> Iterator[None]:
        yield from becomes(station.stat, 5, "the health page")
        pusher = publish(channel_url(station.relay, "main"))
        try:
            yield from becomes(station.main_stream, 10, "the stream")
            first = station.main_stream()
            assert first is not None
            assert first.publishing
            assert first.clients == 1

            def grew() -> bool:
                now = station.main_stream()
                return now is not None and now.bytes_in > first.bytes_in

            yield from becomes(grew, 5, "more bytes")
        finally:
            pusher.kill()
            pusher.wait()
        yield from becomes(lambda: not station.main_stream(), 5, "the end of the stream")

    station.play(steps())


def test_a_reader_gets_picture_and_sound_and_begins_with_a_key_picture(station: Station) -> None:
    def steps() -> Iterator[None]:
        url = channel_url(station.relay, "main")
        yield from becomes(station.stat, 5, "the health page")
        pusher = publish(url)
        try:
            yield from becomes(station.main_stream, 10, "the stream")
            command = (
                "ffprobe -v error -rw_timeout 5000000 -read_intervals %+2"
                " -show_entries packet=codec_type,flags -of csv=p=0"
            )
            reader = subprocess.Popen([*command.split(), url], stdout=subprocess.PIPE, text=True)
            yield from becomes(lambda: reader.poll() is not None, 20, "ffprobe's end")
            packets = reader.communicate()[0].split()
            pictures = [line for line in packets if line.startswith("video")]
            assert pictures[0].startswith("video,K")
            assert any(line.startswith("audio") for line in packets)
        finally:
            pusher.kill()
            pusher.wait()

    station.play(steps())


def test_a_killed_relay_is_back_at_once(station: Station) -> None:
    def steps() -> Iterator[None]:
        for _ in range(3):
            yield from becomes(lambda: station.role.pid and station.stat(), 5, "the health page")
            pid = station.role.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            began = time.monotonic()
            yield from becomes(lambda p=pid: station.role.pid not in (None, p), 3, "a new relay")
            yield from becomes(station.stat, 3, "its health page")
            assert time.monotonic() - began < 2

    station.play(steps())


def test_a_hung_relay_is_replaced_within_three_seconds_of_the_fault(station: Station) -> None:
    delays = []

    def steps() -> Iterator[None]:
        for round_ in range(3):
            yield from becomes(lambda: station.role.condition.state == "running", 5, "running")
            settle = time.monotonic() + 0.35 * round_  # at different moments of the second
            yield from becomes(lambda s=settle: time.monotonic() >= s, 5, "the moment")
            pid = station.role.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            began = time.monotonic()
            yield from becomes(lambda p=pid: station.role.pid != p, 5, "the verdict")
            delays.append(time.monotonic() - began)
            assert "hung" in station.role.condition.last_error
            yield from becomes(station.stat, 5, "a new relay")

    station.play(steps())
    assert max(delays) <= 3.0, delays


def test_nothing_of_the_relay_is_left_and_nothing_is_outside_its_prefix(
    station: Station, tmp_path: Path
) -> None:
    seen: list[str] = []

    def steps() -> Iterator[None]:
        yield from becomes(station.stat, 5, "the health page")
        open_files = Path(f"/proc/{station.role.pid}/fd").iterdir()
        seen.extend(str(link.readlink()) for link in open_files)
        yield

    station.play(steps())
    prefix = str(tmp_path / "var" / "run" / "relay")
    files = [name for name in seen if name.startswith("/") and not name.startswith("/dev/")]
    outside = [name for name in files if not name.startswith(prefix)]
    assert [name for name in outside if "nginx" in name] == []
    assert station.role.pid is None
    wait_for(lambda: station.stat() is None, 2, "the port closed")
