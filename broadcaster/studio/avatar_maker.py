"""Makes the avatars that were uploaded: one at a time, in a thread and a child of its own.

Beside the studio's loop, which only wakes it. The journal in the store says what is wanted, the
shelf what is there: killed at any moment, the next studio begins anew with what was not finished.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable

from broadcaster.avatars.limited import NotWanted
from broadcaster.avatars.making import MakingSettings, Order, change_handles, make_avatar
from broadcaster.avatars.shelf import Shelf
from broadcaster.condition import Condition
from broadcaster.errors import AvatarError, BroadcasterError, StoreError, StoreFull
from broadcaster.metrics import AVATARS
from broadcaster.store.avatars import AvatarJournal, AvatarRow

POLL_S = 5.0
"""Fallback for a lost ring."""

NOTE_S = 0.5
"""Progress is written so often at most: each note is a transaction that reaches the disk."""

RETRY_S = 2.0
"""A store that cannot be written (full disk) is tried again."""

_log = logging.getLogger(__name__)


class AvatarMaker:
    """See the module; ``close`` calls off what is being made."""

    def __init__(self, journal: AvatarJournal, shelf: Shelf, settings: MakingSettings) -> None:
        self._journal, self._shelf, self._settings = journal, shelf, settings
        self._wanted = threading.Event()
        self._leaving = False
        self._condition = Condition("avatars", "idle", "", time.monotonic())
        # A daemon, so that an ending studio waits for nothing (its child dies with it).
        self._thread = threading.Thread(target=self._run, name="avatars", daemon=True)

    def start(self) -> None:
        """Begin; ``recover`` was called before."""
        self._thread.start()

    def wake(self) -> None:
        """Something may be wanted."""
        self._wanted.set()

    def recover(self) -> None:
        """Take up what an earlier studio left, and delete what nobody needs.

        Raises:
            StoreError: the store cannot be used.
        """
        self._journal.give_up()
        self._journal.keep_newest()
        waiting = {row.id for row in self._journal.all() if row.state == "making"}
        try:
            left = self._shelf.sweep(waiting)
        except OSError as error:  # a full disk: what is left stays for the next studio
            _log.warning("what is left of avatars could not be deleted: %s", error)
        else:
            if left:
                _log.info("%d folders of avatars deleted that nobody needs any more", left)

    def condition(self) -> Condition:
        """What is being made, for ``/status``."""
        return self._condition

    def close(self) -> None:
        """Call off what is being made: the next studio begins anew with it."""
        self._leaving = True
        self._wanted.set()

    def _run(self) -> None:
        while not self._leaving:
            try:
                row = self._journal.next()
                if row is not None:
                    self._make(row)
                    continue
                self._enter("idle")
            except (BroadcasterError, OSError) as error:
                self._enter("waiting", str(error))
                _log.warning("avatars: %s", error)
                self._wanted.wait(RETRY_S)
            self._wanted.wait(POLL_S)
            self._wanted.clear()

    def _make(self, row: AvatarRow) -> None:
        self._enter(f"making {row.name}")
        self._journal.begin(row.place)
        try:
            self._work(row)
        except NotWanted:
            _log.info("the avatar %s is not wanted any more", row.name)
            if not self._leaving:
                self._shelf.drop_upload(row.id)
        except StoreFull:
            self._end(row, "The disk is full: the avatar could not be stored.")
        except (AvatarError, OSError) as error:
            self._end(row, str(error))
        else:
            self._end(row)

    def _work(self, row: AvatarRow) -> None:
        following = _Following(self._journal, row, lambda: self._leaving)
        handles = json.loads(row.handles) if row.handles else None
        if not row.id:
            change_handles(self._shelf, row.name, handles or {}, self._settings, following.note)
            return
        if row.attempts and self._shelf.versions(row.name):
            return  # an earlier studio finished it and died before it could write that down
        upload = self._shelf.upload(row.id)
        if not upload.is_file():
            raise AvatarError("The uploaded file is gone.")
        order = Order(row.name, upload, row.engine, row.source_name, handles)
        make_avatar(self._shelf, order, self._settings, following.note)

    def _end(self, row: AvatarRow, error: str = "") -> None:
        """Written first, then the upload goes: a crash in between leaves a folder to sweep."""
        wanted = self._journal.end(row.place, error)
        self._shelf.drop_upload(row.id)
        if not wanted:
            if not error and row.id:  # it was deleted in the moment in which it was finished
                with contextlib.suppress(AvatarError):
                    self._shelf.remove(row.name)
            return
        AVATARS.labels("failed" if error else "made").inc()
        if error:
            _log.warning("the avatar %s failed: %s", row.name, error)
            self._enter("idle", f"{row.name}: {error}")
        else:
            _log.info("the avatar %s is ready", row.name)

    def _enter(self, state: str, error: str | None = None) -> None:
        self._condition = self._condition.entered(state, time.monotonic(), error)


class _Following:
    """Writes down how far a making is, and hears when it is called off."""

    def __init__(self, journal: AvatarJournal, row: AvatarRow, leaving: Callable[[], bool]) -> None:
        self._journal, self._row, self._leaving = journal, row, leaving
        self._noted_at = float("-inf")

    def note(self, progress: float, step: str) -> bool:
        """False once nobody wants it any more."""
        now = time.monotonic()
        if self._leaving():
            return False
        if now - self._noted_at < NOTE_S:
            return True
        self._noted_at = now
        try:
            return self._journal.note(self._row.place, progress, step)
        except StoreError:
            return True  # a full disk: the making itself will say so
