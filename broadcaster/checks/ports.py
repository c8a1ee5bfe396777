"""Who holds a TCP port, read from ``/proc``: a busy port is named with its process.

Used before the station takes its ports; it must never bind, connect to or signal anything.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

_LISTEN = "0A"
"""State column of /proc/net/tcp for a listening socket (include/net/tcp_states.h)."""

_UNKNOWN_HOLDER = (0, "a process of another user")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def port_holder(host: str, port: int) -> tuple[int, str] | None:
    """The process that listens where ``host:port`` would be bound.

    Returns:
        (pid, process name), or None when nobody does. The pid is 0 when the owner cannot be seen
        (it belongs to another user and we are not root).
    """
    wanted = _addresses_of(host)
    inodes = {
        inode
        for address, inode in _listeners(port)
        if any(_collide(address, each) for each in wanted)
    }
    if not inodes:
        return None
    return _process_with_socket(inodes) or _UNKNOWN_HOLDER


def _addresses_of(host: str) -> set[_Address]:
    """Every address a name stands for; an empty name is the wildcard."""
    with contextlib.suppress(ValueError):
        return {ipaddress.ip_address(host)}
    if not host:
        return {ipaddress.IPv4Address(0)}
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return {ipaddress.IPv4Address(0)}
    return {ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found}


def _collide(taken: _Address, wanted: _Address) -> bool:
    """Whether a listener at ``taken`` stops a bind to ``wanted`` (same port)."""
    taken, wanted = _plain(taken), _plain(wanted)
    if taken.is_unspecified or wanted.is_unspecified:
        # A dual-stack wildcard ([::]) takes the IPv4 port as well.
        return taken.version == wanted.version or 6 in {
            each.version for each in (taken, wanted) if each.is_unspecified
        }
    return taken == wanted


def _plain(address: _Address) -> _Address:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _listeners(port: int) -> Iterator[tuple[_Address, str]]:
    """(address, socket inode) of every listener on ``port`` in this network namespace."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:  # no IPv6 here
            continue
        for line in lines:
            fields = line.split()
            address, _, port_hex = fields[1].partition(":")
            if fields[3] == _LISTEN and int(port_hex, 16) == port:
                yield _parse_address(address), fields[9]


def _parse_address(text: str) -> _Address:
    """/proc/net prints addresses as 32-bit words in the machine's own byte order."""
    words = [int(text[i : i + 8], 16) for i in range(0, len(text), 8)]
    return ipaddress.ip_address(b"".join(struct.pack("=I", word) for word in words))


def _process_with_socket(inodes: set[str]) -> tuple[int, str] | None:
    """The oldest process (lowest pid) that has one of the sockets open, if it can be seen."""
    targets = {f"socket:[{inode}]" for inode in inodes}
    for pid in sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        with contextlib.suppress(OSError):  # it went away, or is not ours to look at
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(link) in targets:  # noqa: PTH115 (not a path, a socket)
                        return pid, Path(f"/proc/{pid}/comm").read_text().strip()
    return None
