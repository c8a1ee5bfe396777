"""From settings to the fixed numbers of one destination. Pure."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable
from urllib.parse import urlsplit

from broadcaster.backoff import RetrySchedule
from broadcaster.formats import EncodeFormat, StreamHeaders
from broadcaster.push.session import SessionPlan
from broadcaster.settings.model import Push

_LOOPBACK_CONNECT_S = 2.0
"""A relay on this machine answers in milliseconds or is hung."""

_LOOPBACK_STALL_S = 0.8
"""No packet is ever lost on loopback, so silence there means a hung reader. A wide-area path gets
the full ``stall_after_s``: TCP's own repair of a lost packet may take most of a second."""

_CAP_MARGIN_S = 1800.0
"""A platform's session limit is left half an hour early: idle may be long in coming."""


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine, by name or literal address (nothing is resolved)."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def session_plan(
    url: str,
    fmt: EncodeFormat,
    headers: StreamHeaders,
    push: Push,
    loopback: bool,
    redact: Callable[[str], str],
) -> SessionPlan:
    """What all sessions of a destination share, with its patience."""
    connect_s, stall_s = push.connect_timeout_s, push.stall_after_s
    if loopback:
        connect_s = min(connect_s, _LOOPBACK_CONNECT_S)
        stall_s = min(stall_s, _LOOPBACK_STALL_S)
    return SessionPlan(
        program=push.ffmpeg,
        url=url,
        fmt=fmt,
        headers=headers,
        send_buffer_bytes=push.send_buffer_kib * 1024,
        queue_ticks=math.ceil(push.queue_s * fmt.video.fps),
        connect_s=connect_s,
        stall_s=stall_s,
        redact=redact,
    )


def retry_schedule(push: Push, loopback: bool) -> RetrySchedule:
    """Loopback is knocked at every second for ever: it costs nobody anything."""
    if loopback:
        every_s = push.loopback_retry_s
        return RetrySchedule(push.first_retry_s, every_s, every_s, math.inf)
    return RetrySchedule(
        push.first_retry_s, push.retry_s, push.late_retry_s, push.late_retry_after_s
    )


def rollover_age_s(push: Push, session_cap_s: float | None) -> float:
    """The session age from which a planned rollover is wanted."""
    age_s = push.rollover_after_h * 3600
    if session_cap_s is None:
        return age_s
    return min(age_s, max(session_cap_s - _CAP_MARGIN_S, session_cap_s / 2))
