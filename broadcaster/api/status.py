"""``/status``: the whole station at a glance, without any stream key."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response

from broadcaster import __version__
from broadcaster.api.channels import avatar_json
from broadcaster.api.readiness import judge
from broadcaster.api.station import Air, StationView, stat_url, station_view
from broadcaster.errors import StoreError
from broadcaster.redaction import Redactor
from broadcaster.store import ChannelAvatar
from broadcaster.studio.report import FILE_NAME, SUBSTITUTES_FILE_NAME, read_report
from broadcaster.wire import Message

status = Blueprint("status", __name__)

Thing = dict[str, Any]


@status.get("/status")
def show_status() -> Response:
    """The station."""
    view = station_view()
    text = json.dumps(status_document(view, view.air()))
    urls = [d.url.get_secret_value() for c in view.settings.channels for d in c.destinations]
    return Response(Redactor(urls)(text), mimetype="application/json")


def status_document(view: StationView, air: Air) -> dict[str, Any]:
    """Everything ``/status`` says, before redaction."""
    verdict = judge(air.playout, air.relay, bool(stat_url(view.settings)))
    playout = air.playout or {}
    return {
        "station": view.settings.station.name,
        "version": __version__,
        "ready": verdict.ready,
        "reason": verdict.reason,
        "ticks": playout.get("ticks"),
        "late_ms": playout.get("late_ms"),
        "channels": _channels(view, playout),
        "relay": _relay(air),
        "preview": _preview(view, air),
        "tasks": _counts(view),
        "roles": view.roles(),
        "things": list(_things(view, air)),
    }


def _channels(view: StationView, playout: Message) -> list[dict[str, Any]]:
    """What the playout says of each, and what became of the avatar that was wished there."""
    records: dict[str, ChannelAvatar] = {}
    with contextlib.suppress(StoreError):
        records = view.avatars.all()
    told = []
    for each in playout.get("channels", []):
        channel = view.channels.get(str(each.get("name")))
        avatar = avatar_json(channel, records.get(channel.name)) if channel else None
        told.append({**each, "avatar": avatar})
    return told


def _relay(air: Air) -> dict[str, Any] | None:
    if air.relay is None:
        return {"error": air.relay_error} if air.relay_error else None
    return asdict(air.relay)


def _preview(view: StationView, air: Air) -> dict[str, Any] | None:
    """Who watches by browser; None where no preview is wanted."""
    if not view.settings.has_preview:
        return None
    if air.preview is None:
        return {"viewers": 0, "channels": [], "error": "the preview does not answer"}
    return {
        "viewers": air.preview.get("viewers", 0),
        "channels": air.preview.get("channels", []),
        "error": None,
    }


def _counts(view: StationView) -> dict[str, Any]:
    try:
        return {"counts": view.store.counts(), "error": None}
    except StoreError as error:
        return {"counts": {}, "error": str(error)}


def _things(view: StationView, air: Air) -> Iterator[Thing]:
    """Every supervised thing in one shape."""
    now = view.clock.now()
    for role in view.roles():
        yield _thing(
            f"role/{role.get('name')}",
            role.get("state"),
            role.get("last_error"),
            now - float(role.get("since") or now),
        )
    for channel in (air.playout or {}).get("channels", []):
        name = channel.get("name")
        idle = channel.get("idle") or {}
        yield _thing(f"idle/{name}", *(idle.get(k) for k in ("state", "last_error", "since_s")))
        for each in channel.get("destinations", []):
            yield _thing(
                f"push/{name}/{each.get('name')}",
                *(each.get(k) for k in ("state", "last_error", "since_s")),
            )
    for each in (air.preview or {}).get("channels", []):
        yield _thing(
            str(each.get("name")), *(each.get(k) for k in ("state", "last_error", "since_s"))
        )
    for file_name in (FILE_NAME, SUBSTITUTES_FILE_NAME):
        for report in read_report(view.paths.run, now, file_name):
            yield dict(report)


def _thing(name: str, state: object, last_error: object, since_s: Any) -> Thing:  # noqa: ANN401
    return {
        "name": name,
        "state": str(state or "unknown"),
        "last_error": str(last_error or ""),
        "since_s": round(float(since_s or 0.0), 3),
    }
