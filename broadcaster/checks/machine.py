"""Checks of the machine: ports, disk, shared memory, GPU."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from broadcaster.checks.finding import Finding
from broadcaster.checks.ports import port_holder
from broadcaster.paths import StatePaths
from broadcaster.settings.model import SettingsModel

_MB = 1_000_000

_DISK_FAIL_BYTES = 200 * _MB
"""Below this one accepted upload (``api.max_upload_mb``, 200 MB) may not fit."""

_DISK_WARN_BYTES = 2000 * _MB
"""Clips are decoded to raw pictures while they are prepared: 35 MB for each second at 720p25."""

_SHM_WARN_BYTES = 256 * _MB
"""Rendered pictures pass through shared memory; a container's usual 64 MB is too small."""


def check_ports(settings: SettingsModel) -> Iterator[Finding]:
    """Every port that the station will listen on: free, or held by this very station."""
    wanted = [("api.port", settings.api.host, settings.api.port)]
    if settings.relay.mode == "embedded":
        wanted.append(("relay.port", settings.relay.host, settings.relay.port))
        wanted.append(("relay.stat_port", "127.0.0.1", settings.relay.stat_port))
    own = _station_pids(StatePaths(settings.station.state_dir).run / "roles.json")
    for key, host, port in wanted:
        yield _check_port(key, host, port, own)


def _check_port(key: str, host: str, port: int, own: frozenset[int]) -> Finding:
    what, address = f"port {port}", f"{host}:{port} ({key})"
    holder = port_holder(host, port)
    if holder is None:
        fault = _bind_fault(host, port)
        if fault:
            return Finding("fail", what, f"{address}: {fault}", f"Set {key} to another port.")
        return Finding("ok", what, f"{address} is free")
    pid, name = holder
    if own & _ancestry(pid):
        return Finding("ok", what, f"{address} is held by this station ({name}, pid {pid})")
    who = f"{name} (pid {pid})" if pid else name
    remedy = f"Stop it, or set {key} to another port."
    return Finding("fail", what, f"{address} is held by {who}", remedy)


def _bind_fault(host: str, port: int) -> str:
    """Why a free port cannot be taken all the same; empty when it can. It is let go at once."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reasons = {
            errno.EACCES: "ports below 1024 need more rights",
            errno.EADDRNOTAVAIL: "no such address on this machine",
        }
        return reasons.get(error.errno or 0, error.strerror or str(error))
    return ""


def _station_pids(roles_file: Path) -> frozenset[int]:
    """The pids that the supervisor of this state directory reports; none when it never ran."""
    try:
        roles = json.loads(roles_file.read_bytes())["roles"]
        return frozenset(role["pid"] for role in roles if isinstance(role["pid"], int))
    except (OSError, ValueError, LookupError, TypeError):
        return frozenset()


def _ancestry(pid: int) -> set[int]:
    """The process and its ancestors, without init."""
    line: set[int] = set()
    while pid > 1 and pid not in line:
        line.add(pid)
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            break
        # The name in brackets may hold spaces; the parent is the second field after it.
        pid = int(stat.rpartition(")")[2].split()[1])
    return line


def check_disk(settings: SettingsModel) -> Iterator[Finding]:
    """The state directory: can be written, with space left."""
    folder = settings.station.state_dir
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    remedy = "Free some space, or set station.state_dir to another disk."
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        yield Finding("fail", "state directory", f"{folder} cannot be written", remedy)
        return
    free = shutil.disk_usage(existing).free
    detail = f"{folder}: {free / 1e9:.1f} GB free"
    if free < _DISK_FAIL_BYTES:
        yield Finding("fail", "state directory", detail, remedy)
    elif free < _DISK_WARN_BYTES:
        yield Finding("warn", "state directory", detail, remedy)
    else:
        yield Finding("ok", "state directory", detail)


def check_shared_memory(folder: Path = Path("/dev/shm")) -> Iterator[Finding]:  # noqa: S108
    """The place of the picture ring: a full one kills a writer with SIGBUS."""
    remedy = "Enlarge it: mount -o remount,size=1g /dev/shm, or docker run --shm-size=1g."
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield Finding("fail", "shared memory", f"{folder}: {error.strerror}", remedy)
        return
    detail = f"{folder}: {free // _MB} MB free"
    if free < _SHM_WARN_BYTES:
        yield Finding("warn", "shared memory", detail, remedy)
    else:
        yield Finding("ok", "shared memory", detail)


def check_gpu(program: str = "nvidia-smi") -> Iterator[Finding]:
    """The GPUs that the driver shows; having none is no fault."""
    try:
        answer = subprocess.run(
            [program, "-L"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False
        )
    except FileNotFoundError:
        yield Finding("ok", "gpu", f"none ({program} is not installed); everything runs on the CPU")
        return
    except (OSError, subprocess.TimeoutExpired):
        yield Finding("warn", "gpu", f"{program} does not answer", "Look at the NVIDIA driver.")
        return
    names = [
        line.partition(" (UUID")[0] for line in answer.stdout.decode(errors="replace").splitlines()
    ]
    if answer.returncode or not names:
        yield Finding("warn", "gpu", f"{program} shows none", "Look at the NVIDIA driver.")
        return
    yield Finding("ok", "gpu", "; ".join(names))
