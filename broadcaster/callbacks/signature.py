"""Signing callbacks, and how a receiver checks one. Standard library only, free to be copied.

``X-Broadcaster-Signature: t=<unix seconds>,v1=<hex>``: HMAC-SHA256 over ``<t>.<body>``. The time
is signed too, so that a recorded callback cannot be sent again later; within the tolerance a
receiver that must not act twice remembers ``event_id``, which is the same in every attempt.
"""

from __future__ import annotations

import hashlib
import hmac
import re

HEADER = "X-Broadcaster-Signature"

TOLERANCE_S = 300.0
"""Clocks of two servers are rarely further apart, and a recorded callback is of no use after it."""

_FORM = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")


def sign(secret: str, at_s: int, body: bytes) -> str:
    """The header's value.

    Args:
        secret: shared with the receiver.
        at_s: unix seconds of this attempt.
        body: exactly what is sent.
    """
    return f"t={at_s},v1={_digest(secret, str(at_s), body)}"


def verify(
    secret: str, header: str, body: bytes, now: float, tolerance_s: float = TOLERANCE_S
) -> bool:
    """Whether a callback is the station's, unchanged, and fresh.

    Args:
        secret: as ``broadcaster callbacks secret`` prints it.
        header: the value of ``X-Broadcaster-Signature``.
        body: exactly what was received, before any parsing.
        now: unix seconds.
        tolerance_s: how old, or ahead, it may be.
    """
    found = _FORM.fullmatch(header.strip())
    if found is None or abs(now - int(found[1])) > tolerance_s:
        return False
    return hmac.compare_digest(found[2], _digest(secret, found[1], body))


def _digest(secret: str, at: str, body: bytes) -> str:
    return hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
