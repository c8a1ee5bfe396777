"""How often a caller may ask: a token bucket each, with a bound on how many are remembered. Pure.

Must never read a clock: ``now`` is handed in.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict

CALLERS_AT_MOST = 4096
"""Remembered at once, about 1 MB; beyond it the one that was quiet longest is forgotten."""

MINUTE_S = 60.0

_IPV6_NETWORK_BITS = 64
"""A household or a machine has a whole /64: its addresses count as one."""


class RateLimit:
    """Lets each caller do ``per_minute`` things at once, and as many per minute after that.

    Args:
        per_minute: 0 for no limit.
        callers: remembered at most.
    """

    def __init__(self, per_minute: int, callers: int = CALLERS_AT_MOST) -> None:
        self._burst = float(per_minute)
        self._per_s = per_minute / MINUTE_S
        self._callers = callers
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def wait_s(self, caller: str, now: float) -> int:
        """Count one thing: 0 when it may be done, else whole seconds until the next may."""
        if not self._burst:
            return 0
        level, at = self._levels.pop(caller, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._per_s)
        allowed = level >= 1.0
        self._levels[caller] = (level - 1.0 if allowed else level, now)
        while len(self._levels) > self._callers:
            self._levels.popitem(last=False)
        return 0 if allowed else max(1, math.ceil((1.0 - level) / self._per_s))


def address_group(address: str) -> str:
    """What counts as one caller: an IPv4 address, or an IPv6 network."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK_BITS), strict=False))
