"""What an engine must offer so that avatars can be made for it, and which engines do.

A maker is a module with these functions, loaded in the limited child only (``child``). One that is
not listed here is named by its module.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from broadcaster.errors import AvatarError

DEFAULT_ENGINE = "photo"

MAKERS: Mapping[str, str] = {
    DEFAULT_ENGINE: "broadcaster.avatars.photo",
    "latentsync": "broadcaster.avatars.latentsync",
    "musetalk": "broadcaster.avatars.musetalk",
    "wav2lip": "broadcaster.avatars.wav2lip",
}
"""Name of the engine -> module."""

Picture = NDArray[np.uint8]
"""(height, width, 3), BGR."""

Handles = Mapping[str, tuple[float, float]]
"""Name of a point of the face -> x, y in pixels of the avatar's picture."""

Progress = Callable[[float, str], None]
"""Takes how much is done, 0 to 1, and what is being done."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a finished avatar tells of itself.

    Attributes:
        kind: ``picture`` or ``clip``.
        width: of its pictures, in pixels.
        height: as well.
        pictures: how many there are.
        handles: of the first one; empty where the engine needs none.
        warnings: what a person should know.
        thumbnail: a small WebP.
    """

    kind: str
    width: int
    height: int
    pictures: int
    thumbnail: Path
    handles: Handles = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def facts_to_json(facts: Facts) -> dict[str, object]:
    """Facts as the child tells them."""
    return {**asdict(facts), "thumbnail": str(facts.thumbnail)}


def facts_from_json(told: Mapping[str, Any]) -> Facts:
    """Facts as the child told them."""
    handles = {name: (float(x), float(y)) for name, (x, y) in told["handles"].items()}
    own = {"handles": handles, "warnings": tuple(told["warnings"])}
    return Facts(**{**told, **own, "thumbnail": Path(told["thumbnail"])})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to make: ``models`` is the folder of the face models, None for the usual one."""

    source: Path
    name: str
    handles: Mapping[str, object] | None = None
    models: Path | None = None
    max_clip_s: float = 60.0


class Maker(Protocol):
    """See the module. Every function raises ``AvatarError`` with a sentence for the user."""

    def judge(self, wanted: Wanted) -> None:
        """Refuse what can be refused in a moment: no picture, damaged, too large, too long."""
        ...

    def make(self, wanted: Wanted, files: Path, progress: Progress) -> None:
        """Fill an empty folder."""
        ...

    def change_handles(self, files: Path, handles: Mapping[str, object]) -> None:
        """Make the avatar in a folder anew with the points that a person has set."""
        ...

    def read(self, files: Path) -> Facts:
        """What is in a folder, checked strictly."""
        ...

    def first_picture(self, files: Path) -> Picture:
        """The first picture, as it was before the engine does anything to it."""
        ...

    def contact_sheet(self, files: Path, name: str) -> Picture:
        """Mouths and moments, drawn by the engine itself."""
        ...


def maker_of(engine: str) -> Maker:
    """The maker of an engine.

    Raises:
        AvatarError: avatars cannot be made for it.
    """
    if engine not in MAKERS and "." not in engine:
        known = ", ".join(sorted(MAKERS))
        raise AvatarError(f"avatars cannot be made for the engine {engine!r}; there are {known}")
    return cast(Maker, importlib.import_module(MAKERS.get(engine, engine)))
