"""An avatar that was found, and the ones that come with the station. Values; opens nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import idle_media

BUNDLED_ENGINE = "presenter"
"""Draws the presenters that come with the station."""

BUNDLED_VERSION = "bundled"

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
"""What an avatar may be called: as every name of the settings."""

RESERVED = frozenset({"auto", "none"})
"""Words of the settings that name no avatar."""


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


def bundled() -> tuple[FoundAvatar, ...]:
    """The presenters that come with the station, the default one first."""
    found = (find_bundled(name) for name in idle_media.presenters())
    return tuple(each for each in found if each is not None)


def name_fault(name: str) -> str:
    """Why a new avatar cannot be called so; empty when it can."""
    if not NAME.fullmatch(name):
        return "an avatar's name has 1 to 32 of a-z, 0-9, - and _, and begins with none of - and _"
    if name in RESERVED or find_bundled(name) is not None:
        return f"the name {name} is taken by the station itself"
    return ""


def name_from(file_name: str) -> str:
    """A name made of what a file is called; of its letters only, never a path."""
    stem = re.split(r"[/\\]", file_name)[-1].rpartition(".")[0] or file_name
    plain = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:24].strip("-")
    return plain or "avatar"


def free_name(wanted: str, taken: Callable[[str], bool]) -> str:
    """A name that was made of a file's name, with a number where it is taken."""
    if not taken(wanted):
        return wanted
    return next(name for n in range(2, 10_000) if not taken(name := f"{wanted}-{n}"))
