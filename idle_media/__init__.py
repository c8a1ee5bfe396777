"""The presenters that come with the station: which there are and where their atlases lie.

Beside the signal path: it only names files. It must never import ``idle_media.art``, which needs
packages of the development environment.
"""

from __future__ import annotations

import json
from pathlib import Path

_FOLDER = Path(__file__).parent


def presenters() -> tuple[str, ...]:
    """Names of the presenters, the default one first."""
    names = sorted(file.parent.name for file in _FOLDER.glob("*/landscape.webp"))
    return tuple(sorted(names, key=lambda name: name != DEFAULT))


DEFAULT = "anna"


def folder(name: str) -> Path:
    """Where everything of a presenter lies."""
    return _FOLDER / name


def voice(name: str) -> str:
    """The voice that fits a presenter, by its name in requests; empty where none is given.

    It stands in ``presenter.json`` beside the atlases.
    """
    try:
        told = json.loads((_FOLDER / name / "presenter.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    return str(told["voice"])


def atlas(name: str, width: int, height: int) -> Path:
    """The atlas of a presenter for pictures of this shape: landscape, or portrait if it is taller.

    Raises:
        KeyError: there is no presenter of that name.
    """
    if name not in presenters():
        raise KeyError(f"no presenter is called {name!r}; there are {', '.join(presenters())}")
    return _FOLDER / name / ("portrait.webp" if height > width else "landscape.webp")
