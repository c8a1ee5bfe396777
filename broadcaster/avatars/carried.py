"""An avatar on its way between processes: as a message, and as the one word that names it.

Values only. The studio finds an avatar once; whoever is told of it shows just that version.
"""

from __future__ import annotations

from pathlib import Path

from broadcaster.avatars.found import FoundAvatar
from broadcaster.wire import Message

_KEYS = ("name", "version", "engine", "source")


def as_message(avatar: FoundAvatar) -> Message:
    """For the control socket, or a command line."""
    return {
        "name": avatar.name,
        "version": avatar.version,
        "engine": avatar.engine,
        "source": str(avatar.source),
    }


def from_message(message: Message) -> FoundAvatar:
    """What ``as_message`` gave.

    Raises:
        LookupError: it is something else.
    """
    name, version, engine, source = (str(message[key]) for key in _KEYS)
    return FoundAvatar(name, version, engine, Path(source))


def label(avatar: FoundAvatar) -> str:
    """Names the very pictures: another version is another label."""
    return f"{avatar.name}.{avatar.version}"
