"""What the routes know of avatars: the shelf, the journal, who shows what.

Nothing that a client sent is opened here: a limited child looks into it.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import threading
import uuid
from pathlib import Path

from flask import current_app

import idle_media
from broadcaster.avatars.catalogue import Catalogue, Entry
from broadcaster.avatars.limited import JUDGE_TIMEOUT_S, Limits, run_child
from broadcaster.avatars.making import making_settings
from broadcaster.avatars.shelf import Shelf
from broadcaster.errors import AvatarNotFound
from broadcaster.paths import StatePaths
from broadcaster.settings.model import SettingsModel
from broadcaster.store.avatars import AvatarJournal

EXTENSION = "broadcaster.avatars"
"""Where the application keeps its ``AvatarRoom``."""


class AvatarRoom:
    """Shared by all routes and threads."""

    def __init__(self, settings: SettingsModel, paths: StatePaths) -> None:
        self.settings = settings
        self.shelf = Shelf(paths.avatars)
        self.journal = AvatarJournal(paths.database, settings.avatars.queue_limit)
        self.making = making_settings(settings)
        self._catalogue = Catalogue(self.shelf, self._looking)
        self._drawing = threading.Lock()

    def entries(self) -> list[Entry]:
        """Every avatar.

        Raises:
            StoreError: the store is busy.
        """
        return self._catalogue.entries(self.journal.all())

    def entry(self, name: str) -> Entry:
        """One avatar.

        Raises:
            AvatarNotFound: nobody is called so.
            StoreError: the store is busy.
        """
        found = self._catalogue.entry(name, self.journal.find(name))
        if found is None:
            raise AvatarNotFound("no avatar has this name")
        return found

    def picture(self, entry: Entry, which: str) -> Path:
        """The file of an avatar's ``picture`` or ``thumbnail``.

        Raises:
            AvatarNotFound: there is none (yet).
            AvatarError: it cannot be drawn now.
        """
        if entry.is_bundled:
            return self._of_bundled(entry.name) / f"{which}.webp"
        found = entry.thumbnail
        if which == "picture" and entry.folder is not None:
            found = entry.folder / "picture.webp"
        if found is None or not found.is_file():
            raise AvatarNotFound("this avatar has no picture yet")
        return found

    @property
    def has_landmarks(self) -> bool:
        """Whether the networks that find a face's points are there, whole or broken."""
        from gpu_pool.engines.face.models import DEFAULT_FOLDER, SHA256  # noqa: PLC0415 (slow)

        folder = self.settings.avatars.models or DEFAULT_FOLDER
        return any((folder / name).exists() for name in SHA256)

    @property
    def _looking(self) -> Limits:
        return Limits(self.settings.avatars.make_memory_mb, 2 * JUDGE_TIMEOUT_S)

    def _of_bundled(self, name: str) -> Path:
        """The folder of pictures of a presenter, drawn once for each version of its drawings."""
        atlas = idle_media.atlas(name, 1280, 720)
        digest = hashlib.sha256(atlas.read_bytes()).hexdigest()[:12]
        folder = self.shelf.root / ".bundled" / f"{name}-{digest}"
        with self._drawing:
            if not folder.is_dir():
                self._draw_bundled(name, folder)
        return folder

    def _draw_bundled(self, name: str, folder: Path) -> None:
        draft = folder.with_name(f"{uuid.uuid4().hex}.draft")
        draft.mkdir(parents=True)
        try:
            run_child({"op": "bundled", "name": name, "folder": str(draft)}, self._looking)
            with contextlib.suppress(OSError):  # another process was first
                draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def avatar_room() -> AvatarRoom:
    """The room of the application that serves the current request."""
    room: AvatarRoom = current_app.extensions[EXTENSION]
    return room
