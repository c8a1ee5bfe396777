"""The key that callbacks are signed with: from the settings, or made once and kept.

Must never log it; only ``broadcaster callbacks secret`` prints it.
"""

from __future__ import annotations

import os
import secrets

from broadcaster.errors import ConfigError
from broadcaster.paths import StatePaths
from broadcaster.settings.model import SettingsModel

_SECRET_BYTES = 32


def signing_secret(settings: SettingsModel, paths: StatePaths) -> str:
    """The secret; makes the file where there is neither setting nor file.

    Raises:
        ConfigError: it can neither be read nor made.
    """
    if given := settings.callbacks.secret.get_secret_value():
        return given
    file = paths.callback_secret
    try:
        paths.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_once(paths)
        kept = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise ConfigError(f"{file}: cannot be used: {why}") from None
    if not kept:
        raise ConfigError(f"{file}: is empty; delete it and start again")
    return kept


def _make_once(paths: StatePaths) -> None:
    """Complete or not at all, and whoever is second takes what the first one made."""
    file = paths.callback_secret
    if file.exists():
        return
    new = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as out:
            out.write(secrets.token_hex(_SECRET_BYTES) + "\n")
            out.flush()
            os.fsync(out.fileno())
            if os.geteuid() == 0:  # made by root for a station that runs as somebody else
                owner = paths.root.stat()
                os.fchown(out.fileno(), owner.st_uid, owner.st_gid)
        try:
            os.link(new, file)
        except FileExistsError:
            return
    finally:
        new.unlink()
