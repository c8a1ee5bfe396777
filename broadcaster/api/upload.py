"""Receiving an upload: straight into the spool, never through memory or a shared temporary folder.

What a client calls its file never reaches a path.
"""

from __future__ import annotations

import os
from typing import IO

from flask import Request
from werkzeug.datastructures import FileStorage

from broadcaster.api.problems import Refusal
from broadcaster.api.station import StationView, station_view
from broadcaster.errors import StoreFull
from broadcaster.store import Incoming
from broadcaster.store.spool import no_space

FORM_OVERHEAD_BYTES = 64 * 1024
"""Boundaries and other form fields that come with the largest allowed file."""

FILES_AT_MOST = 4
"""File parts in one form; only ``audio_file`` is used, the others are thrown away."""

RESERVE_BYTES = 8 * 2**20
"""Disk space that uploads leave free: the store's own files must still grow."""

NAME_LENGTH = 200
"""Characters kept of a client's file name; it is only shown."""


class SpoolingRequest(Request):
    """A request whose file parts are written to the spool as they arrive."""

    @property
    def incoming(self) -> list[Incoming]:
        """The uploads of this request."""
        found: list[Incoming] = self.__dict__.setdefault("_incoming", [])
        return found

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        if len(self.incoming) >= FILES_AT_MOST:
            raise Refusal(400, f"More than {FILES_AT_MOST} files were sent.")
        arriving = station_view().store.spool.begin()
        self.incoming.append(arriving)
        return arriving.file


def refuse_early(view: StationView, request: Request) -> None:
    """Refuse what can be refused before the body is read.

    Raises:
        Refusal: 415 not multipart, 413 too large.
        TaskRejected: 429 queue full.
        StoreFull: no room for a body of this size.
    """
    if request.mimetype != "multipart/form-data":
        raise Refusal(415, "Send multipart/form-data with the sound as audio_file.")
    length = request.content_length or 0
    if length > (request.max_content_length or length):
        raise too_large(view)
    view.store.refuse_when_full()
    disk = os.statvfs(view.paths.spool)
    if disk.f_bavail * disk.f_frsize < length + RESERVE_BYTES:
        raise StoreFull("no space left for the upload")


def receive(view: StationView, request: SpoolingRequest) -> tuple[Incoming, str]:
    """Read the body into the spool.

    Returns:
        The upload, and what the client called it.

    Raises:
        Refusal: 400 no ``audio_file``, 408 it stopped arriving, 413 too large.
        StoreFull: the disk became full.
    """
    try:
        audio = request.files.get("audio_file")
    except TimeoutError as error:
        raise Refusal(408, "The upload stopped arriving.") from error
    except BlockingIOError as error:  # the socket's own time limit, see worker.py
        raise Refusal(408, "The upload stopped arriving.") from error
    except OSError as error:
        if no_space(error):
            raise StoreFull("no space left for the upload") from error
        raise
    if audio is None:
        raise Refusal(400, "The form has no file called audio_file.")
    arrived = _of(audio, request.incoming)
    arrived.file.flush()
    if arrived.path.stat().st_size > view.settings.api.max_upload_mb * 2**20:
        raise too_large(view)
    return arrived, _shown(audio.filename or "")


def too_large(view: StationView) -> Refusal:
    """The answer to a file over the limit."""
    return Refusal(413, f"The file is larger than {view.settings.api.max_upload_mb} MB.")


def _of(audio: FileStorage, incoming: list[Incoming]) -> Incoming:
    return next(each for each in incoming if each.file is audio.stream)


def _shown(name: str) -> str:
    return "".join(c for c in name if c.isprintable())[:NAME_LENGTH]
