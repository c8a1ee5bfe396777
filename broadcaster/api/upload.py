"""Receiving a request to speak: sound straight into the spool, never through memory.

What a client calls its file never reaches a path.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from flask import Request
from flask import request as flask_request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import HTTPException

from broadcaster.api.problems import Refusal
from broadcaster.api.station import StationView, station_view
from broadcaster.errors import StoreFull
from broadcaster.store import Incoming
from broadcaster.store.spool import no_space

FORM_OVERHEAD_BYTES = 64 * 1024
"""Boundaries and other form fields that come with the largest allowed file."""

TEXT_BODY_BYTES = 256 * 1024
"""The longest text, every character of it escaped twice over, and the other fields."""

FILES_AT_MOST = 4
"""File parts in one form; only ``audio_file`` is used, the others are thrown away."""

RESERVE_BYTES = 8 * 2**20
"""Disk space that uploads leave free: the store's own files must still grow."""

NAME_LENGTH = 200
"""Characters kept of a client's file name; it is only shown."""

MULTIPART = "multipart/form-data"
URLENCODED = "application/x-www-form-urlencoded"
JSON = "application/json"


class SpoolingRequest(Request):
    """A request whose file parts are written to the spool as they arrive."""

    @property
    def incoming(self) -> list[Incoming]:
        """The uploads of this request."""
        found: list[Incoming] = self.__dict__.setdefault("_incoming", [])
        return found

    def begin(self) -> Incoming:
        """Open another upload of this request.

        Raises:
            StoreFull: no space is left.
        """
        arriving = station_view().store.spool.begin()
        self.incoming.append(arriving)
        return arriving

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        if len(self.incoming) >= FILES_AT_MOST:
            raise Refusal(400, f"More than {FILES_AT_MOST} files were sent.")
        return self.begin().file


@dataclass(frozen=True, slots=True)
class Received:
    """A body that has been read: its fields, the sound (if any), and what its file was called."""

    fields: Mapping[str, object]
    sound: Incoming | None = None
    file_name: str = ""


def refuse_early(view: StationView, request: Request, known: bool) -> None:
    """Refuse what can be refused before the body is read.

    Args:
        view: of the station.
        request: whose head has arrived.
        known: it repeats one that was accepted, so a full queue does not matter.

    Raises:
        Refusal: 400 there is nothing, 415 another type, 413 too large.
        TaskRejected: 429 queue full.
        StoreFull: no room for a body of this size.
    """
    length = request.content_length or 0
    if not request.mimetype and not length:
        raise Refusal(400, "No audio_file and no text was sent: one of them is needed.")
    if request.mimetype not in {MULTIPART, URLENCODED, JSON}:
        raise Refusal(415, f"Send {MULTIPART} with audio_file or text, or JSON with text.")
    if request.mimetype != MULTIPART:
        request.max_content_length = TEXT_BODY_BYTES
    if length > (request.max_content_length or length):
        raise too_large(view, request)
    if not known:
        view.store.refuse_when_full()
    disk = os.statvfs(view.paths.spool)
    if disk.f_bavail * disk.f_frsize < length + RESERVE_BYTES:
        raise StoreFull("no space left for the upload")


def receive(view: StationView, request: SpoolingRequest) -> Received:
    """Read the body; a sound goes into the spool.

    Raises:
        Refusal: 400 not readable, 408 it stopped arriving, 413 too large.
        StoreFull: the disk became full.
    """
    with arriving():
        if request.mimetype == JSON:
            return Received(json_object(request.get_data(cache=False)))
        fields = request.form.to_dict()
        audio = request.files.get("audio_file")
    if "audio_file" in fields:
        raise Refusal(400, "Send audio_file as a file, not as a plain field.")
    if audio is None:
        return Received(fields)
    sound = incoming_of(audio, request.incoming)
    sound.file.flush()
    size = sound.path.stat().st_size
    if size > view.settings.api.max_upload_mb * 2**20:
        raise too_large(view, request)
    if not size and not audio.filename:
        return Received(fields)  # what browsers send for a file that was not chosen
    return Received(fields, sound, shown_name(audio.filename or ""))


@contextlib.contextmanager
def arriving() -> Iterator[None]:
    """Around reading a body: what a silent client or a full disk raises.

    A client that drips has ``api.body_timeout_s`` for the whole body: each byte in time would hold
    its thread for ever.

    Raises:
        Refusal: 408.
        StoreFull: no space is left.
    """
    limit = _WholeBody(flask_request.environ.get("gunicorn.socket"))
    try:
        with limit.within(station_view().settings.api.body_timeout_s):
            yield
    except (HTTPException, Refusal) as error:
        if not limit.over:
            raise
        raise _took_too_long() from error
    except (TimeoutError, BlockingIOError) as error:  # the socket's own time limit, see worker.py
        raise Refusal(408, "The upload stopped arriving.") from error
    except OSError as error:
        if no_space(error):
            raise StoreFull("no space left for the upload") from error
        raise
    if limit.over:  # half a form is read as an empty one, without an error
        raise _took_too_long()


def _took_too_long() -> Refusal:
    return Refusal(408, "The upload took too long to arrive.")


class _WholeBody:
    """Ends the reading side of a client's connection when its time is over."""

    def __init__(self, client: socket.socket | None) -> None:
        self._client = client
        self.over = False

    @contextlib.contextmanager
    def within(self, limit_s: float) -> Iterator[None]:
        """Inside the block the body may arrive."""
        timer = threading.Timer(limit_s, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()  # or it could end a connection that is somebody else's by then

    def _end(self) -> None:
        self.over = True
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.shutdown(socket.SHUT_RD)


def json_object(data: bytes) -> dict[str, object]:
    """A body as a JSON object.

    Raises:
        Refusal: 400, it is none.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise Refusal(400, "The body is not JSON.") from None
    if not isinstance(found, dict):
        raise Refusal(400, "The body is not a JSON object.")
    return found


def too_large(view: StationView, request: Request) -> Refusal:
    """The answer to a body over the limit."""
    if request.mimetype == MULTIPART:
        return Refusal(413, f"The file is larger than {view.settings.api.max_upload_mb} MB.")
    return Refusal(413, "The request is too large.")


def incoming_of(sent: FileStorage, incoming: list[Incoming]) -> Incoming:
    """The upload that a file part of the form has become."""
    return next(each for each in incoming if each.file is sent.stream)


def shown_name(name: str) -> str:
    """What a client calls its file, fit to be shown."""
    return "".join(c for c in name if c.isprintable())[:NAME_LENGTH]
