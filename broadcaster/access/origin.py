"""Which web pages may call an API that asks for no token. Pure.

Two things a page from elsewhere could do in the browser of somebody at this machine: send a form
to 127.0.0.1 (the ``Origin`` header tells), and let its own name lead there (DNS rebinding; the
``Host`` header tells).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_OWN_SITES = frozenset({"same-origin", "none"})
"""Values of ``Sec-Fetch-Site`` of our own page, and of an address typed by hand."""


def known_host(host: str | None, own: Collection[str]) -> bool:
    """Whether a ``Host`` header can be ours.

    An address is: a page's own name would have to be in it for rebinding. So are names without a
    dot, which nobody on the internet can have (a machine of the local network, a container), and
    those in ``own``. Clients without the header are no browsers.
    """
    if not host:
        return True
    name = _name_of(f"//{host}")
    if name is None:
        return False
    if name in own or "." not in name or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def may_change(
    origin: str | None, site: str | None, host: str | None, own: Collection[str]
) -> bool:
    """Whether a request that changes something comes from our page, or from no page at all.

    Args:
        origin: its ``Origin`` header, None without.
        site: its ``Sec-Fetch-Site`` header, None without.
        host: its ``Host`` header, None without.
        own: names of hosts that are ours.
    """
    if origin is None:
        return site is None or site in _OWN_SITES
    name = _name_of(origin)
    if name is None:
        return False  # also "null": a sandboxed frame or a local file
    return name in own or origin.partition("://")[2].lower() == (host or "").lower()


def _name_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
