"""The relay's configuration text, and where its parts are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from broadcaster.errors import ConfigError
from broadcaster.relay.config import channel_url, render_config, stat_url
from broadcaster.relay.install import MODULE_NAME, find_module
from broadcaster.settings.model import Relay

MODULE = Path("/opt/modules") / MODULE_NAME


def test_every_listener_is_on_loopback() -> None:
    text = render_config(Relay(port=2935, stat_port=2936), MODULE)
    listeners = [line.strip() for line in text.splitlines() if "listen " in line]
    assert listeners == ["listen 127.0.0.1:2935;", "listen 127.0.0.1:2936;"]


def test_every_path_is_in_the_relays_own_prefix() -> None:
    text = render_config(Relay(), MODULE)
    absolute = [word for word in text.split() if word.startswith("/") and word.endswith(";")]
    assert absolute == [f"{MODULE};"]
    assert "access_log off;" in text


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::1", "relay.example", "127.0.0.1; x"])
def test_an_address_that_others_could_reach_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="loopback"):
        render_config(Relay(host=host), MODULE)


def test_addresses_follow_the_mode() -> None:
    external = Relay(
        mode="external", url="rtmp://relay.example/app", stat_url="http://relay.example:8/stat"
    )
    assert channel_url(Relay(), "main") == "rtmp://127.0.0.1:1935/live/main"
    assert channel_url(external, "main") == "rtmp://relay.example/app/main"
    assert channel_url(Relay(mode="none"), "main") == ""
    assert stat_url(Relay()) == "http://127.0.0.1:11935/stat"
    assert stat_url(external) == "http://relay.example:8/stat"
    assert stat_url(Relay(mode="none")) == ""


def test_the_module_is_found_in_a_known_folder_or_by_the_package_lists(tmp_path: Path) -> None:
    lists, odd = tmp_path / "info", tmp_path / "odd"
    for folder in (lists, odd):
        folder.mkdir()
    assert find_module([tmp_path / "none"], lists) is None
    (odd / MODULE_NAME).touch()
    (lists / "libnginx-mod-rtmp:amd64.list").write_text(f"/.\n{odd / MODULE_NAME}\n")
    assert find_module([tmp_path / "none"], lists) == odd / MODULE_NAME
    assert find_module([odd], tmp_path / "no-dpkg") == odd / MODULE_NAME
