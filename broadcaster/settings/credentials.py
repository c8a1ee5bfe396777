"""Addresses of destinations from systemd credentials, so that no stream key need be in a setting.

Between the file of settings and the resolved ones, once per run. A credential is a file under
``$CREDENTIALS_DIRECTORY`` that only the service can read (systemd.exec, ``LoadCredential=``). No
message here may hold what such a file holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr, ValidationError

from broadcaster.errors import ConfigError
from broadcaster.settings.model import CREDENTIAL, Destination, SettingsModel

DIRECTORY = "CREDENTIALS_DIRECTORY"

LONGEST_BYTES = 4096
"""No address is as long; a file that is, is another one."""


def read_credentials(settings: SettingsModel, environment: Mapping[str, str]) -> SettingsModel:
    """The settings with every ``credential:NAME`` replaced by what that file holds.

    Raises:
        ConfigError: a file is missing or holds no address; every fault on its own line.
    """
    channels, faults = [], []
    for c, channel in enumerate(settings.channels):
        destinations = []
        for d, destination in enumerate(channel.destinations):
            try:
                destinations.append(_resolved(destination, environment))
            except ConfigError as error:
                faults.append(f"channels.{c}.destinations.{d}.url: {error}")
        channels.append(channel.model_copy(update={"destinations": tuple(destinations)}))
    if faults:
        raise ConfigError("\n".join(faults))
    return settings.model_copy(update={"channels": tuple(channels)})


def _resolved(destination: Destination, environment: Mapping[str, str]) -> Destination:
    named = CREDENTIAL.fullmatch(destination.url.get_secret_value())
    if named is None:
        return destination
    address = _read(named[1], environment)
    if CREDENTIAL.fullmatch(address):
        raise ConfigError(f"the credential {named[1]!r} names another one")
    try:
        return Destination(
            name=destination.name, url=SecretStr(address), platform=destination.platform
        )
    except ValidationError:
        raise ConfigError(
            f"the credential {named[1]!r} is no address such as rtmps://host/app/key"
        ) from None


def _read(name: str, environment: Mapping[str, str]) -> str:
    folder = environment.get(DIRECTORY, "")
    if not folder:
        raise ConfigError(
            f"the credential {name!r} cannot be read: ${DIRECTORY} is not set; systemd sets it "
            "where the unit has LoadCredential="
        )
    try:
        with (Path(folder) / name).open("rb") as file:
            held = file.read(LONGEST_BYTES + 1)
        if len(held) > LONGEST_BYTES:
            raise ConfigError(f"the credential {name!r} is too long for an address")
        return held.decode("utf-8").strip()
    except OSError as error:
        raise ConfigError(f"the credential {name!r} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the credential {name!r} is not UTF-8 text") from None
