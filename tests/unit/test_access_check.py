"""What ``check`` and the start say about who can use the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from broadcaster.access.role import Role
from broadcaster.access.tokens import TokenFile
from broadcaster.checks.access import check_access
from broadcaster.checks.finding import Finding
from broadcaster.clock import wall_time_s
from broadcaster.errors import ConfigError
from broadcaster.paths import StatePaths
from broadcaster.settings.load import load_settings
from broadcaster.settings.model import SettingsModel
from broadcaster.supervisor.summary import summary


def settings(folder: Path, **api: Any) -> SettingsModel:
    return SettingsModel.model_validate({"station": {"state_dir": str(folder)}, "api": api})


def finding(folder: Path, **api: Any) -> Finding:
    (found,) = check_access(settings(folder, **api))
    return found


def test_a_local_station_is_open_and_that_is_fine(tmp_path: Path) -> None:
    assert finding(tmp_path).level == "ok"
    assert "no token is needed" in finding(tmp_path).detail


def test_an_open_station_beyond_this_machine_is_warned_of(tmp_path: Path) -> None:
    found = finding(tmp_path, host="0.0.0.0", access="open")
    assert found.level == "warn"
    assert "anybody" in found.detail


def test_a_locked_station_without_tokens_says_how_to_make_one(tmp_path: Path) -> None:
    for api in ({"host": "0.0.0.0"}, {"access": "tokens"}):
        found = finding(tmp_path, **api)
        assert (found.level, found.remedy) == ("warn", "broadcaster token create --role operator")
    TokenFile(StatePaths(tmp_path).tokens).create(Role.VIEWER, "old", wall_time_s(), 0.0)
    assert finding(tmp_path, access="tokens").level == "warn", "an expired one is none"
    TokenFile(StatePaths(tmp_path).tokens).create(Role.VIEWER, "new", wall_time_s())
    assert finding(tmp_path, access="tokens").detail == "tokens are needed; there are 1"
    assert "TLS" in finding(tmp_path, host="0.0.0.0").detail


def test_a_damaged_file_is_seen(tmp_path: Path) -> None:
    StatePaths(tmp_path).tokens.write_text("x")
    found = finding(tmp_path, access="tokens")
    assert (found.level, "damaged" in found.detail) == ("warn", True)


def test_the_start_tells_how_to_make_a_token_only_where_one_is_missing(tmp_path: Path) -> None:
    local, open_port = settings(tmp_path), settings(tmp_path, host="0.0.0.0")
    assert "token create" not in summary(local, 1.0)
    assert "Authorization" not in summary(local, 1.0)
    assert "broadcaster token create --role operator" in summary(open_port, 1.0)
    assert "token create" not in summary(open_port, 1.0, usable_tokens=1)
    assert 'curl -H "Authorization: Bearer $TOKEN" -F' in summary(open_port, 1.0, 1)


@pytest.mark.parametrize(
    "text",
    [
        "api: {access: closed}",
        "api: {cors_origins: ['*']}",
        "api: {cors_origins: ['https://example.com/']}",
        "api: {cors_origins: [example.com]}",
        "api: {hosts: ['https://tv.example.com']}",
        "api: {hosts: ['TV.example.com']}",
        "api: {rate_per_minute: -1}",
        "callbacks: {secret: short-secret}",
        "callbacks: {allow: ['10.0.0.1/8']}",
        "callbacks: {allow: ['http://example.com']}",
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_settings(file)
    assert "short-secret" not in str(raised.value)


def test_a_secret_of_the_settings_is_not_shown(tmp_path: Path) -> None:
    secret = "a-secret-of-many-letters"
    made = SettingsModel.model_validate({"callbacks": {"secret": secret}})
    assert secret not in repr(made) + str(made)
