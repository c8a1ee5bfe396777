"""Every avatar there is: those of the station, those on the shelf, those that are being made.

A broken folder is listed with its fault; reading never raises for one avatar because of another.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import idle_media
from broadcaster.avatars.found import FoundAvatar, bundled, find_bundled
from broadcaster.avatars.limited import Limits, run_child
from broadcaster.avatars.maker import Handles, facts_from_json
from broadcaster.avatars.shelf import About, Shelf, Version, folder_bytes
from broadcaster.errors import AvatarError, StoreFull
from broadcaster.store.avatars import AvatarRow, AvatarState

BROKEN_S = 30.0
"""A broken avatar is looked at again after so long: what was wrong may have been the machine."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One avatar as operators see it.

    Attributes:
        name: as channels name it.
        kind: ``drawn``, ``picture`` or ``clip``; empty while that is not known.
        engine: that draws it.
        version: empty while there is none that could be shown.
        state: of its newest making; ``failed`` as well where what lies on the shelf is broken.
        progress: of the making, 0 to 1.
        step: what is being done.
        error: why it failed, or why the newest change failed.
        warnings: of its maker.
        size_bytes: on the disk.
        created_s: wall seconds; None for those of the station.
        source_name: what its file was called.
        width: of its pictures in pixels; 0 where that is not fixed.
        height: as well.
        handles: of the first picture.
        folder: of the version; None where there is none.
        thumbnail: a small picture; None where there is none.
    """

    name: str
    kind: str
    engine: str
    version: str = ""
    state: AvatarState = AvatarState.READY
    progress: float = 1.0
    step: str = ""
    error: str = ""
    warnings: tuple[str, ...] = ()
    size_bytes: int = 0
    created_s: float | None = None
    source_name: str = ""
    width: int = 0
    height: int = 0
    handles: Handles = field(default_factory=dict)
    folder: Path | None = None
    thumbnail: Path | None = None

    @property
    def is_bundled(self) -> bool:
        """Whether it comes with the station."""
        return self.kind == "drawn"

    @property
    def usable(self) -> bool:
        """Whether a channel can show it."""
        return bool(self.version)


class Catalogue:
    """Reads the shelf; a version never changes, so each is checked once per process.

    Args:
        shelf: of the station.
        limits: of the child that checks.
    """

    def __init__(self, shelf: Shelf, limits: Limits) -> None:
        self._shelf, self._limits = shelf, limits
        self._known: dict[Path, tuple[Entry, float]] = {}
        self._lock = threading.Lock()

    def entries(self, rows: Iterable[AvatarRow] = ()) -> list[Entry]:
        """Every avatar: those of the station first, then by name."""
        by_name = {row.name: row for row in rows}
        names = sorted({*self._shelf.names(), *by_name})
        found = self._entries(names, by_name)
        return [*map(_bundled, bundled()), *(found[name] for name in names if name in found)]

    def entry(self, name: str, row: AvatarRow | None = None) -> Entry | None:
        """One avatar; ``row`` is its making, where there is one. None: nobody is called so."""
        if (found := find_bundled(name)) is not None:
            return _bundled(found)
        return self._entries([name], {name: row} if row is not None else {}).get(name)

    def _entries(self, names: list[str], rows: Mapping[str, AvatarRow]) -> dict[str, Entry]:
        newest = {name: there[0] for name in names if (there := self._shelf.versions(name))}
        read = self._read(list(newest.values()))
        found: dict[str, Entry] = {}
        for name in names:
            row = rows.get(name)
            if name in newest:
                entry = read[newest[name].folder]
                found[name] = _with_making(entry, row) if row is not None else entry
            elif row is not None:
                found[name] = _of_row(row)
        return found

    def _read(self, versions: list[Version]) -> dict[Path, Entry]:
        with self._lock:  # who comes meanwhile waits for the same answer
            now = time.monotonic()
            self._known = {
                folder: (entry, until)
                for folder, (entry, until) in self._known.items()
                if until > now and folder.is_dir()
            }
            unknown = [each for each in versions if each.folder not in self._known]
            for folder, entry in read_versions(unknown, self._limits).items():
                self._known[folder] = entry, now + BROKEN_S if entry.error else math.inf
            return {each.folder: self._known[each.folder][0] for each in versions}


def read_versions(versions: Sequence[Version], limits: Limits) -> dict[Path, Entry]:
    """Versions, checked by the engines that draw them; a broken one says what is wrong with it."""
    found: dict[Path, Entry] = {}
    told: list[tuple[Version, About]] = []
    for version in versions:
        try:
            told.append((version, version.about()))
        except AvatarError as error:
            found[version.folder] = _broken(version, str(error))
    job = {"op": "check", "avatars": [(about.engine, str(v.files)) for v, about in told]}
    try:
        facts = run_child(job, limits)["facts"] if told else []
    except (AvatarError, StoreFull) as error:
        if len(told) > 1:  # one of them spoils it: each on its own
            for version, _ in told:
                found |= read_versions([version], limits)
            return found
        facts = [{"fault": str(error)}]
    for (version, about), fact in zip(told, facts, strict=True):
        found[version.folder] = _read_as(version, about, fact)
    return found


def _read_as(version: Version, about: About, told: Mapping[str, Any]) -> Entry:
    if "fault" in told:
        return _broken(version, str(told["fault"]))
    facts = facts_from_json(told)
    return Entry(
        version.name,
        facts.kind,
        about.engine,
        version.version,
        warnings=facts.warnings,
        size_bytes=folder_bytes(version.folder),
        created_s=about.created_s,
        source_name=about.source_name,
        width=facts.width,
        height=facts.height,
        handles=facts.handles,
        folder=version.folder,
        thumbnail=facts.thumbnail,
    )


def _broken(version: Version, fault: str) -> Entry:
    """``fault`` may name files by their path: only what is below the avatar's folder is told."""
    return Entry(
        version.name,
        "",
        "",
        state=AvatarState.FAILED,
        progress=0.0,
        error=f"what lies on the shelf cannot be used: {fault}".replace(f"{version.folder}/", ""),
        size_bytes=folder_bytes(version.folder),
        folder=version.folder,
    )


def _bundled(found: FoundAvatar) -> Entry:
    size = folder_bytes(idle_media.folder(found.name))
    return Entry(found.name, "drawn", found.engine, found.version, size_bytes=size)


def _of_row(row: AvatarRow) -> Entry:
    """An avatar that is not on the shelf: it is being made, failed, or was taken away by hand."""
    gone = row.state is AvatarState.READY
    return Entry(
        row.name,
        "",
        row.engine,
        state=AvatarState.FAILED if gone else row.state,
        progress=0.0 if gone else row.progress,
        step=row.step,
        error="its folder is gone" if gone else row.error,
        created_s=row.created_s,
        source_name=row.source_name,
    )


def _with_making(there: Entry, row: AvatarRow) -> Entry:
    """An avatar on the shelf that was, or is being, changed."""
    if row.state is AvatarState.MAKING:
        return replace(there, state=row.state, progress=row.progress, step=row.step)
    if row.state is AvatarState.FAILED and not row.id and not there.error:
        return replace(there, error=f"the newest change failed: {row.error}")
    return there
