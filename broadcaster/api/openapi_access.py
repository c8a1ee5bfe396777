"""What access and callbacks add to the contract: security, refusals, and what is POSTed to clients.

Values only; ``openapi`` lays them over its paths.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from broadcaster.callbacks.signature import HEADER

Schema = dict[str, Any]

SCHEME = "bearer"

SECURITY_SCHEMES: Schema = {
    SCHEME: {
        "type": "http",
        "scheme": "bearer",
        "description": "of 'broadcaster token create'; needed as soon as the station listens "
        "beyond its own machine. Roles: viewer looks and watches; speaker also speaks and cancels; "
        "operator may do everything.",
    }
}

_OPEN = ("/healthz", "/favicon.svg")
_OPEN_ENDINGS = (".js", ".css")

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_NUMBER: Schema = {"type": "number"}

_EVENT_ID: Schema = {**_TEXT, "description": "the same in every attempt"}

_TOLD_OF_TASKS: Schema = {
    "event": {"enum": ["task.started", "task.done", "task.failed", "task.cancelled"]},
    "event_id": _EVENT_ID,
    "task_id": _TEXT,
    "channel": _TEXT,
    "state": _TEXT,
    "reason": _TEXT_OR_NULL,
    "duration_s": {"type": ["number", "null"]},
    "played_s": _NUMBER,
    "created_at": _TEXT,
    "started_at": _TEXT_OR_NULL,
    "ended_at": _TEXT_OR_NULL,
}

_TOLD_OF_AVATARS: Schema = {
    "event": {"enum": ["avatar.ready", "avatar.failed"]},
    "event_id": _EVENT_ID,
    "avatar": {**_TEXT, "description": "its name"},
    "state": {"enum": ["ready", "failed"]},
    "reason": _TEXT_OR_NULL,
    "file_name": _TEXT,
    "created_at": _TEXT,
    "ended_at": _TEXT,
}


def _callbacks(name: str, what: str, told: Schema) -> Schema:
    """What is POSTed to the address that came with a request."""
    body = {"type": "object", "properties": told, "required": list(told)}
    signature = {
        "name": HEADER,
        "in": "header",
        "required": True,
        "description": "t=<unix s>,v1=<hex HMAC-SHA256 over '<t>.<body>'>",
        "schema": _TEXT,
    }
    operation = {
        "summary": f"{what}; tried again until a 2xx, redirects are not followed",
        "parameters": [signature],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"2XX": {"description": "It was taken"}},
    }
    return {name: {"{$request.body#/callback_url}": {"post": operation}}}


TASK_CALLBACKS: Schema = _callbacks("task", "The task began or ended", _TOLD_OF_TASKS)

AVATAR_CALLBACKS: Schema = _callbacks(
    "avatar", "The avatar was made, or cannot be", _TOLD_OF_AVATARS
)


def with_access(paths: Schema, problem: Schema) -> Schema:
    """The paths with what the guard in front of them may answer.

    Args:
        paths: path to its operations.
        problem: how every refusal looks, without its description.
    """
    guarded = deepcopy(paths)
    for path, item in guarded.items():
        for operation in item.values():
            if path in _OPEN or path == "/" or path.endswith(_OPEN_ENDINGS):
                operation["security"] = []
            else:
                _add(operation, "401", "No token, or one that is not known or has expired", problem)
                _add(operation, "403", "A role that may not, or a page from elsewhere", problem)
            if path != "/healthz":
                _add(operation, "429", "Too many requests; see Retry-After", problem)
    return guarded


def _add(operation: Schema, status: str, text: str, problem: Schema) -> None:
    found = operation["responses"].get(status)
    if found is None:
        operation["responses"][status] = {**problem, "description": text}
    else:
        found["description"] = f"{found['description']}. {text}"
