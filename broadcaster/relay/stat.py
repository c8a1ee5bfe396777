"""Reads the health page of nginx-rtmp (``/stat``): which streams there are and what flows in.

Used from outside the signal path (supervisor, API, checks); a wrong or missing page is an error
for the caller, never a reason to touch the air.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

_MAX_PAGE_BYTES = 4 << 20
"""A page of 1000 streams is about 1 MB; more is not a health page."""


@dataclass(frozen=True, slots=True)
class StreamStat:
    """One stream: ``bw_in`` in bit/s as the relay averages it, ``clients`` with its publisher."""

    name: str
    publishing: bool
    bytes_in: int
    bw_in: int
    clients: int
    uptime_s: float


@dataclass(frozen=True, slots=True)
class RelayStat:
    """The whole page; ``uptime_s`` is the relay process's age."""

    uptime_s: float
    streams: tuple[StreamStat, ...]

    def stream(self, name: str) -> StreamStat | None:
        """The stream called ``name``, or None."""
        return next((stream for stream in self.streams if stream.name == name), None)


def parse_stat(page: bytes) -> RelayStat:
    """The page as values.

    Raises:
        ValueError: not nginx-rtmp's XML.
    """
    try:
        root = ET.fromstring(page)  # noqa: S314 - our own relay's page, or one the operator named
    except ET.ParseError as error:
        raise ValueError(f"the relay's health page is not XML: {error}") from error
    if root.tag != "rtmp":
        raise ValueError(f"the relay's health page has <{root.tag}> where <rtmp> belongs")
    return RelayStat(
        uptime_s=float(_text(root, "uptime", "0")),
        streams=tuple(_stream(element) for element in root.iter("stream")),
    )


def fetch_stat(url: str, timeout_s: float) -> RelayStat:
    """Ask the relay.

    Args:
        url: ``http://host:port/stat``.
        timeout_s: for the connection and for each read.

    Raises:
        OSError: no answer in time.
        ValueError: an answer that is not the health page.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"the relay's health page needs an http:// address, not {url!r}")
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=timeout_s)
    try:
        connection.request("GET", parts.path or "/stat", headers={"Connection": "close"})
        response = connection.getresponse()
        page = response.read(_MAX_PAGE_BYTES)
    except http.client.HTTPException as error:
        raise ValueError(f"the relay's health page is broken: {error!r}") from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise ValueError(f"the relay's health page answered {response.status}")
    return parse_stat(page)


def _stream(element: ET.Element) -> StreamStat:
    return StreamStat(
        name=_text(element, "name", ""),
        publishing=element.find("publishing") is not None,
        bytes_in=int(_text(element, "bytes_in", "0")),
        bw_in=int(_text(element, "bw_in", "0")),
        clients=int(_text(element, "nclients", "0")),
        uptime_s=float(_text(element, "time", "0")) / 1000,
    )


def _text(element: ET.Element, tag: str, missing: str) -> str:
    return element.findtext(tag) or missing
