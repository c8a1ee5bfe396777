"""What an engine works out of an avatar's pictures, on the disk beside it: one part a picture.

Between the pictures of a loop and an engine; needs no torch. A part is written whole or not at all,
so whoever is killed in the middle has lost one. Parts lie under a key of all that they depend on;
one that is damaged, of another key or of another shape is worked out anew. Must never fail an
engine: without room, or once the avatar is removed, nothing is kept.

::

    <folder>/<key>/<place>.npz     arrays without pickle, and the key once more
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

Arrays = Mapping[str, NDArray[Any]]

_KEY = "key"
_FORMAT = "1"
"""Of the parts; another one makes another key."""

_READ_AT_ONCE = 1 << 20
_MEASURED_EVERY = 32


def key_of(folder: Path, *others: object) -> str:
    """A key for parts: everything in the avatar's folder, and whatever else they depend on."""
    digest = hashlib.sha256(repr((_FORMAT, *others)).encode())
    for file in sorted(each for each in folder.rglob("*") if each.is_file()):
        digest.update(f"\0{file.relative_to(folder)}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as opened:
            while block := opened.read(_READ_AT_ONCE):
                digest.update(block)
    return digest.hexdigest()


class Parts:
    """The parts of one key.

    Args:
        folder: beside the avatar, for the parts of every key; its parent is the avatar's, and is
            never made.
        key: as ``key_of`` gives it.
        most_bytes: of the whole folder, and never more than half of what is free on the disk. Other
            keys' parts make room, the longest unused first.
    """

    def __init__(self, folder: Path, key: str, most_bytes: int) -> None:
        self._folder, self._key, self._most_bytes = folder, key, most_bytes
        self._own = folder / key[:32]
        self._left, self._written = most_bytes, 0
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            self._own.mkdir(mode=0o700, exist_ok=True)
            os.utime(self._own)
            for torn in self._own.glob("*.tmp"):
                if not Path("/proc", torn.suffixes[-2][1:]).exists():  # its writer has died
                    torn.unlink()
        self._make_room()

    def read(self, place: int) -> Arrays | None:
        """The part of a place; None where there is none that can be believed."""
        try:
            with self._file(place).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                with zipfile.ZipFile(file) as archive:  # packed ones could be any size unpacked
                    if sum(each.file_size for each in archive.infolist()) > size:
                        return None
                file.seek(0)
                with np.load(file, allow_pickle=False) as stored:
                    found = {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError):
            return None
        key = found.pop(_KEY, None)
        return found if key is not None and key.tobytes() == self._key.encode() else None

    def write(self, place: int, arrays: Arrays) -> None:
        """Keep the part of a place, where there is room."""
        whole = io.BytesIO()
        key = np.frombuffer(self._key.encode(), np.uint8)
        np.savez(whole, allow_pickle=False, **{**arrays, _KEY: key})
        self._written += 1
        if not self._written % _MEASURED_EVERY:
            self._make_room()  # other workers write as well
        if whole.tell() > self._left:
            return
        file = self._file(place)
        draft = file.with_suffix(f".{os.getpid()}.tmp")
        try:
            draft.write_bytes(whole.getbuffer())
            draft.rename(file)
        except OSError:  # no space is left, or the avatar was removed
            self._left = 0
            with contextlib.suppress(OSError):
                draft.unlink()
        else:
            self._left -= whole.tell()

    def _file(self, place: int) -> Path:
        return self._own / f"{place:06d}.npz"

    def _make_room(self) -> None:
        """Until what is here fits; the parts of this very key stay."""
        with contextlib.suppress(OSError):
            others = [each for each in self._folder.iterdir() if each != self._own]
            others.sort(key=lambda each: each.stat().st_mtime)
            used = {each: _bytes_in(each) for each in (self._own, *others)}
            half = self._most_bytes // 2
            while others and sum(used.values()) > half:
                oldest = others.pop(0)
                shutil.rmtree(oldest, ignore_errors=True)
                del used[oldest]
            free = shutil.disk_usage(self._folder).free
            self._left = min(self._most_bytes - sum(used.values()), free // 2)


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where and how much an engine may keep of an avatar.

    Attributes:
        folder: see ``Parts``; empty for nowhere.
        weights: hash of the weights with which things are worked out.
        most_bytes: see ``Parts``.
    """

    folder: str = ""
    weights: str = ""
    most_bytes: int = 0

    def parts(self, source: Path, *others: object) -> Parts | None:
        """The parts of an avatar's folder; ``others`` is all else that they depend on."""
        if not (self.folder and self.weights and self.most_bytes):
            return None
        key = key_of(source, self.weights, *others)
        return Parts(Path(self.folder), key, self.most_bytes)


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """How something is worked out of pictures, and how it is kept.

    Attributes:
        make: for these places of the loop together, in their order.
        packed: what was made, as arrays.
        unpacked: what was made for a place out of its arrays; None where they do not fit.
    """

    make: Callable[[Sequence[int]], list[T]]
    packed: Callable[[T], Arrays]
    unpacked: Callable[[int, Arrays], T | None]


class Prepared(Generic[T]):
    """What is worked out once for every place of a loop, whoever asks and however often."""

    def __init__(self, work: Work[T], parts: Parts | None) -> None:
        self._work, self._parts = work, parts

    def of(self, places: Sequence[int]) -> list[T]:
        """What belongs to these places: from the disk, the rest worked out together and kept."""
        found = {place: made for place in places if (made := self._kept(place)) is not None}
        fresh = [place for place in dict.fromkeys(places) if place not in found]
        if fresh:
            for place, made in zip(fresh, self._work.make(fresh), strict=True):
                found[place] = made
                if self._parts is not None:
                    self._parts.write(place, self._work.packed(made))
        return [found[place] for place in places]

    def complete(self, places: Sequence[int], at_once: int) -> Iterator[tuple[int, int]]:
        """Work out what is not kept yet, a few places at a time.

        Yields:
            How many of ``places`` are done, and how many of those were there before.
        """
        missing = [place for place in places if self._kept(place) is None]
        there = len(places) - len(missing)
        yield there, there
        for first in range(0, len(missing), at_once):
            some = missing[first : first + at_once]
            self.of(some)
            yield there + first + len(some), there

    def _kept(self, place: int) -> T | None:
        arrays = None if self._parts is None else self._parts.read(place)
        return None if arrays is None else self._work.unpacked(place, arrays)


def _bytes_in(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.iterdir()) if folder.is_dir() else 0
