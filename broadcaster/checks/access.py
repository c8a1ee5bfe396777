"""Checks of who can use the API: whether tokens are needed, and whether there are any."""

from __future__ import annotations

from collections.abc import Iterator

from broadcaster.access.role import is_loopback, tokens_needed
from broadcaster.access.tokens import TokenFile
from broadcaster.checks.finding import Finding
from broadcaster.clock import wall_time_s
from broadcaster.errors import ConfigError
from broadcaster.paths import StatePaths
from broadcaster.settings.model import SettingsModel

_CREATE = "broadcaster token create --role operator"


def check_access(settings: SettingsModel) -> Iterator[Finding]:
    """One line: open or locked, and to whom."""
    api = settings.api
    local = is_loopback(api.host)
    if not tokens_needed(api):
        if local:
            yield Finding("ok", "access", f"open, on {api.host} only: no token is needed")
        else:
            detail = f"anybody who reaches {api.host}:{api.port} can speak on air"
            yield Finding("warn", "access", detail, "Set api.access to auto, then: " + _CREATE)
        return
    file = TokenFile(StatePaths(settings.station.state_dir).tokens)
    try:
        tokens = [token for token in file.read() if not token.expired(wall_time_s())]
    except ConfigError as error:
        yield Finding("warn", "access", str(error), "Nobody can use the API until then.")
        return
    if not tokens:
        detail = "tokens are needed and there is none: the API refuses everything but /healthz"
        yield Finding("warn", "access", detail, _CREATE)
        return
    clear = "" if local else "; they travel in clear unless a proxy with TLS stands in front"
    yield Finding("ok", "access", f"tokens are needed; there are {len(tokens)}{clear}")
