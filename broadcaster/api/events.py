"""``/events``: server-sent events about tasks on air.

Every listener holds a thread of its own, beside those that serve requests: their number is
bounded, and one that has gone is noticed within a second.
"""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Callable, Iterator

from flask import Blueprint, Response, current_app, g, request

from broadcaster.api.accept import require_channel
from broadcaster.api.feed import EventFeed, Listener, has_gone
from broadcaster.api.station import station_view

FEED = "broadcaster.feed"
"""Where the application keeps its ``EventFeed``."""

LOOK_S = 0.5
"""How often a silent stream looks whether its client is still there, and whether to end."""

HEARTBEAT_S = 10.0
"""A comment so often keeps proxies from giving up on a quiet channel."""

RECONNECT_MS = 2000

events = Blueprint("events", __name__)


@events.get("/events")
def listen() -> Response:
    """Begin to listen."""
    channel = request.args.get("channel", "")
    if channel:
        require_channel(station_view(), channel)
    feed: EventFeed = current_app.extensions[FEED]
    listener = feed.join(channel, request.headers.get("Last-Event-ID", ""))
    client = request.environ.get("gunicorn.socket")
    stream = _stream(feed, listener, client, g.caller.still_valid)
    response = Response(stream, content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(lambda: feed.leave(listener))
    return response


def _stream(
    feed: EventFeed,
    listener: Listener,
    client: socket.socket | None,
    still_valid: Callable[[], bool],
) -> Iterator[bytes]:
    yield f"retry: {RECONNECT_MS}\n\n".encode()
    beat_at = time.monotonic() + HEARTBEAT_S
    while not feed.leaving and still_valid():
        try:
            told = listener.waiting.get(timeout=LOOK_S)
        except queue.Empty:
            if client is not None and has_gone(client):
                return
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + HEARTBEAT_S
                yield b": still here\n\n"
            continue
        if told is None:
            return
        yield told.text
