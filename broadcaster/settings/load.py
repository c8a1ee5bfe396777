"""How settings become values: environment over file over defaults.

The supervisor calls ``load_settings`` once and leaves the result as JSON (``write_resolved``); the
other roles read that (``read_resolved``), so a file edited while on air never splits the station.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr, ValidationError

from broadcaster.errors import ConfigError
from broadcaster.settings.credentials import read_credentials
from broadcaster.settings.model import Section, SettingsModel
from broadcaster.settings.platforms import platform_names

DEFAULT_FILE = Path("config/broadcaster.yaml")
"""Taken from the current folder when no file is named; may be absent."""

S = TypeVar("S", bound=Section)


def load_settings(file: Path | None = None, *, with_credentials: bool = True) -> SettingsModel:
    """Read the settings of this run.

    Args:
        file: a YAML file; None takes ``$BROADCASTER_CONFIG``, then ``config/broadcaster.yaml``
            if there is one, then defaults alone.
        with_credentials: whether addresses that stand in files are read; False leaves their names,
            for those who push nowhere.

    Returns:
        Settings with ``station.state_dir`` and the paths of idle clips made absolute.

    Raises:
        ConfigError: unreadable file, unknown key, bad value, unknown platform or missing
            credential, with every fault on its own line. No line holds a value of the file: values
            may be stream keys.
    """
    from broadcaster.settings.sources import read_environment, read_yaml  # noqa: PLC0415 (slow)

    data = read_yaml(chosen) if (chosen := _chosen_file(file)) else {}
    overrides, faults = read_environment(os.environ)
    if faults:
        raise ConfigError("\n".join(faults))
    settings = _with_absolute_paths(_validated(_merged(data, overrides)))
    _require_known_platforms(settings)
    return read_credentials(settings, os.environ) if with_credentials else settings


def revised(section: S, changes: Mapping[str, Any]) -> S:
    """A copy of a section with some values changed, judged as if they stood in the file.

    Raises:
        ConfigError: a value that cannot be used, with every fault on its own line.
    """
    try:
        return type(section).model_validate(_merged(section.model_dump(), changes))
    except ValidationError as error:
        raise ConfigError("\n".join(_fault_lines(error))) from None


def write_resolved(settings: SettingsModel, path: Path) -> None:
    """Write the settings as JSON for the roles, atomically, mode 0600: secrets are in clear.

    Raises:
        OSError: the folder cannot be written to.
    """
    text = json.dumps(settings.model_dump(), default=_json_value, indent=1)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def read_resolved(path: Path) -> SettingsModel:
    """The settings that ``write_resolved`` left at ``path``.

    Raises:
        ConfigError: missing, or written by another version of the station.
    """
    try:
        return SettingsModel.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise ConfigError("\n".join(_fault_lines(error))) from None


def _chosen_file(file: Path | None) -> Path | None:
    """The file to read: what was named must exist, the default may be absent."""
    if file is not None:
        return file
    if named := os.environ.get("BROADCASTER_CONFIG"):
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid over ``base``, mapping by mapping; lists are replaced whole."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def _validated(data: dict[str, Any]) -> SettingsModel:
    try:
        return SettingsModel.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(_fault_lines(error))) from None


def _fault_lines(error: ValidationError) -> list[str]:
    """``push.retry_s: unknown key`` style, in the order of the file, without any value."""
    return [
        f"{_dotted(fault['loc'])}: {_reason(fault['type'], fault['msg'])}"
        for fault in error.errors(include_input=False, include_url=False)
    ]


def _dotted(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location) or "settings"


def _reason(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "missing":
        return "must be given"
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _with_absolute_paths(settings: SettingsModel) -> SettingsModel:
    """Roles run with another working folder, so paths are fixed here.

    systemd's ``$STATE_DIRECTORY`` wins over the setting; of several folders the first counts.
    """
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    state_dir = Path(given or settings.station.state_dir).expanduser().absolute()
    station = settings.station.model_copy(update={"state_dir": state_dir})
    channels = []
    for channel in settings.channels:
        clips = tuple(
            clip.model_copy(update={"path": clip.path.expanduser().absolute()})
            for clip in channel.idle.clips
        )
        idle = channel.idle.model_copy(update={"clips": clips})
        channels.append(channel.model_copy(update={"idle": idle}))
    return settings.model_copy(update={"station": station, "channels": tuple(channels)})


def _require_known_platforms(settings: SettingsModel) -> None:
    known = platform_names()
    faults = [
        f"channels.{c}.destinations.{d}.platform: unknown platform {destination.platform!r} "
        f"(known: {', '.join(sorted(known))})"
        for c, channel in enumerate(settings.channels)
        for d, destination in enumerate(channel.destinations)
        if destination.platform not in known
    ]
    if faults:
        raise ConfigError("\n".join(faults))


def _json_value(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value)
