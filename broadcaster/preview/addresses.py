"""Which of this machine's addresses are offered to viewers.

aioice offers every address but loopback; a station that listens on loopback, or a machine without
a network, needs that one too. The choice is made here once, before the first session.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import ifaddr
from aioice import ice

LOOPBACK = "127.0.0.1"


def own_addresses() -> list[str]:
    """Loopback first, then every IPv4 address and every IPv6 one that others can reach."""
    found = [LOOPBACK]
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            address = each.ip if isinstance(each.ip, str) else each.ip[0]
            if _is_useful(address) and address not in found:
                found.append(address)
    return found


def offer_addresses(addresses: Sequence[str]) -> list[str]:
    """Make every session of this process offer ``addresses``, or all own ones when empty.

    Returns:
        What is offered.
    """
    offered = list(addresses) or own_addresses()

    def chosen(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        wanted = {4: use_ipv4, 6: use_ipv6}
        return [each for each in offered if wanted[ipaddress.ip_address(each).version]]

    ice.get_host_addresses = chosen  # there is no parameter for it
    return offered


def _is_useful(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return not (parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified)
