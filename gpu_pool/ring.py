"""Pictures in shared memory: written by workers, read in place by the playout.

Between the workers and the mixer. A file under /dev/shm, made and sized by the owner, mapped by
the workers (descriptor inherited) and by readers (path). Must never hand out memory that is not
there: a page missing in a full /dev/shm kills whoever touches it with SIGBUS, so every page is
claimed at start. Python's ``shared_memory`` is avoided: on 3.11 a reader that ends unlinks what it
attached.

Layout: one page-aligned table of 64-bit generations, one per slot, then the slots, page-aligned. A
generation changes when a slot is taken: a reader that holds an older reference finds out.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_pool.contracts import Picture, PictureFormat, PictureRef, RingError
from gpu_pool.credits import Credits

MEMORY = Path("/dev/shm")  # noqa: S108 - files made in it are private, random-named and exclusive

PREFIX = "gpu-pool-"

_HEADER = 16
"""Two 64-bit words before the generations: slots, bytes per slot."""


def ring_bytes(slots: int, slot_bytes: int) -> int:
    """Size of a ring's file."""
    return _table_bytes(slots) + slots * _aligned(slot_bytes)


class Mapping:
    """A ring mapped into this process; the memory goes with the last array that looks into it.

    Args:
        descriptor: the ring's file; may be closed afterwards.
        writable: False for readers, whom the kernel then keeps from writing.

    Raises:
        RingError: the file is no ring.
    """

    def __init__(self, descriptor: int, *, writable: bool) -> None:
        access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        size = os.fstat(descriptor).st_size
        if size < mmap.PAGESIZE:
            raise RingError("no picture ring: the file is too short")
        # Populated: else the first use of each page costs a fault in the middle of a batch.
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        self._memory = np.frombuffer(mmap.mmap(descriptor, size, flags, access), np.uint8)
        self.slots, self.slot_bytes = (int(n) for n in self._memory[:_HEADER].view(np.uint64))
        if self.slots < 1 or ring_bytes(self.slots, self.slot_bytes) != size:
            raise RingError("no picture ring: its table does not fit its size")
        table = self._memory[_HEADER : _HEADER + 8 * self.slots]
        self._generations: NDArray[np.uint64] = table.view(np.uint64)

    def picture(self, slot: int, picture: PictureFormat) -> Picture:
        """A slot as (height * 3 / 2, width), in place.

        Raises:
            RingError: the slot does not exist or is too small for the format.
        """
        if not 0 <= slot < self.slots or picture.picture_bytes > self.slot_bytes:
            raise RingError(f"slot {slot} cannot hold {picture.picture_bytes} bytes")
        start = _table_bytes(self.slots) + slot * _aligned(self.slot_bytes)
        return self._memory[start : start + picture.picture_bytes].reshape(picture.shape)

    def generation(self, slot: int) -> int:
        """How often a slot had been taken when this was called."""
        return int(self._generations[slot])

    def _stamp(self, refs: Iterable[PictureRef]) -> None:
        for ref in refs:
            self._generations[ref.slot] = ref.generation


class RingReader:
    """The playout's side: pictures by reference, read-only, never blocking.

    What is mapped stays readable when the owner dies or unlinks the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise RingError(f"no picture ring at {path}: {error.strerror}") from error
        try:
            self._mapping = Mapping(descriptor, writable=False)
        finally:
            os.close(descriptor)

    def picture(self, ref: PictureRef, picture: PictureFormat) -> Picture | None:
        """The picture in place, (height * 3 / 2, width); None once its slot was taken again.

        It stays whole until the reference is released. Whoever copies it without holding it asks
        ``holds`` afterwards.
        """
        return self._mapping.picture(ref.slot, picture) if self.holds(ref) else None

    def holds(self, ref: PictureRef) -> bool:
        """Whether the slot still has the picture that ``ref`` names."""
        in_range = 0 <= ref.slot < self._mapping.slots
        return in_range and self._mapping.generation(ref.slot) == ref.generation


class Ring:
    """The owner's side: makes the file, keeps the credits. Safe to call from any thread.

    Args:
        slots: pictures.
        slot_bytes: of the largest picture format.
        folder: where the file is made; rings that dead owners left in it are removed first.

    Raises:
        RingError: the memory is not there; the text names what is needed and what is free.
    """

    def __init__(self, slots: int, slot_bytes: int, folder: Path = MEMORY) -> None:
        if slots < 1 or slot_bytes < 1:
            raise RingError(f"a ring of {slots} pictures of {slot_bytes} bytes holds nothing")
        unlink_stale(folder)
        # Random, not the pid: pids come back, and no reader may attach to another life's ring.
        self.path = folder / f"{PREFIX}{secrets.token_hex(8)}"
        self._owner = _create(self.path, ring_bytes(slots, slot_bytes))
        header = np.array([slots, slot_bytes], np.uint64).tobytes()
        os.pwrite(self._owner, header, 0)
        self._mapping = Mapping(self._owner, writable=True)
        self._credits = Credits(slots)
        self._lock = threading.Lock()

    @property
    def slot_bytes(self) -> int:
        """The largest picture that fits."""
        return self._mapping.slot_bytes

    @property
    def slots(self) -> int:
        """Pictures that the ring holds."""
        return self._mapping.slots

    @property
    def free(self) -> int:
        """Pictures that could be taken now."""
        with self._lock:
            return self._credits.free

    def take(self, count: int) -> tuple[PictureRef, ...]:
        """Take slots to be written; empty when fewer than ``count`` are free."""
        with self._lock:
            refs = self._credits.take(count)
            self._mapping._stamp(refs)
            return refs

    def release(self, refs: Iterable[PictureRef]) -> int:
        """Give slots back; a reference that is not out any more is ignored.

        Returns:
            How many came free.
        """
        with self._lock:
            return self._credits.release(refs)

    def picture(self, ref: PictureRef, picture: PictureFormat) -> Picture:
        """A picture in place; for the owner, who knows what it has not released."""
        return self._mapping.picture(ref.slot, picture)

    def open_for_worker(self) -> int:
        """A descriptor to be inherited by a worker; to be closed by the caller.

        Opened anew: a duplicate would hold the owner's lock for as long as a worker lives.
        """
        return os.open(f"/proc/self/fd/{self._owner}", os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        """Remove the file; memory goes back when the last process that maps it ends."""
        if self._owner >= 0:
            self.path.unlink(missing_ok=True)
            os.close(self._owner)
            self._owner = -1


def unlink_stale(folder: Path = MEMORY) -> list[Path]:
    """Remove rings whose owner is gone: the kernel let go of its lock however it ended."""
    removed = []
    for path in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                removed.append(path)
            finally:
                os.close(descriptor)
    return removed


def _create(path: Path, size: int) -> int:
    """A locked file with every byte of its memory claimed; it has no name until then."""
    try:
        descriptor = os.open(path.parent, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RingError(f"no picture ring in {path.parent}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        space = os.fstatvfs(descriptor)
        if space.f_bavail * space.f_frsize < size:  # else claiming would first eat all there is
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.posix_fallocate(descriptor, 0, size)
        # A directory descriptor, though the path is absolute: only then does Python follow it.
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor)
    except OSError as error:
        os.close(descriptor)
        raise RingError(_shortage(path.parent, size, error)) from error
    return descriptor


def _shortage(folder: Path, size: int, error: OSError) -> str:
    space = os.statvfs(folder)
    free_mib = space.f_bavail * space.f_frsize / (1 << 20)
    what = f"the picture ring needs {size / (1 << 20):.0f} MiB in {folder}"
    if error.errno != errno.ENOSPC:
        return f"{what}: {error.strerror}"
    return f"{what}, where {free_mib:.0f} MiB are free; make it larger, or the ring smaller"


def _table_bytes(slots: int) -> int:
    return _aligned(_HEADER + 8 * slots)


def _aligned(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
