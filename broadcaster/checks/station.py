"""All checks in the order of the signal path; the one door that ``broadcaster check`` uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from broadcaster.checks.access import check_access
from broadcaster.checks.avatars import check_avatars
from broadcaster.checks.finding import Finding
from broadcaster.checks.machine import check_disk, check_gpu, check_ports, check_shared_memory
from broadcaster.checks.media import check_idle_media
from broadcaster.checks.network import check_destinations, check_relay
from broadcaster.checks.preview import check_preview
from broadcaster.checks.programs import check_encoders, check_ffmpeg
from broadcaster.checks.voices import check_voices
from broadcaster.errors import ConfigError
from broadcaster.settings.load import load_settings
from broadcaster.settings.model import SettingsModel


def check_station(file: Path | None) -> Iterator[Finding]:
    """Load the settings and, if they can be used, look at everything they name.

    Args:
        file: as for ``load_settings``.
    """
    try:
        settings = load_settings(file)
    except ConfigError as error:
        remedy = "Correct it; config/broadcaster.yaml lists every key with its default."
        for line in str(error).splitlines():
            yield Finding("fail", "settings", line, remedy)
        return
    yield Finding("ok", "settings", f"{len(settings.channels)} channel(s)")
    yield from check_everything(settings)


def check_everything(settings: SettingsModel) -> Iterator[Finding]:
    """Every check for settings that are valid."""
    yield from check_ffmpeg(settings)
    yield from check_encoders(settings)
    yield from check_gpu()
    yield from check_shared_memory()
    yield from check_disk(settings)
    yield from check_ports(settings)
    yield from check_access(settings)
    yield from check_idle_media(settings)
    yield from check_voices(settings)
    yield from check_avatars(settings)
    yield from check_relay(settings)
    yield from check_preview(settings)
    yield from check_destinations(settings)
