"""From a file to a version on the shelf: the child makes it in a draft, which is then put up.

Called by the studio's thread for uploads, and by the command line. Whole or not at all.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broadcaster.avatars.limited import JUDGE_TIMEOUT_S, Limits, Progress, go_on, run_child
from broadcaster.avatars.shelf import Shelf, Version
from broadcaster.errors import StoreFull
from broadcaster.settings.model import SettingsModel
from broadcaster.store.spool import no_space


@dataclass(frozen=True, slots=True)
class MakingSettings:
    """What a child may use, and what it is given.

    ``models`` is the folder of the face models; None for the usual one.
    """

    limits: Limits
    max_clip_s: float
    models: Path | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """An avatar to be made of ``source``; ``over``: as for ``Shelf.put``."""

    name: str
    source: Path
    engine: str
    source_name: str = ""
    handles: Mapping[str, object] | None = None
    over: bool | None = False


def making_settings(settings: SettingsModel) -> MakingSettings:
    """As the station's settings say."""
    ours = settings.avatars
    return MakingSettings(
        Limits(ours.make_memory_mb, ours.make_timeout_s), ours.max_clip_s, ours.models
    )


def judge_source(order: Order, settings: MakingSettings) -> None:
    """Refuse what can be refused in a moment.

    Raises:
        AvatarError: no picture and no clip, damaged, too large, too long; impossible handles.
        MakerBroken: there is no way to look into it.
    """
    limits = Limits(settings.limits.memory_mb, min(JUDGE_TIMEOUT_S, settings.limits.timeout_s))
    run_child({"op": "judge", **_told(order, settings)}, limits)


def make_avatar(
    shelf: Shelf, order: Order, settings: MakingSettings, progress: Progress = go_on
) -> Version:
    """Make an avatar and put it on the shelf.

    Raises:
        AvatarError: the file cannot become one; ``NotWanted`` and ``MakerBroken`` as ``limited``.
        AvatarConflict: the name was taken meanwhile.
        StoreFull: no space is left.
    """
    with shelf.draft() as draft:
        places = {"files": str(draft.files), "picture": str(draft.picture)}
        job = {"op": "make", **_told(order, settings), **places}
        run_child(job, settings.limits, progress)
        return shelf.put(draft, order.name, order.engine, order.source_name, order.over)


def import_avatar(
    shelf: Shelf, order: Order, fps: float, settings: MakingSettings, progress: Progress = go_on
) -> Version:
    """Make an avatar of a folder in LiveTalking's layout and put it on the shelf.

    Args:
        shelf: of the station.
        order: ``source`` is the folder; an empty ``engine`` is the one that it was made for.
        fps: pictures a second, which such a folder does not tell.
        settings: as for ``make_avatar``.
        progress: likewise.

    Raises:
        AvatarError, AvatarConflict, StoreFull: as for ``make_avatar``.
    """
    with shelf.draft() as draft:
        places = {"files": str(draft.files), "picture": str(draft.picture)}
        job = {"op": "import", **_told(order, settings), **places, "fps": fps}
        engine = str(run_child(job, settings.limits, progress)["facts"][0])
        return shelf.put(draft, order.name, engine, order.source_name, order.over)


def change_handles(
    shelf: Shelf,
    name: str,
    handles: Mapping[str, object],
    settings: MakingSettings,
    progress: Progress = go_on,
) -> Version:
    """Make a new version of an avatar with the points that a person has set.

    Raises:
        AvatarNotFound: there is no such avatar.
        AvatarError: the points cannot be used; others as for ``make_avatar``.
    """
    before = shelf.newest(name)
    about = before.about()
    with shelf.draft() as draft:
        with _full_disk():
            shutil.copytree(before.files, draft.files, dirs_exist_ok=True)
        job = {
            "op": "change",
            "engine": about.engine,
            "files": str(draft.files),
            "picture": str(draft.picture),
            "handles": dict(handles),
        }
        run_child(job, settings.limits, progress)
        return shelf.put(draft, name, about.engine, about.source_name, over=True)


def _told(order: Order, settings: MakingSettings) -> dict[str, Any]:
    return {
        "engine": order.engine,
        "source": str(order.source),
        "name": order.name,
        "handles": order.handles,
        "models": str(settings.models) if settings.models else None,
        "max_clip_s": settings.max_clip_s,
    }


@contextlib.contextmanager
def _full_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:  # copytree gathers those of single files, as text
        if no_space(error) or "No space left" in str(error):
            raise StoreFull("no space left for the avatar") from error
        raise
