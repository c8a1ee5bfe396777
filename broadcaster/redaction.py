"""Keeps stream keys out of everything people read: logs, errors, ``/status``.

A stream key is a password, and it travels inside URLs. Values only; nothing here opens or logs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

MASK = "***"

_RTMP_IN_TEXT = re.compile(r"rtmps?://[^\s'\"<>]+", re.IGNORECASE)

_TOKEN_IN_TEXT = re.compile(r"\bbct_[A-Za-z0-9_-]+")
"""Tokens of the API, as ``access.tokens`` makes them."""

_SHORTEST_SECRET = 4
"""Shorter fragments are ordinary words ("live", "a"); masking them would garble every line."""


def redact_url(url: str) -> str:
    """``rtmp://user:pw@host:1935/app/KEY?x=y`` as ``rtmp://host:1935/app/***``.

    Only the scheme, host, port and the first path segment survive; what cannot be parsed is masked
    whole.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return MASK
    if not parts.scheme or not host:
        return MASK
    host = f"[{host}]" if ":" in host else host
    place = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    app, _, key = parts.path.lstrip("/").partition("/")
    if not app:
        return place
    # A lone segment followed by nothing is an app name; with a query it may carry the key.
    return f"{place}/{app}/{MASK}" if key or parts.query else f"{place}/{app}"


def secrets_of_url(url: str) -> frozenset[str]:
    """The parts of a push URL that must never be printed: key, query values, password, the URL."""
    found = {url}
    try:
        parts = urlsplit(url)
        found.add(parts.password or "")
    except ValueError:
        return frozenset(found)
    _, _, key = parts.path.lstrip("/").partition("/")
    found.update((key, parts.query, *key.split("/")))
    found.update(pair.partition("=")[2] for pair in parts.query.split("&"))
    if key and parts.query:
        found.add(f"{key}?{parts.query}")
    return frozenset(each for each in found if len(each) >= _SHORTEST_SECRET)


class Redactor:
    """Replaces known secrets, the key of any RTMP URL, and tokens of the API, in text.

    Args:
        urls: push URLs whose keys are secrets.
        secrets: further words to mask.
    """

    def __init__(self, urls: Iterable[str] = (), secrets: Iterable[str] = ()) -> None:
        known = {each for each in secrets if each}
        for url in urls:
            known |= secrets_of_url(url)
        longest_first = sorted(known, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if known else None

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        text = _RTMP_IN_TEXT.sub(lambda match: redact_url(match[0]), text)
        text = _TOKEN_IN_TEXT.sub(MASK, text)
        return self._secrets.sub(MASK, text) if self._secrets else text
