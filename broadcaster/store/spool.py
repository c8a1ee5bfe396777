"""Uploads and decoded sound of tasks, one folder per task.

::

    spool/incoming/<id>/upload     while the request is still arriving, decoded beside it if short
    spool/<id>/upload              of an accepted task: what the client sent (a text as UTF-8)
    spool/<id>/sound.s16           decoded, with sound16k.f32 and phonemes.json beside it

The folder moves from one to the other inside the transaction that stores its task. Must never use
a name that a client chose.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from broadcaster.errors import StoreFull

UPLOAD, SOUND, SOUND_16K = "upload", "sound.s16", "sound16k.f32"

_ID = re.compile(r"^[0-9a-f]{32}$")
NO_SPACE_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Full disk, full quota, file size limit."""


def new_task_id() -> str:
    """A fresh task id, safe in URLs and paths."""
    return uuid.uuid4().hex


def no_space(error: OSError) -> bool:
    """Whether ``error`` means that no space is left."""
    return error.errno in NO_SPACE_ERRNOS


@contextlib.contextmanager
def disk_may_be_full(wanted: str) -> Iterator[None]:
    """Around writing ``wanted``, such as "the upload".

    Raises:
        StoreFull: no space is left for it.
        OSError: any other fault of the disk.
    """
    try:
        yield
    except OSError as error:
        if no_space(error):
            raise StoreFull(f"no space left for {wanted}") from error
        raise


class Incoming:
    """An upload that is still arriving; ``file`` is open for writing.

    The open file is locked, so that the orphan sweep can tell an upload in progress from one that
    a dead process left.
    """

    def __init__(self, folder: Path, task_id: str) -> None:
        self.task_id = task_id
        self.folder = folder
        self.path = folder / UPLOAD
        self.sound, self.sound_16k = folder / SOUND, folder / SOUND_16K
        self.file: BinaryIO = self.path.open("w+b")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def sync(self) -> None:
        """Put the upload on the disk.

        Raises:
            StoreFull: no space is left.
            OSError: any other fault of the disk.
        """
        with disk_may_be_full("the upload"):
            self.file.flush()
            os.fsync(self.file.fileno())
            _sync_folder(self.folder)

    def discard(self) -> None:
        """Close and delete what is left; harmless after the task was accepted."""
        with contextlib.suppress(OSError):  # a failed flush on a full disk: the file goes anyway
            self.file.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Spool:
    """The spool folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"

    def begin(self) -> Incoming:
        """Open a new upload.

        Raises:
            StoreFull: no space is left.
            OSError: the spool cannot be written.
        """
        task_id = new_task_id()
        folder = self._incoming / task_id
        with disk_may_be_full("the upload"):
            try:
                folder.mkdir(mode=0o700, parents=True)
                return Incoming(folder, task_id)
            except OSError:
                shutil.rmtree(folder, ignore_errors=True)
                raise

    def adopt(self, incoming: Incoming) -> None:
        """Make a synced upload a task's own; durable on return."""
        incoming.folder.rename(self.folder(incoming.task_id))
        _sync_folder(self._root)

    def folder(self, task_id: str) -> Path:
        """The folder of a task."""
        if not _ID.match(task_id):
            raise ValueError("not a task id")
        return self._root / task_id

    def upload(self, task_id: str) -> Path:
        """What the client sent."""
        return self.folder(task_id) / UPLOAD

    def sound(self, task_id: str) -> Path:
        """The decoded sound: interleaved s16le stereo at the channel's rate."""
        return self.folder(task_id) / SOUND

    def sound_16k(self, task_id: str) -> Path:
        """The same sound for the models: mono float32 at 16 kHz."""
        return self.folder(task_id) / SOUND_16K

    def phonemes(self, task_id: str) -> Path:
        """When a spoken text makes which phoneme, as JSON; only where the voice tells."""
        return self.folder(task_id) / "phonemes.json"

    def mouths(self, task_id: str) -> Path:
        """The mouth of a spoken text, a row per picture (``.npy``); only with phonemes."""
        return self.folder(task_id) / "mouths.npy"

    def remove(self, task_id: str) -> None:
        """Delete a task's files; no error when they are gone."""
        shutil.rmtree(self.folder(task_id), ignore_errors=True)

    def tidy(self, task_id: str) -> None:
        """Delete what a dead process left half made in a task's folder; nobody may work there."""
        for name in ("*.part", "*.new", "spoken.wav"):
            for left in self.folder(task_id).glob(name):
                left.unlink(missing_ok=True)

    def task_ids(self) -> set[str]:
        """The tasks that have a folder."""
        return {entry.name for entry in self._root.iterdir() if _ID.match(entry.name)}

    def sweep_incoming(self) -> int:
        """Delete uploads whose process died; returns how many.

        Called by the API before it serves, so that no upload is just being opened.
        """
        if not self._incoming.is_dir():
            return 0
        orphans = [folder for folder in self._incoming.iterdir() if not _is_locked(folder)]
        for folder in orphans:
            shutil.rmtree(folder, ignore_errors=True)
        return len(orphans)


def _is_locked(folder: Path) -> bool:
    try:
        with (folder / UPLOAD).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
