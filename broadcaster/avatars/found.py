"""An avatar that was found, and how one is found by its name. Opens nothing of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import idle_media
from broadcaster.errors import AvatarNotFound

BUNDLED_ENGINE = "presenter"
"""Draws the presenters that come with the station."""

BUNDLED_VERSION = "bundled"


@dataclass(frozen=True, slots=True)
class FoundAvatar:
    """Where an avatar is and who draws it.

    Attributes:
        name: as channels name it.
        version: differs whenever the content does; ``bundled`` for those of the station itself.
        engine: a name of ``gpu_pool.engines.registry``.
        source: the folder that the engine reads; of a bundled one the folder of its atlases.
    """

    name: str
    version: str
    engine: str
    source: Path


def find_bundled(name: str) -> FoundAvatar | None:
    """A presenter that comes with the station; None when nobody there is called so."""
    if name not in idle_media.presenters():
        return None
    return FoundAvatar(name, BUNDLED_VERSION, BUNDLED_ENGINE, idle_media.folder(name))


def find(name: str, state_dir: Path) -> FoundAvatar:
    """The avatar of this name.

    Args:
        name: as channels name it.
        state_dir: of the station.

    Raises:
        AvatarNotFound: nobody is called so.
    """
    found = find_bundled(name)
    if found is None:
        raise AvatarNotFound(f"no avatar is called {name!r}")
    return found
