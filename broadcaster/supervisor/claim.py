"""Makes sure that this is the only station on its state directory and that its ports are free."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from broadcaster.checks.ports import port_holder
from broadcaster.clock import Clock
from broadcaster.errors import ConfigError
from broadcaster.paths import StatePaths
from broadcaster.settings.model import SettingsModel

PORT_GRACE_S = 2.0
"""The roles of a station that was killed may hold their ports for a moment longer."""

_PORT_POLL_S = 0.1

_MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made in it

_OWNER = "owner"
"""Lock file in the memory folder, held while its station lives."""

_MEMORY_NEEDED_BYTES = 64 << 20
"""Twelve files of 1 MB per process life, of which a few pages are really touched."""


@contextlib.contextmanager
def station_lock(file: Path) -> Iterator[None]:
    """Hold the lock inside the block; the kernel frees it however the process ends.

    Raises:
        ConfigError: another station holds it; the message names its pid.
        OSError: the folder cannot be written.
    """
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            raise ConfigError(
                f"a station already runs on {file.parent} (pid {holder}); stop it first"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def require_free_ports(
    settings: SettingsModel, clock: Clock, grace_s: float = PORT_GRACE_S
) -> None:
    """Check the ports the station is going to listen on.

    Raises:
        ConfigError: one is still taken after ``grace_s``; one line per port, with its holder.
    """
    deadline = clock.now() + grace_s
    while faults := _busy_ports(settings):
        if clock.now() >= deadline:
            raise ConfigError("\n".join(faults))
        clock.sleep(_PORT_POLL_S)


def _busy_ports(settings: SettingsModel) -> list[str]:
    wanted = [("api.port", settings.api.host, settings.api.port)]
    if settings.relay.mode == "embedded":
        wanted.append(("relay.port", settings.relay.host, settings.relay.port))
        wanted.append(("relay.stat_port", "127.0.0.1", settings.relay.stat_port))
    faults = []
    for key, host, port in wanted:
        if holder := port_holder(host, port):
            pid, name = holder
            who = f"{name} (pid {pid})" if pid else name
            faults.append(f"port {port} ({key}) is taken by {who}")
    return faults


@contextlib.contextmanager
def memory_folder(paths: StatePaths) -> Iterator[Path | None]:
    """Inside the block the run folder's ``memory`` is a folder under /dev/shm, gone afterwards.

    Yields:
        The folder; None where memory is short or not there, and a plain folder of the run folder
        serves. What stations that were killed left there is removed first.
    """
    folder = _MEMORY / f"broadcaster-{hashlib.sha256(str(paths.root).encode()).hexdigest()[:12]}"
    _remove_ownerless()
    shutil.rmtree(folder, ignore_errors=True)
    try:
        if shutil.disk_usage(_MEMORY).free < _MEMORY_NEEDED_BYTES:
            raise OSError("short of memory")
        folder.mkdir(mode=0o700)
        owner = _hold(folder)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        yield None
        return
    try:
        paths.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths.memory.unlink(missing_ok=True)
        paths.memory.symlink_to(folder)
        yield folder
    finally:
        os.close(owner)
        shutil.rmtree(folder, ignore_errors=True)


def _hold(folder: Path) -> int:
    """The lock file, locked before it gets its name: no other station ever sees it free."""
    draft = folder / f"{_OWNER}.draft"
    owner = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(owner, fcntl.LOCK_EX)
    draft.rename(folder / _OWNER)
    return owner


def _remove_ownerless() -> None:
    """Folders whose lock is free: the kernel let go of it when their supervisor was killed."""
    for lock in _MEMORY.glob(f"broadcaster-*/{_OWNER}"):
        with contextlib.suppress(OSError):
            handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
            finally:
                os.close(handle)
