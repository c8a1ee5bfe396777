"""The station's roles as command lines, and what they find in their environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from broadcaster.paths import StatePaths
from broadcaster.relay.install import find_module, find_nginx
from broadcaster.settings.model import Api, Playout, Preview, Relay, SettingsModel
from broadcaster.supervisor.roles import api_command, role_environment, station_roles
from broadcaster.supervisor.watch import HeartbeatWatch, HttpWatch


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    """A state folder as the supervisor makes it."""
    made = StatePaths(tmp_path / "var")
    made.make()
    return made


def option(command: tuple[str, ...], name: str) -> str:
    """The word after ``name``."""
    return command[command.index(name) + 1]


def test_the_api_is_one_threaded_worker_without_files_outside_the_station(
    paths: StatePaths,
) -> None:
    command = api_command(SettingsModel(api=Api(port=21001, threads=12, event_clients=3)), paths)
    assert option(command, "--bind") == "127.0.0.1:21001"
    assert option(command, "--workers") == "1"
    assert option(command, "--threads") == "15"
    assert option(command, "--worker-tmp-dir") in ("/dev/shm", str(paths.run))
    assert "--no-control-socket" in command
    assert "--access-logfile" not in command
    assert command[-1] == "broadcaster.api.app:create_app()"


def test_an_ipv6_address_is_bound_in_brackets(paths: StatePaths) -> None:
    command = api_command(SettingsModel(api=Api(host="::1")), paths)
    assert option(command, "--bind") == "[::1]:11001"


def test_without_an_embedded_relay_there_is_no_relay_role(paths: StatePaths) -> None:
    settings = SettingsModel(relay=Relay(mode="none"))
    assert [spec.name for spec in station_roles(settings, paths)] == ["playout", "studio", "api"]


@pytest.mark.skipif(
    find_nginx() is None or find_module() is None, reason="nginx with RTMP is not installed"
)
def test_the_relay_starts_first_and_stops_last(paths: StatePaths) -> None:
    specs = station_roles(SettingsModel(), paths)
    assert [spec.name for spec in specs] == ["relay", "playout", "studio", "preview", "api"]
    by_stop = sorted(specs, key=lambda spec: spec.stop_by)
    assert [spec.name for spec in by_stop][-2:] == ["playout", "relay"]
    assert (paths.relay / "nginx.conf").exists()


def test_the_limits_of_the_settings_reach_the_watches(paths: StatePaths) -> None:
    settings = SettingsModel(relay=Relay(mode="none"), playout=Playout(hang_after_s=12.0))
    watches = {spec.name: spec.watch for spec in station_roles(settings, paths)}
    assert isinstance(watches["playout"], HeartbeatWatch)
    assert watches["playout"].limit_s == 12.0
    assert isinstance(watches["api"], HttpWatch)
    assert watches["api"].limit_s == 15.0


@pytest.mark.parametrize(("host", "asked"), [("0.0.0.0", "127.0.0.1"), ("::", "::1")])
def test_a_wildcard_address_is_watched_on_loopback(
    paths: StatePaths, host: str, asked: str
) -> None:
    settings = SettingsModel(relay=Relay(mode="none"), api=Api(host=host))
    watch = station_roles(settings, paths)[-1].watch
    assert isinstance(watch, HttpWatch)
    assert watch.host == asked


def test_numeric_libraries_get_one_thread_and_metrics_one_folder(paths: StatePaths) -> None:
    env = role_environment(paths)
    assert {env[f"{name}_NUM_THREADS"] for name in ("OPENBLAS", "OMP", "MKL")} == {"1"}
    assert env["PROMETHEUS_MULTIPROC_DIR"] == str(paths.metrics)
    assert env["PATH"]


def test_what_is_on_air_is_tried_again_within_seconds_however_often_it_ended(
    tmp_path: Path,
) -> None:
    pauses = {
        spec.name: spec.longest_pause_s
        for spec in station_roles(SettingsModel(), StatePaths(tmp_path))
    }
    assert pauses["playout"] <= 2.0
    assert pauses["relay"] <= 2.0


@pytest.mark.parametrize(
    ("preview", "url", "there"),
    [
        (True, "rtmp://relay.example/live", True),
        (False, "rtmp://relay.example/live", False),
        (True, "", False),
    ],
)
def test_the_preview_runs_where_it_is_wanted_and_has_a_relay(
    paths: StatePaths, preview: bool, url: str, there: bool
) -> None:
    relay = Relay(mode="external", url=url) if url else Relay(mode="none")
    settings = SettingsModel(relay=relay, preview=Preview(enabled=preview))
    specs = {spec.name: spec for spec in station_roles(settings, paths)}
    assert ("preview" in specs) is there
    if there:
        assert isinstance(specs["preview"].watch, HeartbeatWatch)
        assert specs["preview"].longest_pause_s <= 5.0
