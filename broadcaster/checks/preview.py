"""Check of the browser preview: its library is there, and viewers are offered usable addresses."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Iterator

from broadcaster.checks.finding import Finding, Level
from broadcaster.settings.model import SettingsModel

_LIBRARY = "aiortc"


def check_preview(settings: SettingsModel) -> Iterator[Finding]:
    """The preview can serve viewers, or is not wanted."""
    if not settings.has_preview:
        yield Finding("ok", "preview", "none (preview.enabled is false, or there is no relay)")
        return
    if importlib.util.find_spec(_LIBRARY) is None:
        remedy = "Install the package's pinned requirements, or set preview.enabled to false."
        yield Finding("fail", "preview", f"{_LIBRARY} is not installed", remedy)
        return
    wanted = [str(each) for each in settings.preview.ice_addresses]
    foreign = [each for each in wanted if not _is_ours(each)]
    if foreign:
        remedy = "List addresses of this machine; for others use preview.ice_servers."
        detail = f"not an address of this machine: {', '.join(foreign)}"
        level: Level = "fail" if len(foreign) == len(wanted) else "warn"
        yield Finding(level, "preview", detail, remedy)
        return
    offered = ", ".join(wanted) or "every address of this machine"
    yield Finding("ok", "preview", f"viewers are offered {offered}")


def _is_ours(address: str) -> bool:
    """Whether a UDP socket can be bound there; it is let go at once."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
