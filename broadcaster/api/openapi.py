"""The HTTP contract, written by hand; a test compares it with the routes and their answers."""

from __future__ import annotations

from typing import Any

from broadcaster import __version__
from broadcaster.api.openapi_access import SCHEME, SECURITY_SCHEMES, TASK_CALLBACKS, with_access
from broadcaster.api.openapi_avatars import AVATAR_SCHEMAS, avatar_paths
from broadcaster.api.openapi_channels import CHANNEL_SCHEMAS, channel_paths
from broadcaster.api.openapi_words import (
    FLAG,
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    WHOLE,
    Schema,
    answer,
    get,
    list_,
    object_,
    other,
    problems,
    ref,
)
from broadcaster.api.page import SCRIPTS
from broadcaster.api.upload import JSON, MULTIPART, URLENCODED
from broadcaster.api.wishes import LONGEST_KEY, MOST_GUIDANCE, MOST_PRIORITY, MOST_STEPS
from broadcaster.callbacks.target import LONGEST_URL
from broadcaster.speech.text import LONGEST_TEXT
from broadcaster.store import TaskState

_SCHEMAS: Schema = {
    **AVATAR_SCHEMAS,
    **CHANNEL_SCHEMAS,
    "Problem": object_(
        {"type": TEXT, "title": TEXT, "status": WHOLE, "detail": TEXT, "error": TEXT}
    ),
    "Health": object_({"status": {"const": "ok"}}),
    "Readiness": object_({"ready": FLAG, "reason": TEXT}),
    "Accepted": object_(
        {
            "status": {"const": "processing_started"},
            "task_id": TEXT,
            "channel": TEXT,
            "position": {**WHOLE, "description": "tasks that are said before it"},
            "eta_seconds": {**NUMBER, "description": "until it is on air, roughly"},
        }
    ),
    "Interrupted": object_(
        {"status": {"enum": ["interrupted", "nothing_on_air"]}, "task_id": TEXT_OR_NULL}
    ),
    "Thing": object_({"name": TEXT, "state": TEXT, "last_error": TEXT, "since_s": NUMBER}),
    "Task": object_(
        {
            "task_id": TEXT,
            "state": {"enum": [state.value for state in TaskState]},
            "channel": TEXT,
            "priority": WHOLE,
            "interrupt": FLAG,
            "file_name": TEXT,
            "text": TEXT_OR_NULL,
            "voice": TEXT_OR_NULL,
            "options": {"type": "object"},
            "position": {"type": ["integer", "null"]},
            "eta_seconds": NUMBER_OR_NULL,
            "duration_s": NUMBER_OR_NULL,
            "played_s": NUMBER,
            "progress": NUMBER,
            "gain_db": NUMBER_OR_NULL,
            "error": TEXT_OR_NULL,
            "reason": TEXT_OR_NULL,
            "created_at": TEXT,
            "updated_at": TEXT,
            "started_at": TEXT_OR_NULL,
            "ended_at": TEXT_OR_NULL,
        }
    ),
    "Callbacks": object_(
        {
            "callbacks": list_(
                object_(
                    {
                        "event_id": TEXT,
                        "event": TEXT,
                        "receiver": {**TEXT, "description": "scheme, host and port"},
                        "state": {"enum": ["pending", "delivered", "failed"]},
                        "attempts": WHOLE,
                        "last_error": TEXT_OR_NULL,
                        "created_at": TEXT,
                        "next_at": TEXT_OR_NULL,
                        "ended_at": TEXT_OR_NULL,
                    }
                )
            )
        }
    ),
    "Tasks": object_({"tasks": list_(ref("Task"))}),
    "Status": object_(
        {
            "station": TEXT,
            "version": TEXT,
            "ready": FLAG,
            "reason": TEXT,
            "ticks": {"type": ["integer", "null"]},
            "late_ms": NUMBER_OR_NULL,
            "channels": list_({"type": "object"}),
            "relay": {"type": ["object", "null"]},
            "preview": {"type": ["object", "null"]},
            "tasks": {"type": "object"},
            "roles": list_({"type": "object"}),
            "things": list_(ref("Thing")),
        }
    ),
}


_TASK_ID: Schema = {"name": "task_id", "in": "path", "required": True, "schema": TEXT}
_LIMIT: Schema = {
    "name": "limit",
    "in": "query",
    "schema": {"type": "integer", "minimum": 1, "maximum": 500, "default": 100},
}
_CHANNEL: Schema = {"name": "channel", "in": "query", "schema": TEXT}

_TEXT_TO_SAY: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST_TEXT,
    "description": "to be spoken; either this or audio_file",
}
_WISHES: Schema = {
    "voice": {
        "type": "string",
        "description": "who speaks a text, such as espeak:en-us+f3; auto fits the presenter",
    },
    "channel": {"type": "string", "description": "the first one unless named"},
    "avatar": {"type": "string", "description": "only the one that is on the channel"},
    "priority": {
        "type": "integer",
        "minimum": -MOST_PRIORITY,
        "maximum": MOST_PRIORITY,
        "default": 0,
        "description": "higher ones are said before lower ones",
    },
    "interrupt": {
        "type": "boolean",
        "default": False,
        "description": "ends what is on air and is said next; the others keep their places",
    },
    "idempotency_key": {
        "type": "string",
        "maxLength": LONGEST_KEY,
        "description": "as the header Idempotency-Key: sent again, the same task is answered",
    },
    "callback_url": {
        "type": "string",
        "maxLength": LONGEST_URL,
        "description": "is told by signed POST when the task begins and how it ended",
    },
    "guidance_scale": {
        "type": "number",
        "minimum": 0,
        "maximum": MOST_GUIDANCE,
        "description": "for engines that have one",
    },
    "inference_steps": {
        "type": "integer",
        "minimum": 1,
        "maximum": MOST_STEPS,
        "description": "of denoising, for engines that have them",
    },
}
_SOUND: Schema = {
    "type": "string",
    "contentMediaType": "audio/*",
    "description": "wav, mp3, flac, ogg, opus, m4a, webm and what else FFmpeg decodes; either this "
    "or text",
}
_SAID: Schema = object_({"text": _TEXT_TO_SAY, **_WISHES}, ["text"])
_REQUEST: Schema = {
    "required": True,
    "content": {
        MULTIPART: {"schema": object_({"audio_file": _SOUND, "text": _TEXT_TO_SAY, **_WISHES}, [])},
        URLENCODED: {"schema": _SAID},
        JSON: {"schema": _SAID},
    },
}


def _header(name: str, description: str) -> Schema:
    return {"name": name, "in": "header", "description": description, "schema": TEXT}


def _accepted(description: str) -> Schema:
    return {
        **answer(description, "Accepted"),
        "headers": {
            "Location": {"schema": TEXT, "description": "the task"},
            "Idempotency-Replayed": {"schema": TEXT, "description": "true: it was there already"},
        },
    }


_SPEAK: Schema = {
    "summary": "Say this on air; unknown fields are ignored",
    "parameters": [
        _header("Idempotency-Key", "see idempotency_key"),
        _header("Prefer", "status=200 answers 200 instead of 202"),
    ],
    "requestBody": _REQUEST,
    "responses": {
        "200": _accepted("As 202, for Prefer: status=200"),
        "202": _accepted("Accepted: it is on the disk"),
        **problems(
            s400="Neither or both of audio_file and text, or not readable",
            s408="The upload stopped arriving",
            s409="The idempotency key came with another request before",
            s413="Too large or too long",
            s415="Not a form and not JSON",
            s422="Empty, undecodable, without sound, unspeakable, no such channel or voice, or a "
            "callback_url that may not be called",
            s429="Too many tasks wait; see Retry-After",
            s503="Busy; see Retry-After",
            s507="The disk is full",
        ),
    },
    "callbacks": TASK_CALLBACKS,
}

_LISTEN: Schema = {
    "summary": "What happens to tasks on air, as it happens (server-sent events)",
    "parameters": [_CHANNEL, _header("Last-Event-ID", "goes on after this one")],
    "responses": {
        "200": {
            "description": "event: started, finished, interrupted, failed or cancelled; data: JSON "
            "with task_id, channel, at, tick, played_s, reason. Or event: avatar, once another one "
            "is on air or could not be; data: JSON with channel, at, avatar, state, reason. "
            "avatar_made and avatar_failed: avatar, at, reason",
            "content": {"text/event-stream": {"schema": TEXT}},
        },
        **problems(s422="No such channel", s503="Too many listeners; see Retry-After"),
    },
}

_INTERRUPT: Schema = {
    "summary": "Stop what is on air",
    "requestBody": {
        "required": False,
        "content": {"application/json": {"schema": object_({"channel": TEXT}, [])}},
    },
    "responses": {
        "200": answer("What was stopped", "Interrupted"),
        **problems(
            s400="Not JSON",
            s408="The request stopped arriving",
            s413="Too large",
            s422="No such channel",
            s503="No answer from the playout",
        ),
    },
}


def openapi_document() -> dict[str, Any]:
    """The contract as OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Broadcaster", "version": __version__},
        "paths": with_access(_paths(), answer("", "Problem", "application/problem+json")),
        "components": {"schemas": _SCHEMAS, "securitySchemes": SECURITY_SCHEMES},
        "security": [{SCHEME: []}, {}],
    }


def _callbacks() -> Schema:
    told = "What its callback_url was told"
    return get(told, "Callbacks", _TASK_ID, s404="No such task", s503="The task store is busy")


def _paths() -> Schema:
    busy = {"s503": "The task store is busy"}
    cancel = get("The task, cancelled", "Task", _TASK_ID, s404="No such task", **busy)
    cancel["responses"].update(problems(s409="It has ended"))
    script = other("A part of its script", "text/javascript")
    ready = get("On air", "Readiness")
    ready["responses"]["503"] = answer("Not on air, and why", "Readiness")
    return {
        "/": {"get": other("The station's page", "text/html")},
        "/page.css": {"get": other("Its style", "text/css")},
        **{f"/{part}.js": {"get": script} for part in SCRIPTS},
        "/favicon.svg": {"get": other("Its icon", "image/svg+xml")},
        "/healthz": {"get": get("This process answers", "Health")},
        "/readyz": {"get": ready},
        "/status": {"get": get("The whole station", "Status")},
        "/metrics": {"get": other("Prometheus metrics", "text/plain")},
        "/openapi.json": {"get": other("This document", "application/json")},
        "/generate_video": {"post": _SPEAK},
        "/tasks": {
            "get": get(
                "The newest tasks first",
                "Tasks",
                _LIMIT,
                _CHANNEL,
                s422="Bad limit, or no such channel",
                **busy,
            )
        },
        "/tasks/{task_id}": {
            "get": get("One task", "Task", _TASK_ID, s404="No such task", **busy),
            "delete": cancel,
        },
        "/tasks/{task_id}/callbacks": {"get": _callbacks()},
        "/interrupt": {"post": _INTERRUPT},
        **avatar_paths(),
        **channel_paths(),
        "/events": {"get": _LISTEN},
    }
