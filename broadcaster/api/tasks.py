"""Requests to speak: accepting, looking at, cancelling, interrupting."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

from flask import Blueprint, Response, jsonify, request, url_for

from broadcaster.api.problems import Refusal
from broadcaster.api.station import StationView, station_view
from broadcaster.api.upload import SpoolingRequest, receive, refuse_early
from broadcaster.metrics import TASKS
from broadcaster.speech.decode import probe_upload
from broadcaster.store import Task, TaskState
from broadcaster.store.tasks import MAX_LISTED
from broadcaster.studio.doorbell import ring

BUSY_RETRY_S = 1
SMALL_BODY_BYTES = 64 * 1024
CANCELLED_BY_REQUEST = "cancelled by request"

tasks = Blueprint("tasks", __name__)


@tasks.post("/generate_video")
def generate_video() -> tuple[Response, int, dict[str, str]]:
    """Accept a request to speak; it is on the disk when the answer leaves."""
    view = station_view()
    arriving = cast(SpoolingRequest, request)
    refuse_early(view, arriving)
    try:
        with _reading_a_body(view):
            task = _accept(view, arriving)
    finally:
        for each in arriving.incoming:
            each.discard()
    ring(view.paths.doorbell)
    location = url_for("tasks.show_task", task_id=task.id)
    body = jsonify(status="processing_started", task_id=task.id, channel=task.channel)
    return body, 202, {"Location": location}


@tasks.get("/tasks")
def list_tasks() -> Response:
    """The newest tasks first."""
    limit = _limit(request.args.get("limit", "100"))
    channel = request.args.get("channel")
    view = station_view()
    if channel is not None:
        _require_channel(view, channel)
    return jsonify(tasks=[task_json(task) for task in view.store.recent(limit, channel)])


@tasks.get("/tasks/<task_id>")
def show_task(task_id: str) -> Response:
    """One task."""
    return jsonify(task_json(station_view().store.get(task_id)))


@tasks.delete("/tasks/<task_id>")
def cancel_task(task_id: str) -> Response:
    """Cancel a task that has not ended; on air it stops at once."""
    view = station_view()
    before = view.store.get(task_id)
    task = view.store.cancel(task_id, CANCELLED_BY_REQUEST)
    TASKS.labels(task.channel, task.state.value).inc()
    ring(view.paths.doorbell)
    if before.state in {TaskState.BUFFERING, TaskState.ON_AIR}:
        # The studio does the same when the bell rings; this also works while it restarts.
        with contextlib.suppress(OSError, ValueError):
            interrupt = {"op": "interrupt", "channel": task.channel, "task_id": task_id}
            view.ask_playout(interrupt)
    return jsonify(task_json(task))


@tasks.post("/interrupt")
def interrupt() -> Response:
    """Stop what is on air; idle or the next task follows."""
    view = station_view()
    if (request.content_length or 0) > SMALL_BODY_BYTES:
        raise Refusal(413, "The request is too large.")
    request.max_content_length = SMALL_BODY_BYTES
    with _reading_a_body(view):
        body = request.get_json(silent=True)
        fields = body if isinstance(body, dict) else request.form
    channel = _require_channel(view, fields.get("channel"))
    try:
        answer = view.ask_playout({"op": "interrupt", "channel": channel})
    except (OSError, ValueError) as error:
        raise Refusal(503, "The playout does not answer.", BUSY_RETRY_S) from error
    if not answer.get("ok"):
        raise Refusal(503, "The playout could not interrupt.", BUSY_RETRY_S)
    task_id = answer.get("task_id")
    return jsonify(status="interrupted" if task_id else "nothing_on_air", task_id=task_id)


def task_json(task: Task) -> dict[str, Any]:
    """A task as clients see it; times are ISO 8601 in UTC, lengths seconds."""
    known = task.samples > 0
    return {
        "task_id": task.id,
        "state": task.state.value,
        "channel": task.channel,
        "priority": task.priority,
        "file_name": task.source_name,
        "duration_s": round(task.samples / task.sample_rate, 3) if known else None,
        "played_s": round(task.played_samples / task.sample_rate, 3),
        "progress": round(min(1.0, task.played_samples / task.samples), 3) if known else 0.0,
        "error": task.error or None,
        "reason": task.reason or None,
        "created_at": _iso(task.created_s),
        "updated_at": _iso(task.updated_s),
        "started_at": _iso(task.started_s),
        "ended_at": _iso(task.ended_s),
    }


@contextlib.contextmanager
def _reading_a_body(view: StationView) -> Iterator[None]:
    """Half of the threads may wait for slow bodies, so that the others always answer."""
    if not view.uploads.acquire(blocking=False):
        raise Refusal(503, "Too many uploads are arriving at once.", BUSY_RETRY_S)
    try:
        yield
    finally:
        view.uploads.release()


def _accept(view: StationView, arriving: SpoolingRequest) -> Task:
    incoming, shown_name = receive(view, arriving)
    channel = _require_channel(view, arriving.form.get("channel"))
    probe_upload(incoming.path, view.decoding)
    rate = view.channels[channel].audio.sample_rate
    return view.store.accept(Task(incoming.task_id, channel, shown_name, rate), incoming)


def _require_channel(view: StationView, name: object) -> str:
    """The named channel, or the first one when none is named."""
    if name is None or name == "":
        return next(iter(view.channels))
    if not isinstance(name, str) or name not in view.channels:
        raise Refusal(422, f"No such channel; there is {', '.join(view.channels)}.")
    return name


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MAX_LISTED:
        raise Refusal(422, f"limit must be a number from 1 to {MAX_LISTED}.")
    return int(text)


def _iso(at_s: float | None) -> str | None:
    if at_s is None:
        return None
    return datetime.fromtimestamp(at_s, tz=UTC).isoformat(timespec="milliseconds")
