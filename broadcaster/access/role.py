"""What a caller may do, and when a caller must show a token at all. Pure."""

from __future__ import annotations

import ipaddress
from enum import StrEnum

from broadcaster.settings.model import Api


class Role(StrEnum):
    """Each role may do what those before it may."""

    VIEWER = "viewer"
    SPEAKER = "speaker"
    OPERATOR = "operator"

    def may_act_as(self, needed: Role) -> bool:
        """Whether this role includes ``needed``."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


def tokens_needed(api: Api) -> bool:
    """Whether requests must carry a token: as told, or as soon as others can reach the port."""
    return api.access == "tokens" or (api.access == "auto" and not is_loopback(api.host))


def is_loopback(host: str) -> bool:
    """Whether an address reaches no further than this machine; a name other than localhost may."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
