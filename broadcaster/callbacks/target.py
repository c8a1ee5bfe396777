"""Where a callback may go: reading its URL, and judging every address behind it. Pure.

A client names the URL and the station opens the connection, from inside its network: without this
a client could make it talk to the relay, a router or a cloud's metadata service. What a name leads
to is only known when it is called; ``delivery`` asks here about each address.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from broadcaster.errors import CallbackRefused

LONGEST_URL = 2048

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORTS = {"http": 80, "https": 443}
_PRINTABLE = re.compile(r"[!-~]+")
"""ASCII without spaces and controls: Python's parser drops line ends silently, others do not."""

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
_LOCAL_NAMES = ("localhost", "localdomain", "internal", "home.arpa")

_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
"""A last label like this makes the whole name an address, as in ``inet_aton(3)``."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""Names that have only IPv4 lead here on networks without it (RFC 6052)."""

_NOT_PUBLIC = tuple(
    ipaddress.ip_network(each)
    for each in (
        "0.0.0.0/8", "192.0.0.0/24", "192.88.99.0/24",  # this network; protocols; 6to4 relays
        "64:ff9b:1::/48", "2002::/16", "2001::/23",  # local NAT64, 6to4, Teredo and other protocols
        "::/96", "fec0::/10", "3fff::/20", "5f00::/16",  # compatible, site-local, examples, SRv6
    )
)  # fmt: skip
"""What the library calls global, or does in some of its versions, but no receiver lives in."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL, taken apart once; ``path`` has the query with it."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def place(self) -> str:
        """For logs: no path and no query, which may be secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == _PORTS[self.scheme]
        return f"{self.scheme}://{host}" + ("" if usual else f":{self.port}")

    @property
    def authority(self) -> str:
        """The value of the ``Host`` header."""
        return self.place.partition("://")[2]


class Allowed:
    """The exceptions of ``callbacks.allow``.

    Args:
        entries: host names, addresses and networks.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._names: set[str] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for entry in entries:
            try:
                self._networks.append(ipaddress.ip_network(entry))
            except ValueError:
                self._names.add(entry.lower().rstrip("."))

    def name(self, host: str) -> bool:
        """Whether a host may be called whatever addresses it has."""
        return host.rstrip(".") in self._names

    def address(self, address: Address) -> bool:
        """Whether an address may be called though it is private."""
        return any(address in network for network in self._networks)


def read_target(url: str) -> Target:
    """Take a URL apart.

    Raises:
        CallbackRefused: it cannot be called by anybody; nothing was looked up.
    """
    if len(url) > LONGEST_URL or not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise CallbackRefused(f"callback_url must be a URL of up to {LONGEST_URL} ASCII characters")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise CallbackRefused("callback_url is not a URL") from None
    if parts.scheme not in _PORTS or not host:
        raise CallbackRefused("callback_url must begin with http:// or https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise CallbackRefused("callback_url must not hold a user name or password")
    if port == 0:
        raise CallbackRefused("callback_url has no such port")
    if ":" not in host and not _NAME.fullmatch(host):
        raise CallbackRefused("callback_url has a host that is no name and no address")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], path)


def screen(url: str, allowed: Allowed) -> Target:
    """Take a URL apart and refuse what is private by its very letters.

    Raises:
        CallbackRefused: no URL to call, or not one that may be called.
    """
    target = read_target(url)
    if allowed.name(target.host):
        return target
    bare = target.host.rstrip(".")
    if bare in _LOCAL_NAMES or bare.endswith(tuple(f".{name}" for name in _LOCAL_NAMES)):
        raise CallbackRefused("callback_url leads to this machine or its network")
    address = literal_address(target.host)
    if address is not None and (why := why_refused(address, allowed)):
        raise CallbackRefused(f"callback_url leads to {why}, which is not allowed")
    return target


def literal_address(host: str) -> Address | None:
    """The address that a host is, None for a name.

    Raises:
        CallbackRefused: it is written like an address but is none; some resolvers might guess.
    """
    bare = host.rstrip(".")
    try:
        if ":" in bare:
            return ipaddress.IPv6Address(bare)
        if _NUMBER.fullmatch(bare.rpartition(".")[2]):
            return ipaddress.IPv4Address(_old_style(bare.split(".")))
    except ValueError:
        raise CallbackRefused("callback_url has an address that cannot be read") from None
    return None


def why_refused(address: Address, allowed: Allowed) -> str:
    """What forbids an address; empty when it may be called."""
    carried = _carried(address)
    if allowed.address(address) or (carried is not None and allowed.address(carried)):
        return ""
    why = _kind(address if carried is None else carried)
    return f"{why} ({address})" if why else ""


def _kind(address: Address) -> str:
    """What an address is when it is not public; empty when it is."""
    kinds = {
        "this machine": address.is_loopback or address.is_unspecified,
        "a multicast address": address.is_multicast,
        "a link-local address": address.is_link_local,
        "a private address": address.is_private,
        "a reserved address": address.is_reserved or not address.is_global,
    }
    for kind, is_so in kinds.items():
        if is_so:
            return kind
    special = any(address in network for network in _NOT_PUBLIC)
    return "a reserved address" if special else ""


def _carried(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one really leads to, where such are in use."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _old_style(pieces: list[str]) -> int:
    """``127.1``, ``0x7f.1``, ``017700000001``, ``2130706433``: the last piece fills what is left.

    Raises:
        ValueError: no address.
    """
    if len(pieces) > 4:
        raise ValueError
    *first, last = (_piece(each) for each in pieces)
    room = 8 * (4 - len(first))
    if any(each > 255 for each in first) or last >= 1 << room:
        raise ValueError
    value = 0
    for each in first:
        value = value << 8 | each
    return value << room | last


def _piece(text: str) -> int:
    """One number of an address as ``inet_aton(3)`` reads it.

    Raises:
        ValueError: no number.
    """
    if not _NUMBER.fullmatch(text) or len(text) > 12:
        raise ValueError
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8) if text.startswith("0") else int(text)
