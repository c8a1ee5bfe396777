"""A folder that a stranger packed: plain files only, each read whole with a limit.

Below everything that looks into a brought avatar. No link is followed and nothing but a plain file
is opened, so that no name in the folder leads out of it or into a device.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gpu_pool.engines.face.refused import AvatarRefused

_MOST_NAMES = 20_000
"""In one folder; two minutes at 60 pictures a second, stored there and back, are 14 400."""

_PLACE = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Without waiting: a pipe that nobody writes to would hold us forever."""


class StrangersFolder:
    """An open folder. To be closed.

    Args:
        root: its path, which is trusted: the operator named it.

    Raises:
        AvatarRefused: there is none.
    """

    def __init__(self, root: Path) -> None:
        try:
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise AvatarRefused(f"{root}: {_reason(error)}") from error

    def __enter__(self) -> StrangersFolder:
        return self

    def __exit__(self, *_raised: object) -> None:
        os.close(self._root)

    def names(self, folder: str = ".") -> list[str]:
        """What lies in it or in a folder below, in no order; empty where that is missing.

        Raises:
            AvatarRefused: it is a link or no folder, or holds too much.
        """
        found: list[str] = []
        with self._below(folder) as place:
            if place is None:
                return found
            with os.scandir(place) as entries:
                for entry in entries:
                    found.append(entry.name)
                    if len(found) > _MOST_NAMES:
                        raise AvatarRefused(f"{folder}: it holds more than {_MOST_NAMES} files")
        return found

    def read(self, name: str, most_bytes: int, folder: str = ".") -> bytes:
        """A file, whole.

        Raises:
            AvatarRefused: it is missing, a link, no plain file, or too large.
        """
        shown = name if folder == "." else f"{folder}/{name}"
        with self._below(folder) as place:
            if place is None:
                raise AvatarRefused(f"{folder}: it is missing")
            try:
                opened = os.open(name, _FILE, dir_fd=place)
            except OSError as error:
                raise AvatarRefused(f"{shown}: {_reason(error)}") from error
        try:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise AvatarRefused(f"{shown}: it is no plain file")
            with os.fdopen(opened, "rb", closefd=False) as file:
                data = file.read(most_bytes + 1)
        finally:
            os.close(opened)
        if len(data) > most_bytes:
            raise AvatarRefused(f"{shown}: it is larger than {most_bytes >> 10} KiB")
        return data

    @contextlib.contextmanager
    def _below(self, folder: str) -> Iterator[int | None]:
        if folder == ".":
            yield self._root
            return
        try:
            place = os.open(folder, _PLACE, dir_fd=self._root)
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            raise AvatarRefused(f"{folder}: {_reason(error)}") from error
        try:
            yield place
        finally:
            os.close(place)


def _reason(error: OSError) -> str:
    # O_DIRECTORY is looked at first: a link to a folder is "not a directory", too.
    if error.errno == errno.ELOOP:
        return "it is a link; links are not followed"
    if error.errno == errno.ENOENT:
        return "it is missing"
    if error.errno == errno.ENOTDIR:
        return "it is a link or no folder"
    return f"it cannot be read: {error.strerror}"
