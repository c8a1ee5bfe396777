"""The HTTP contract, written by hand; a test compares it with the routes and their answers."""

from __future__ import annotations

from typing import Any

from broadcaster import __version__
from broadcaster.store import TaskState

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_WHOLE: Schema = {"type": "integer"}
_FLAG: Schema = {"type": "boolean"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}


def _object(properties: Schema, required: list[str] | None = None) -> Schema:
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_SCHEMAS: Schema = {
    "Problem": _object(
        {"type": _TEXT, "title": _TEXT, "status": _WHOLE, "detail": _TEXT, "error": _TEXT}
    ),
    "Health": _object({"status": {"const": "ok"}}),
    "Readiness": _object({"ready": _FLAG, "reason": _TEXT}),
    "Accepted": _object(
        {"status": {"const": "processing_started"}, "task_id": _TEXT, "channel": _TEXT}
    ),
    "Interrupted": _object(
        {"status": {"enum": ["interrupted", "nothing_on_air"]}, "task_id": _TEXT_OR_NULL}
    ),
    "Thing": _object({"name": _TEXT, "state": _TEXT, "last_error": _TEXT, "since_s": _NUMBER}),
    "Task": _object(
        {
            "task_id": _TEXT,
            "state": {"enum": [state.value for state in TaskState]},
            "channel": _TEXT,
            "priority": _WHOLE,
            "file_name": _TEXT,
            "duration_s": _NUMBER_OR_NULL,
            "played_s": _NUMBER,
            "progress": _NUMBER,
            "error": _TEXT_OR_NULL,
            "reason": _TEXT_OR_NULL,
            "created_at": _TEXT,
            "updated_at": _TEXT,
            "started_at": _TEXT_OR_NULL,
            "ended_at": _TEXT_OR_NULL,
        }
    ),
    "Tasks": _object({"tasks": _list(_ref("Task"))}),
    "Status": _object(
        {
            "station": _TEXT,
            "version": _TEXT,
            "ready": _FLAG,
            "reason": _TEXT,
            "ticks": {"type": ["integer", "null"]},
            "late_ms": _NUMBER_OR_NULL,
            "channels": _list({"type": "object"}),
            "relay": {"type": ["object", "null"]},
            "tasks": {"type": "object"},
            "roles": _list({"type": "object"}),
            "things": _list(_ref("Thing")),
        }
    ),
}


def _answer(description: str, schema: str, media: str = "application/json") -> Schema:
    return {"description": description, "content": {media: {"schema": _ref(schema)}}}


def _problems(**described: str) -> Schema:
    return {
        status.removeprefix("s"): _answer(text, "Problem", "application/problem+json")
        for status, text in described.items()
    }


_TASK_ID: Schema = {"name": "task_id", "in": "path", "required": True, "schema": _TEXT}
_LIMIT: Schema = {
    "name": "limit",
    "in": "query",
    "schema": {"type": "integer", "minimum": 1, "maximum": 500, "default": 100},
}
_CHANNEL: Schema = {"name": "channel", "in": "query", "schema": _TEXT}

_UPLOAD: Schema = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": _object(
                {
                    "audio_file": {"type": "string", "contentMediaType": "audio/*"},
                    "channel": {"type": "string", "description": "the first one unless named"},
                },
                ["audio_file"],
            )
        }
    },
}

_SPEAK: Schema = {
    "summary": "Say this on air; unknown form fields are ignored",
    "requestBody": _UPLOAD,
    "responses": {
        "202": {
            **_answer("Accepted: it is on the disk", "Accepted"),
            "headers": {"Location": {"schema": _TEXT, "description": "the task"}},
        },
        **_problems(
            s400="No audio_file, or not readable as a form",
            s408="The upload stopped arriving",
            s413="Too large or too long",
            s415="Not multipart/form-data",
            s422="Empty, undecodable or without sound, or no such channel",
            s429="Too many tasks wait; see Retry-After",
            s503="Busy; see Retry-After",
            s507="The disk is full",
        ),
    },
}

_INTERRUPT: Schema = {
    "summary": "Stop what is on air",
    "requestBody": {
        "required": False,
        "content": {"application/json": {"schema": _object({"channel": _TEXT}, [])}},
    },
    "responses": {
        "200": _answer("What was stopped", "Interrupted"),
        **_problems(s413="Too large", s422="No such channel", s503="No answer from the playout"),
    },
}


def _get(summary: str, schema: str, *parameters: Schema, **problems: str) -> Schema:
    return {
        "summary": summary,
        "parameters": list(parameters),
        "responses": {"200": _answer(summary, schema), **_problems(**problems)},
    }


def _other(summary: str, media: str) -> Schema:
    content = {media: {"schema": _TEXT}}
    return {"summary": summary, "responses": {"200": {"description": summary, "content": content}}}


def openapi_document() -> dict[str, Any]:
    """The contract as OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Broadcaster", "version": __version__},
        "paths": _paths(),
        "components": {"schemas": _SCHEMAS},
    }


def _paths() -> Schema:
    busy = {"s503": "The task store is busy"}
    cancel = _get("The task, cancelled", "Task", _TASK_ID, s404="No such task", **busy)
    cancel["responses"].update(_problems(s409="It has ended"))
    ready = _get("On air", "Readiness")
    ready["responses"]["503"] = _answer("Not on air, and why", "Readiness")
    return {
        "/": {"get": _other("The station's page", "text/html")},
        "/healthz": {"get": _get("This process answers", "Health")},
        "/readyz": {"get": ready},
        "/status": {"get": _get("The whole station", "Status")},
        "/metrics": {"get": _other("Prometheus metrics", "text/plain")},
        "/openapi.json": {"get": _other("This document", "application/json")},
        "/generate_video": {"post": _SPEAK},
        "/tasks": {
            "get": _get(
                "The newest tasks first",
                "Tasks",
                _LIMIT,
                _CHANNEL,
                s422="Bad limit, or no such channel",
                **busy,
            )
        },
        "/tasks/{task_id}": {
            "get": _get("One task", "Task", _TASK_ID, s404="No such task", **busy),
            "delete": cancel,
        },
        "/interrupt": {"post": _INTERRUPT},
    }
