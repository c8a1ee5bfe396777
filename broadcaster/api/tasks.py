"""Requests to speak: accepting, looking at, cancelling, interrupting."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

from flask import Blueprint, Response, jsonify, request, url_for

from broadcaster.api.accept import Accepted, accept, require_channel, standing
from broadcaster.api.problems import Refusal
from broadcaster.api.station import StationView, station_view
from broadcaster.api.upload import JSON, SpoolingRequest, arriving, json_object, refuse_early
from broadcaster.api.wishes import read_key
from broadcaster.callbacks.target import read_target
from broadcaster.metrics import TASKS
from broadcaster.store import Task, TaskState
from broadcaster.store.outbox import Callback
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
    speaking = cast(SpoolingRequest, request)
    key = read_key(request.headers.get("Idempotency-Key", ""))
    refuse_early(view, speaking, known=view.store.accepted_before(key) is not None)
    try:
        with reading_a_body(view):
            accepted = accept(view, speaking, key)
    finally:
        for each in speaking.incoming:
            each.discard()
    ring(view.paths.doorbell)
    return _accepted(view, accepted)


def _accepted(view: StationView, accepted: Accepted) -> tuple[Response, int, dict[str, str]]:
    task = accepted.task
    stands = standing(task, view.store.active(task.channel))
    headers = {"Location": url_for("tasks.show_task", task_id=task.id)}
    if accepted.again:
        headers["Idempotency-Replayed"] = "true"
    status = 202
    if _prefers_200():
        status = 200
        headers["Preference-Applied"] = "status=200"
    body = jsonify(
        status="processing_started",
        task_id=task.id,
        channel=task.channel,
        position=stands.position or 0,
        eta_seconds=stands.eta_s or 0.0,
    )
    return body, status, headers


def _prefers_200() -> bool:
    """``Prefer: status=200`` (RFC 7240), for clients of the service this one replaces."""
    wishes = ",".join(request.headers.getlist("Prefer")).replace(";", ",").split(",")
    return any(wish.replace(" ", "").replace('"', "").lower() == "status=200" for wish in wishes)


@tasks.get("/tasks")
def list_tasks() -> Response:
    """The newest tasks first."""
    limit = _limit(request.args.get("limit", "100"))
    channel = request.args.get("channel")
    view = station_view()
    if channel is not None:
        require_channel(view, channel)
    listed = view.store.recent(limit, channel)
    active = {name: view.store.active(name) for name in {task.channel for task in listed}}
    return jsonify(tasks=[task_json(task, active[task.channel]) for task in listed])


@tasks.get("/tasks/<task_id>")
def show_task(task_id: str) -> Response:
    """One task."""
    view = station_view()
    task = view.store.get(task_id)
    return jsonify(task_json(task, view.store.active(task.channel)))


@tasks.get("/tasks/<task_id>/callbacks")
def show_callbacks(task_id: str) -> Response:
    """What was told, or is still to be told, to the task's ``callback_url``."""
    store = station_view().store
    store.get(task_id)
    return jsonify(callbacks=[_callback_json(each) for each in store.outbox.of(task_id)])


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
    return jsonify(task_json(task, []))


@tasks.post("/interrupt")
def interrupt() -> Response:
    """Stop what is on air; idle or the next task follows."""
    view = station_view()
    if (request.content_length or 0) > SMALL_BODY_BYTES:
        raise Refusal(413, "The request is too large.")
    request.max_content_length = SMALL_BODY_BYTES
    with reading_a_body(view), arriving():
        fields = _interrupt_fields()
    channel = require_channel(view, fields.get("channel"))
    try:
        answer = view.ask_playout({"op": "interrupt", "channel": channel})
    except (OSError, ValueError) as error:
        raise Refusal(503, "The playout does not answer.", BUSY_RETRY_S) from error
    if not answer.get("ok"):
        raise Refusal(503, "The playout could not interrupt.", BUSY_RETRY_S)
    task_id = answer.get("task_id")
    return jsonify(status="interrupted" if task_id else "nothing_on_air", task_id=task_id)


def task_json(task: Task, active: list[Task]) -> dict[str, Any]:
    """A task as clients see it; times are ISO 8601 in UTC, lengths seconds.

    Args:
        task: the task.
        active: the tasks of its channel that have not ended, for its place among them.
    """
    known = task.samples > 0
    stands = standing(task, active)
    return {
        "task_id": task.id,
        "state": task.state.value,
        "channel": task.channel,
        "priority": task.priority,
        "interrupt": task.interrupts,
        "file_name": task.source_name,
        "text": task.text or None,
        "voice": task.voice or None,
        "options": json.loads(task.options),
        "position": stands.position,
        "eta_seconds": stands.eta_s,
        "duration_s": round(task.samples / task.sample_rate, 3) if known else None,
        "played_s": round(task.played_samples / task.sample_rate, 3),
        "progress": round(min(1.0, task.played_samples / task.samples), 3) if known else 0.0,
        "gain_db": task.gain_db,
        "error": task.error or None,
        "reason": task.reason or task.error or None,
        "created_at": _iso(task.created_s),
        "updated_at": _iso(task.updated_s),
        "started_at": _iso(task.started_s),
        "ended_at": _iso(task.ended_s),
    }


def _callback_json(callback: Callback) -> dict[str, Any]:
    """Without the URL, whose path and query may be secrets."""
    waits = callback.state == "pending"
    return {
        "event_id": callback.event_id,
        "event": callback.event,
        "receiver": read_target(callback.url).place,
        "state": callback.state,
        "attempts": callback.attempts,
        "last_error": callback.last_error or None,
        "created_at": _iso(callback.created_s),
        "next_at": _iso(callback.next_s) if waits else None,
        "ended_at": _iso(callback.ended_s),
    }


def _interrupt_fields() -> dict[str, Any]:
    """The channel may come as JSON or as a form, or not at all."""
    if request.mimetype != JSON:
        return request.form.to_dict()
    data = request.get_data(cache=False)
    return json_object(data) if data.strip() else {}


@contextlib.contextmanager
def reading_a_body(view: StationView) -> Iterator[None]:
    """Half of the threads may wait for slow bodies, so that the others always answer."""
    if not view.uploads.acquire(blocking=False):
        raise Refusal(503, "Too many uploads are arriving at once.", BUSY_RETRY_S)
    try:
        yield
    finally:
        view.uploads.release()


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MAX_LISTED:
        raise Refusal(422, f"limit must be a number from 1 to {MAX_LISTED}.")
    return int(text)


def _iso(at_s: float | None) -> str | None:
    if at_s is None:
        return None
    return datetime.fromtimestamp(at_s, tz=UTC).isoformat(timespec="milliseconds")
