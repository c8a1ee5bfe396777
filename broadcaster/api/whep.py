"""WHEP: a browser's SDP offer is handed to the preview process, and its answer handed back.

The preview may be dead, hung or without a stream; the API answers all the same, and only some of
its threads may wait for one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from flask import Blueprint, Response, request, url_for

from broadcaster.api.problems import Refusal
from broadcaster.api.station import StationView, station_view
from broadcaster.api.upload import arriving
from broadcaster.wire import Message, ask

SDP = "application/sdp"

OFFER_BYTES = 64 * 1024
"""Browsers send 3 to 8 KB."""

OFFER_TIMEOUT_S = 5.0
"""The preview waits up to 2.5 s for the stream, then answers in 50 ms."""

LEAVE_TIMEOUT_S = 1.0

RETRY_S = 1

whep = Blueprint("whep", __name__)


@whep.post("/whep/<channel>")
def watch(channel: str) -> Response:
    """Let a viewer in."""
    view = _view_with_preview(channel)
    if request.mimetype != SDP:
        raise Refusal(415, f"Send the offer as {SDP}.")
    if (request.content_length or 0) > OFFER_BYTES:
        raise Refusal(413, "The offer is too large.")
    request.max_content_length = OFFER_BYTES
    with _one_of_few(view):
        offer = _offer()
        answer = _ask(view, {"op": "offer", "channel": channel, "sdp": offer}, OFFER_TIMEOUT_S)
    response = Response(answer["sdp"], 201, content_type=SDP)
    response.headers["Location"] = url_for("whep.leave", channel=channel, session=answer["session"])
    response.headers["Cache-Control"] = "no-store"
    return response


@whep.delete("/whep/<channel>/<session>")
def leave(channel: str, session: str) -> Response:
    """Let a viewer go."""
    view = _view_with_preview(channel)
    _ask(view, {"op": "leave", "session": session}, LEAVE_TIMEOUT_S)
    return Response(status=200, mimetype="text/plain")


def _view_with_preview(channel: str) -> StationView:
    view = station_view()
    if channel not in view.channels:
        raise Refusal(404, f"No such channel; there is {', '.join(view.channels)}.")
    if not view.settings.has_preview:
        raise Refusal(404, "This station has no preview.")
    return view


def _offer() -> str:
    with arriving():
        data = request.get_data()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Refusal(400, "The offer is not text.") from error


def _ask(view: StationView, message: Message, timeout_s: float) -> Message:
    try:
        answer = ask(view.paths.preview_socket, message, timeout_s)
    except (OSError, ValueError) as error:
        raise Refusal(503, "The preview does not answer.", RETRY_S) from error
    if not answer.get("ok"):
        retry_s = answer.get("retry_after_s")
        raise Refusal(int(answer["status"]), str(answer["error"]), retry_s)
    return answer


@contextlib.contextmanager
def _one_of_few(view: StationView) -> Iterator[None]:
    """A quarter of the threads may wait for a stream, so that the others always answer."""
    if not view.offers.acquire(blocking=False):
        raise Refusal(503, "Several viewers are arriving at once.", RETRY_S)
    try:
        yield
    finally:
        view.offers.release()
