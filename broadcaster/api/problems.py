"""Errors as ``application/problem+json`` (RFC 9457), each also with a plain ``error`` sentence."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from broadcaster.avatars.limited import MakerBroken
from broadcaster.errors import (
    AvatarConflict,
    AvatarError,
    AvatarNotFound,
    MediaError,
    SpeechError,
    StoreError,
    StoreFull,
    TaskConflict,
    TaskNotFound,
    TaskRejected,
)
from broadcaster.speech.decode import MediaTooLongError
from broadcaster.speech.decoder import DecoderMissingError

log = logging.getLogger(__name__)

_RETRY_S = 2
"""For a store that is busy: its writes take milliseconds."""

_MAKER_RETRY_S = 60
"""A child that crashed may do so again; somebody may have to look."""

_DECODER_RETRY_S = 60
"""Somebody must install it."""


class Refusal(TaskRejected):
    """A request that is no task either is answered with a problem."""


def problem(status: int, detail: str, retry_after_s: int | None = None) -> Response:
    """The answer for an error."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "error": detail,
    }
    response = Response(json.dumps(body), status, mimetype="application/problem+json")
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def install_problems(app: Flask) -> None:
    """Make every error of the application a problem."""
    _install_ours(app)
    _install_others(app)


def _install_ours(app: Flask) -> None:
    @app.errorhandler(TaskRejected)
    def _rejected(error: TaskRejected) -> Response:
        return problem(error.status, _sentence(error), error.retry_after_s)

    @app.errorhandler(MediaError)
    def _media(error: MediaError) -> Response:
        return problem(413 if isinstance(error, MediaTooLongError) else 422, str(error))

    @app.errorhandler(SpeechError)
    def _speech(error: SpeechError) -> Response:
        return problem(422, str(error))

    @app.errorhandler(DecoderMissingError)
    def _decoder(error: DecoderMissingError) -> Response:
        log.error("%s", error)
        return problem(503, "The station cannot decode sound now.", _DECODER_RETRY_S)

    @app.errorhandler(AvatarError)
    def _avatar(error: AvatarError) -> Response:
        if isinstance(error, MakerBroken):
            return problem(503, _sentence(error), _MAKER_RETRY_S)
        if isinstance(error, AvatarNotFound):
            return problem(404, _sentence(error))
        return problem(409 if isinstance(error, AvatarConflict) else 422, _sentence(error))

    @app.errorhandler(StoreError)
    def _store(error: StoreError) -> Response:
        if isinstance(error, TaskNotFound):
            return problem(404, _sentence(error))
        if isinstance(error, TaskConflict):
            return problem(409, _sentence(error))
        if isinstance(error, StoreFull):
            return problem(507, "The disk is full: nothing was accepted.")
        log.warning("%s", error)
        return problem(503, "The task store is busy.", _RETRY_S)


def _install_others(app: Flask) -> None:
    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        status = error.code or 500
        if status < HTTPStatus.BAD_REQUEST:
            return Response(status=status, headers=error.get_headers())
        answer = problem(status, error.description or HTTPStatus(status).phrase)
        if allowed := getattr(error, "valid_methods", None):
            answer.headers["Allow"] = ", ".join(sorted(allowed))
        return answer

    @app.errorhandler(Exception)
    def _unexpected(error: Exception) -> Response:
        log.error("a request failed", exc_info=error)
        return problem(500, "The station's API failed; what is on air is not concerned.")


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."
