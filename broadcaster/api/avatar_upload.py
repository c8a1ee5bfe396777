"""Receiving a picture or a clip that is to become an avatar, and judging it before the answer.

What a client calls its file never reaches a path, and nothing is decoded in this process.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Request

from broadcaster.api.avatar_room import AvatarRoom
from broadcaster.api.problems import Refusal
from broadcaster.api.upload import (
    FORM_OVERHEAD_BYTES,
    MULTIPART,
    RESERVE_BYTES,
    SpoolingRequest,
    arriving,
    incoming_of,
    json_object,
    shown_name,
)
from broadcaster.avatars.found import name_fault, name_from
from broadcaster.avatars.maker import DEFAULT_ENGINE, MAKERS
from broadcaster.avatars.making import Order, judge_source
from broadcaster.avatars.neural import NEURAL, engine_fault
from broadcaster.callbacks.target import Allowed, screen
from broadcaster.errors import AvatarError, CallbackRefused, StoreFull
from broadcaster.store import Incoming
from broadcaster.store.avatars import AvatarRow

MOST_HANDLES = 64
HANDLES_BYTES = 16 * 1024

_HASHED_AT_ONCE = 1 << 20

Points = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class AvatarUpload:
    """What came with ``POST /avatars``."""

    incoming: Incoming
    name: str
    file_name: str
    handles: Points | None
    callback_url: str
    engine: str = DEFAULT_ENGINE

    def row(self) -> AvatarRow:
        """What is written down of it."""
        handles = json.dumps(self.handles, sort_keys=True) if self.handles else ""
        return AvatarRow(
            name=self.name,
            id=self.incoming.task_id,
            engine=self.engine,
            source_name=self.file_name,
            handles=handles,
            fingerprint=_fingerprint(self.incoming, handles, self.engine),
            callback_url=self.callback_url,
        )


def refuse_early(room: AvatarRoom, request: Request) -> None:
    """Refuse what can be refused before the body is read.

    Raises:
        Refusal: 415 another type, 413 too large.
        TaskRejected: 429, too many wait.
        StoreFull: no room for a body of this size.
    """
    if request.mimetype != MULTIPART:
        raise Refusal(415, f"Send {MULTIPART} with the picture or clip as file.")
    length = request.content_length or 0
    request.max_content_length = _most_bytes(room) + FORM_OVERHEAD_BYTES
    if length > request.max_content_length:
        raise _too_large(room)
    room.journal.refuse_when_full()
    disk = os.statvfs(room.shelf.root)
    if disk.f_bavail * disk.f_frsize < length + RESERVE_BYTES:
        raise StoreFull("no space left for the upload")


def receive_avatar(
    room: AvatarRoom, request: SpoolingRequest, callbacks_allowed: Allowed
) -> AvatarUpload:
    """Read the body; the file goes into the spool.

    Raises:
        Refusal: 400 no file, 408 it stopped arriving, 413 too large, 422 a field that cannot be
            meant.
        StoreFull: the disk became full.
    """
    with arriving():
        fields = request.form.to_dict()
        sent = request.files.get("file")
    if sent is None:
        raise Refusal(400, "Send the picture or clip as a file in the field file.")
    incoming = incoming_of(sent, request.incoming)
    with arriving():
        incoming.file.flush()
    size = incoming.path.stat().st_size
    if size > _most_bytes(room):
        raise _too_large(room)
    if not size:
        raise Refusal(422, "The uploaded file is empty.")
    file_name = shown_name(sent.filename or "")
    return AvatarUpload(
        incoming,
        _name(fields.get("name", "").strip(), file_name),
        file_name,
        _handles_field(fields.get("handles", "")),
        _url(fields.get("callback_url", "").strip(), callbacks_allowed),
        _engine(fields.get("engine", "").strip()),
    )


def judge_avatar(room: AvatarRoom, upload: AvatarUpload) -> None:
    """Look into the file, in a limited child, once its engine could draw it.

    Raises:
        AvatarError: it can never become an avatar, or not here.
    """
    fault, remedy = engine_fault(upload.engine, room.settings)
    if fault:
        raise AvatarError(f"The engine {upload.engine} cannot draw here: {fault}. {remedy}")
    if upload.engine in NEURAL and not upload.handles and not room.has_landmarks:
        raise AvatarError(
            f"The engine {upload.engine} needs the face's landmarks, and the networks that find "
            "them are not there (make avatars). Send handles."
        )
    order = Order(upload.name, upload.incoming.path, upload.engine, handles=upload.handles)
    judge_source(order, room.making)


def read_handles(told: object) -> Points:
    """Points of a face by name, as JSON has them.

    Raises:
        Refusal: 422, they are no points.
    """
    if not isinstance(told, dict) or not 0 < len(told) <= MOST_HANDLES:
        raise Refusal(422, "handles must be an object of points: {name: [x, y], ...}.")
    return {str(name)[:40]: _point(str(name)[:40], point) for name, point in told.items()}


def _name(asked: str, file_name: str) -> str:
    """What it shall be called; without a wish what its file's name gives, which may be taken."""
    if not asked:
        return name_from(file_name)
    if fault := name_fault(asked):
        raise Refusal(409 if "taken" in fault else 422, f"{fault[:1].upper()}{fault[1:]}.")
    return asked


def _engine(asked: str) -> str:
    """One of the station's own; never a module that a client names."""
    if asked and asked not in MAKERS:
        raise Refusal(422, f"engine must be one of {', '.join(sorted(MAKERS))}.")
    return asked or DEFAULT_ENGINE


def _handles_field(text: str) -> Points | None:
    if not text.strip():
        return None
    if len(text) > HANDLES_BYTES:
        raise Refusal(413, "The field handles is too long.")
    return read_handles(json_object(text.encode()))


def _point(name: str, point: object) -> tuple[float, float]:
    if isinstance(point, list) and len(point) == 2:
        x, y = point
        plain = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (x, y))
        if plain and math.isfinite(x) and math.isfinite(y) and max(abs(x), abs(y)) < 1e6:
            return float(x), float(y)
    raise Refusal(422, f"handles: {name} must be a point [x, y] in pixels.")


def _url(url: str, allowed: Allowed) -> str:
    """An address to call back, as far as it can be judged without looking it up."""
    if url:
        try:
            screen(url, allowed)
        except CallbackRefused as error:
            raise Refusal(422, f"The {error}.") from error
    return url


def _fingerprint(incoming: Incoming, handles: str, engine: str) -> str:
    """The same for the same file, handles and engine, whatever the file is called."""
    digest = hashlib.sha256(handles.encode() + b"\0")
    if engine != DEFAULT_ENGINE:  # what was sent before there was a choice stays the same
        digest.update(engine.encode() + b"\0")
    with incoming.path.open("rb") as file:
        while block := file.read(_HASHED_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()


def _most_bytes(room: AvatarRoom) -> int:
    return room.settings.avatars.max_upload_mb * 2**20


def _too_large(room: AvatarRoom) -> Refusal:
    return Refusal(413, f"The file is larger than {room.settings.avatars.max_upload_mb} MB.")
