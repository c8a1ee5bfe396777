"""Avatars over HTTP: uploading, looking at, correcting, removing.

An avatar is made by the studio, beside the air; here it is asked for and told about.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

from flask import Blueprint, Response, jsonify, request, url_for

from broadcaster.api.avatar_room import AvatarRoom, avatar_room
from broadcaster.api.avatar_upload import (
    HANDLES_BYTES,
    AvatarUpload,
    judge_avatar,
    read_handles,
    receive_avatar,
    refuse_early,
)
from broadcaster.api.problems import Refusal
from broadcaster.api.station import StationView, station_view
from broadcaster.api.tasks import reading_a_body
from broadcaster.api.upload import JSON, SpoolingRequest, arriving, json_object
from broadcaster.avatars.catalogue import Entry
from broadcaster.avatars.found import free_name, name_fault
from broadcaster.avatars.usage import Usage
from broadcaster.errors import AvatarConflict, AvatarError, AvatarNotFound
from broadcaster.store.avatars import AvatarRow
from broadcaster.studio.doorbell import ring

avatars = Blueprint("avatars", __name__)

Answer = tuple[Response, int, dict[str, str]]


@avatars.post("/avatars")
def create_avatar() -> Answer:
    """Take a picture or a clip; the file is on the disk when the answer leaves."""
    view, room = station_view(), avatar_room()
    sending = cast(SpoolingRequest, request)
    refuse_early(room, sending)
    try:
        with reading_a_body(view):
            row, again = _take(room, receive_avatar(room, sending, view.callbacks_allowed))
    finally:
        for each in sending.incoming:
            each.discard()
    ring(view.paths.doorbell)
    return _accepted(view, room, row.name, again)


def _take(room: AvatarRoom, upload: AvatarUpload) -> tuple[AvatarRow, bool]:
    """Judge an upload and write it down; True when the same was there already."""
    row = upload.row()
    named = request.form.get("name", "").strip()
    if not named:
        row = _named(room, row)
    on_shelf = bool(room.shelf.versions(row.name))
    earlier = room.journal.find(row.name)
    if earlier is None or earlier.fingerprint != row.fingerprint:
        if on_shelf:
            raise AvatarConflict(f"there is an avatar {row.name} already")
        judge_avatar(room, upload)
    upload.incoming.sync()
    stored = room.journal.ask(row, lambda: room.shelf.adopt(upload.incoming), on_shelf)
    return stored, stored.id != row.id


def _named(room: AvatarRoom, row: AvatarRow) -> AvatarRow:
    """The same upload, called by a name that is free, or by the one it got before."""
    before = [each for each in room.journal.all() if each.fingerprint == row.fingerprint]
    if before:
        return replace(row, name=before[-1].name)
    taken = {each.name for each in room.journal.all()} | set(room.shelf.names())
    return replace(row, name=free_name(row.name, lambda n: n in taken or bool(name_fault(n))))


@avatars.get("/avatars")
def list_avatars() -> Response:
    """Those of the station first, then those made here by name."""
    usage = _usage(station_view())
    return jsonify(avatars=[avatar_json(each, usage) for each in avatar_room().entries()])


@avatars.get("/avatars/<name>")
def show_avatar(name: str) -> Response:
    """One avatar."""
    return jsonify(avatar_json(avatar_room().entry(name), _usage(station_view())))


@avatars.get("/avatars/<name>/thumbnail")
def show_thumbnail(name: str) -> Response:
    """A small picture."""
    return _picture(name, "thumbnail")


@avatars.get("/avatars/<name>/picture")
def show_picture(name: str) -> Response:
    """The first picture, whole: what the handles lie on."""
    return _picture(name, "picture")


@avatars.put("/avatars/<name>/handles")
def change_handles(name: str) -> Answer:
    """Set the points of the face by hand; a new version is made with them."""
    view, room = station_view(), avatar_room()
    if request.mimetype != JSON:
        raise Refusal(415, f"Send {JSON}: an object of points.")
    if (request.content_length or 0) > HANDLES_BYTES:
        raise Refusal(413, "The request is too large.")
    request.max_content_length = HANDLES_BYTES
    with reading_a_body(view), arriving():
        handles = read_handles(json_object(request.get_data(cache=False)))
    entry = room.entry(name)
    if entry.is_bundled or not entry.usable:
        raise AvatarConflict(f"the avatar {name} has no handles that could be set")
    _refuse_strange(handles, entry)
    row = AvatarRow(
        name=name,
        id="",
        engine=entry.engine,
        handles=json.dumps(handles),
        created_s=entry.created_s or 0.0,
    )
    room.journal.ask_again(row)
    ring(view.paths.doorbell)
    return _accepted(view, room, name, again=False)


@avatars.delete("/avatars/<name>")
def remove_avatar(name: str) -> tuple[str, int]:
    """Remove an avatar that no channel uses; one that is being made is called off."""
    view, room = station_view(), avatar_room()
    entry = room.entry(name)
    if entry.is_bundled:
        raise AvatarConflict(f"the avatar {name} comes with the station")
    if showing := _usage(view).of(name):
        raise AvatarConflict(f"the avatar {name} is in use by {', '.join(showing)}")
    row = room.journal.find(name)
    if row is not None:
        room.journal.forget(name)
        if not row.attempts:  # otherwise the studio may be reading it, and deletes it itself
            room.shelf.drop_upload(row.id)
    if room.shelf.versions(name):
        room.shelf.remove(name)
    return "", 204


def _usage(view: StationView) -> Usage:
    """Who uses which avatar now.

    Raises:
        StoreError: the wishes cannot be read.
    """
    return Usage(view.settings, view.air().playout, view.avatars.all())


def avatar_json(entry: Entry, usage: Usage) -> dict[str, Any]:
    """An avatar as clients see it; the time is ISO 8601 in UTC, handles are pixels."""
    links = {"self": url_for("avatars.show_avatar", name=entry.name)}
    if entry.is_bundled or entry.thumbnail is not None:
        links["thumbnail"] = url_for("avatars.show_thumbnail", name=entry.name)
        links["picture"] = url_for("avatars.show_picture", name=entry.name)
    if entry.handles:
        links["handles"] = url_for("avatars.change_handles", name=entry.name)
    return {
        "name": entry.name,
        "kind": entry.kind or None,
        "engine": entry.engine or None,
        "bundled": entry.is_bundled,
        "state": entry.state.value,
        "usable": entry.usable,
        "version": entry.version or None,
        "progress": round(entry.progress, 3),
        "step": entry.step or None,
        "error": entry.error or None,
        "warnings": list(entry.warnings),
        "file_name": entry.source_name or None,
        "width": entry.width or None,
        "height": entry.height or None,
        "handles": {name: list(point) for name, point in entry.handles.items()} or None,
        "size_bytes": entry.size_bytes,
        "created_at": _iso(entry.created_s),
        "channels": usage.of(entry.name),
        "links": links,
    }


def _accepted(view: StationView, room: AvatarRoom, name: str, again: bool) -> Answer:
    headers = {"Location": url_for("avatars.show_avatar", name=name)}
    if again:
        headers["Idempotency-Replayed"] = "true"
    return jsonify(avatar_json(room.entry(name), _usage(view))), 202, headers


def _picture(name: str, which: str) -> Response:
    """A picture that may be kept as long as the version is the same."""
    room = avatar_room()
    entry = room.entry(name)
    file = room.picture(entry, which)
    try:
        response = Response(file.read_bytes(), mimetype="image/webp")
    except OSError as error:
        raise AvatarNotFound("this avatar has no picture any more") from error
    response.set_etag(f"{entry.version}-{file.parent.name}")
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response


def _refuse_strange(handles: Any, entry: Entry) -> None:  # noqa: ANN401
    if set(handles) != set(entry.handles):
        wanted = ", ".join(entry.handles)
        raise AvatarError(f"The handles must be these: {wanted}.")
    for each, (x, y) in handles.items():
        if not (0 <= x < entry.width and 0 <= y < entry.height):
            raise AvatarError(f"handles: {each} lies outside the picture.")


def _iso(at_s: float | None) -> str | None:
    if at_s is None:
        return None
    return datetime.fromtimestamp(at_s, tz=UTC).isoformat(timespec="milliseconds")
