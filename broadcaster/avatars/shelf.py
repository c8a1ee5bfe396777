"""The shelf: where avatars made on this station lie, each in versions that never change.

::

    avatars/<name>/<version>/about.json    who draws it, of which file it was made, and when
    avatars/<name>/<version>/picture.webp  its first picture, whole
    avatars/<name>/<version>/files/        what its engine reads
    avatars/<name>/<version>/prepared/     what a neural engine worked out of them; may be lost
    avatars/.drafts/<id>/                  a version that is being made: renamed once it is whole
    avatars/.uploads/<id>/upload           what a client sent, until it is made
    avatars/.bundled/<name>-<hash>/        pictures of the presenters that come with the station

Other files of a version never change. A new one never touches the one before it, which stays while
a channel may still show it. Only folders here: what an engine makes of ``files`` is told by
``catalogue``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from broadcaster.avatars.found import NAME, FoundAvatar, find_bundled, name_fault
from broadcaster.clock import wall_time_s
from broadcaster.errors import AvatarConflict, AvatarError, AvatarNotFound
from broadcaster.store.spool import Incoming, disk_may_be_full

ABOUT_FORMAT = 1
VERSIONS_KEPT = 2
"""The newest, and the one before it: a channel may still show that."""

_ABOUT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class About:
    """What a version tells of itself; ``created_s`` is wall seconds."""

    engine: str
    source_name: str
    created_s: float
    format: int = ABOUT_FORMAT


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an avatar on the shelf."""

    name: str
    version: str
    folder: Path

    @property
    def files(self) -> Path:
        """What the engine reads."""
        return self.folder / "files"

    @property
    def picture(self) -> Path:
        """The first picture."""
        return self.folder / "picture.webp"

    def about(self) -> About:
        """What it tells of itself.

        Raises:
            AvatarError: its ``about.json`` is missing or odd.
        """
        return _read_about(self.folder / "about.json")


def find(name: str, state_dir: Path) -> FoundAvatar:
    """The avatar of this name: one that comes with the station, or the newest version made here.

    Raises:
        AvatarNotFound: there is none.
        AvatarError: it cannot be read.
    """
    if (found := find_bundled(name)) is not None:
        return found
    newest = Shelf(state_dir / "avatars").newest(name)
    return FoundAvatar(name, newest.version, newest.about().engine, newest.files)


class Draft:
    """A version that is being made; locked as long as its maker lives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True)
        self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.files.mkdir(mode=0o700)

    @property
    def files(self) -> Path:
        """To be filled by the engine."""
        return self.folder / "files"

    @property
    def picture(self) -> Path:
        """Where the first picture belongs."""
        return self.folder / "picture.webp"

    def close(self) -> None:
        """Delete what was not put on the shelf."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


class Shelf:
    """The folder of avatars; used by API, studio and command line at the same time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """The avatars made here."""
        if not self.root.is_dir():
            return []
        return sorted(e.name for e in self.root.iterdir() if NAME.fullmatch(e.name) and e.is_dir())

    def versions(self, name: str) -> list[Version]:
        """The versions of an avatar, the newest first; a name that can be none has none."""
        if not NAME.fullmatch(name) or not (self.root / name).is_dir():
            return []
        folders = [each for each in (self.root / name).iterdir() if each.is_dir()]
        ordered = sorted(folders, key=lambda each: (_number(each.name), each.name), reverse=True)
        return [Version(name, each.name, each) for each in ordered]

    def newest(self, name: str) -> Version:
        """The newest version of an avatar.

        Raises:
            AvatarNotFound: there is no such avatar.
        """
        found = self.versions(name)
        if not found:
            raise AvatarNotFound(f"no avatar is called {name!r}")
        return found[0]

    @contextlib.contextmanager
    def draft(self) -> Iterator[Draft]:
        """An empty version to be filled; whatever is not put on the shelf is deleted.

        Raises:
            StoreFull: no space is left.
        """
        with disk_may_be_full("the avatar"):
            draft = Draft(self.root / ".drafts" / uuid.uuid4().hex)
        try:
            yield draft
        finally:
            draft.close()

    def put(
        self, draft: Draft, name: str, engine: str, source_name: str, over: bool | None = False
    ) -> Version:
        """Make a draft the newest version of an avatar; on the disk and visible at once.

        Args:
            draft: with everything in it but its ``about.json``.
            name: of the avatar.
            engine: that draws it.
            source_name: what its file was called, for display.
            over: False: there must be none of this name; True: there must be one; None: either.

        Raises:
            AvatarConflict: there is one, or the name is reserved.
            AvatarNotFound: there is none.
            StoreFull: no space is left.
        """
        about = About(engine, source_name, wall_time_s())
        with disk_may_be_full("the avatar"), self._locked():
            if fault := name_fault(name):
                raise AvatarConflict(fault)
            there = self.versions(name)
            if there and over is False:
                raise AvatarConflict(f"there is an avatar {name} already")
            if not there and over is True:
                raise AvatarNotFound(f"no avatar is called {name!r}")
            number = 1 + max((_number(each.version) for each in there), default=0)
            version = f"{number:04d}-{uuid.uuid4().hex[:8]}"
            (draft.folder / "about.json").write_text(json.dumps(asdict(about)), "utf-8")
            _sync(draft.folder)
            folder = self.root / name
            folder.mkdir(mode=0o700, exist_ok=True)
            draft.folder.rename(folder / version)
            for old in self.versions(name)[VERSIONS_KEPT:]:
                shutil.rmtree(old.folder, ignore_errors=True)
        return Version(name, version, folder / version)

    def remove(self, name: str) -> None:
        """Take every version of an avatar off the shelf: gone at once, then deleted.

        Raises:
            AvatarNotFound: there is no such avatar.
        """
        with self._locked():
            self.newest(name)
            gone = self.root / ".drafts" / uuid.uuid4().hex
            gone.parent.mkdir(mode=0o700, exist_ok=True)
            (self.root / name).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def sweep(self, wanted_uploads: set[str]) -> int:
        """Delete what dead processes left; called by a starting studio.

        Args:
            wanted_uploads: ids of uploads that are still to be made.

        Returns:
            How many folders were deleted.
        """
        if not self.root.is_dir():
            return 0
        with self._locked():
            left = [each for each in _below(self.root / ".drafts") if not _is_locked(each)]
            left += [e for e in _below(self.root / ".uploads") if e.name not in wanted_uploads]
            for name in self.names():
                left += [old.folder for old in self.versions(name)[1:]]
                if not self.versions(name):
                    left.append(self.root / name)
            for folder in left:
                shutil.rmtree(folder, ignore_errors=True)
        return len(left)

    def upload(self, upload_id: str) -> Path:
        """What a client sent."""
        return self.root / ".uploads" / upload_id / "upload"

    def adopt(self, incoming: Incoming) -> None:
        """Take over a synced upload; durable on return.

        Raises:
            StoreFull: no space is left.
        """
        with disk_may_be_full("the avatar"):
            target = self.root / ".uploads" / incoming.task_id
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            incoming.folder.rename(target)
            _sync_folder(target.parent)

    def drop_upload(self, upload_id: str) -> None:
        """Delete what a client sent; no error when it is gone."""
        if upload_id:
            shutil.rmtree(self.root / ".uploads" / upload_id, ignore_errors=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time changes which versions there are."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder; those that vanish meanwhile count nothing."""
    total = 0
    for each in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += each.stat().st_size if each.is_file() else 0
    return total


def _read_about(file: Path) -> About:
    try:
        if file.stat().st_size > _ABOUT_BYTES:
            raise AvatarError("about.json is too large")
        found = json.loads(file.read_bytes())
        about = About(
            str(found["engine"]),
            str(found["source_name"]),
            float(found["created_s"]),
            int(found["format"]),
        )
    except OSError as error:
        raise AvatarError(f"about.json cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AvatarError("about.json is not what the station writes") from error
    if about.format != ABOUT_FORMAT:
        raise AvatarError(
            f"about.json has format {about.format}; this version knows {ABOUT_FORMAT}"
        )
    return about


def _number(version: str) -> int:
    number = version.partition("-")[0]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0


def _below(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _is_locked(folder: Path) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _sync(folder: Path) -> None:
    """Put every file below a folder on the disk."""
    for each in (folder, *folder.rglob("*")):
        _sync_folder(each)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
