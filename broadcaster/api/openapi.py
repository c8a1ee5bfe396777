"""The HTTP contract, written by hand; a test compares it with the routes and their answers."""

from __future__ import annotations

from typing import Any

from broadcaster import __version__
from broadcaster.api.openapi_access import SCHEME, SECURITY_SCHEMES, TASK_CALLBACKS, with_access
from broadcaster.api.openapi_avatars import AVATAR_SCHEMAS, avatar_paths
from broadcaster.api.upload import JSON, MULTIPART, URLENCODED
from broadcaster.api.wishes import LONGEST_KEY, MOST_GUIDANCE, MOST_PRIORITY
from broadcaster.callbacks.target import LONGEST_URL
from broadcaster.speech.text import LONGEST_TEXT
from broadcaster.store import TaskState, WishState

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
    **AVATAR_SCHEMAS,
    "Problem": _object(
        {"type": _TEXT, "title": _TEXT, "status": _WHOLE, "detail": _TEXT, "error": _TEXT}
    ),
    "Health": _object({"status": {"const": "ok"}}),
    "Readiness": _object({"ready": _FLAG, "reason": _TEXT}),
    "Accepted": _object(
        {
            "status": {"const": "processing_started"},
            "task_id": _TEXT,
            "channel": _TEXT,
            "position": {**_WHOLE, "description": "tasks that are said before it"},
            "eta_seconds": {**_NUMBER, "description": "until it is on air, roughly"},
        }
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
            "interrupt": _FLAG,
            "file_name": _TEXT,
            "text": _TEXT_OR_NULL,
            "voice": _TEXT_OR_NULL,
            "options": {"type": "object"},
            "position": {"type": ["integer", "null"]},
            "eta_seconds": _NUMBER_OR_NULL,
            "duration_s": _NUMBER_OR_NULL,
            "played_s": _NUMBER,
            "progress": _NUMBER,
            "gain_db": _NUMBER_OR_NULL,
            "error": _TEXT_OR_NULL,
            "reason": _TEXT_OR_NULL,
            "created_at": _TEXT,
            "updated_at": _TEXT,
            "started_at": _TEXT_OR_NULL,
            "ended_at": _TEXT_OR_NULL,
        }
    ),
    "Callbacks": _object(
        {
            "callbacks": _list(
                _object(
                    {
                        "event_id": _TEXT,
                        "event": _TEXT,
                        "receiver": {**_TEXT, "description": "scheme, host and port"},
                        "state": {"enum": ["pending", "delivered", "failed"]},
                        "attempts": _WHOLE,
                        "last_error": _TEXT_OR_NULL,
                        "created_at": _TEXT,
                        "next_at": _TEXT_OR_NULL,
                        "ended_at": _TEXT_OR_NULL,
                    }
                )
            )
        }
    ),
    "ChannelAvatar": {
        **_object(
            {
                "on_air": {**_TEXT_OR_NULL, "description": "null before the first one"},
                "wished": _TEXT,
                "state": {"enum": [state.value for state in WishState]},
                "error": _TEXT_OR_NULL,
            }
        ),
        "type": ["object", "null"],
        "description": "null on a channel without an avatar",
    },
    "Channels": _object({"channels": _list(_ref("Channel"))}),
    "Channel": _object(
        {
            "name": _TEXT,
            "width": _WHOLE,
            "height": _WHOLE,
            "fps": _WHOLE,
            "avatar": _ref("ChannelAvatar"),
        }
    ),
    "WishedAvatar": _object({"channel": _TEXT, "avatar": _ref("ChannelAvatar")}),
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
            "preview": {"type": ["object", "null"]},
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
}
_SOUND: Schema = {
    "type": "string",
    "contentMediaType": "audio/*",
    "description": "wav, mp3, flac, ogg, opus, m4a, webm and what else FFmpeg decodes; either this "
    "or text",
}
_SAID: Schema = _object({"text": _TEXT_TO_SAY, **_WISHES}, ["text"])
_REQUEST: Schema = {
    "required": True,
    "content": {
        MULTIPART: {"schema": _object({"audio_file": _SOUND, "text": _TEXT_TO_SAY, **_WISHES}, [])},
        URLENCODED: {"schema": _SAID},
        JSON: {"schema": _SAID},
    },
}


def _header(name: str, description: str) -> Schema:
    return {"name": name, "in": "header", "description": description, "schema": _TEXT}


def _accepted(description: str) -> Schema:
    return {
        **_answer(description, "Accepted"),
        "headers": {
            "Location": {"schema": _TEXT, "description": "the task"},
            "Idempotency-Replayed": {"schema": _TEXT, "description": "true: it was there already"},
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
        **_problems(
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
            "content": {"text/event-stream": {"schema": _TEXT}},
        },
        **_problems(s422="No such channel", s503="Too many listeners; see Retry-After"),
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
        **_problems(
            s400="Not JSON",
            s408="The request stopped arriving",
            s413="Too large",
            s422="No such channel",
            s503="No answer from the playout",
        ),
    },
}


_WISH_AVATAR: Schema = {
    "summary": "Another avatar on a channel, without going off air",
    "parameters": [{"name": "name", "in": "path", "required": True, "schema": _TEXT}],
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": _object(
                    {"avatar": {**_TEXT_OR_NULL, "description": "null: that of the settings"}}
                )
            }
        },
    },
    "responses": {
        "202": _answer("It is on the disk and survives restarts", "WishedAvatar"),
        **_problems(
            s400="Not JSON",
            s404="No such channel",
            s408="The request stopped arriving",
            s413="Too large",
            s415="Not JSON",
            s422="No such avatar, or the channel has none",
            s503="The store is busy",
            s507="The disk is full",
        ),
    },
}


_SDP: Schema = {"application/sdp": {"schema": _TEXT}}
_WHEP_CHANNEL: Schema = {"name": "channel", "in": "path", "required": True, "schema": _TEXT}
_SESSION: Schema = {"name": "session", "in": "path", "required": True, "schema": _TEXT}

_WATCH: Schema = {
    "summary": "Watch a channel by WebRTC (WHEP): an SDP offer for its answer, no trickle",
    "parameters": [_WHEP_CHANNEL],
    "requestBody": {"required": True, "content": _SDP},
    "responses": {
        "201": {
            "description": "The answer",
            "content": _SDP,
            "headers": {"Location": {"schema": _TEXT, "description": "the session"}},
        },
        **_problems(
            s400="The offer is not text",
            s404="No such channel, or no preview",
            s408="The offer stopped arriving",
            s413="Too large",
            s415="Not application/sdp",
            s422="Not an offer that can be answered with H.264",
            s429="Too many viewers; see Retry-After",
            s503="The preview or the stream is not there now; see Retry-After",
        ),
    },
}

_LEAVE: Schema = {
    "summary": "End a session of watching",
    "parameters": [_WHEP_CHANNEL, _SESSION],
    "responses": {
        "200": {"description": "It ends", "content": {"text/plain": {"schema": _TEXT}}},
        **_problems(s404="No such session", s503="The preview is not there now"),
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
        "paths": with_access(_paths(), _answer("", "Problem", "application/problem+json")),
        "components": {"schemas": _SCHEMAS, "securitySchemes": SECURITY_SCHEMES},
        "security": [{SCHEME: []}, {}],
    }


def _callbacks() -> Schema:
    told = "What its callback_url was told"
    return _get(told, "Callbacks", _TASK_ID, s404="No such task", s503="The task store is busy")


def _paths() -> Schema:
    busy = {"s503": "The task store is busy"}
    cancel = _get("The task, cancelled", "Task", _TASK_ID, s404="No such task", **busy)
    cancel["responses"].update(_problems(s409="It has ended"))
    ready = _get("On air", "Readiness")
    ready["responses"]["503"] = _answer("Not on air, and why", "Readiness")
    return {
        "/": {"get": _other("The station's page", "text/html")},
        "/page.css": {"get": _other("Its style", "text/css")},
        "/page.js": {"get": _other("Its script", "text/javascript")},
        "/favicon.svg": {"get": _other("Its icon", "image/svg+xml")},
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
        "/tasks/{task_id}/callbacks": {"get": _callbacks()},
        "/interrupt": {"post": _INTERRUPT},
        "/channels": {"get": _get("The channels and their avatars", "Channels", **busy)},
        "/channels/{name}/avatar": {"put": _WISH_AVATAR},
        **avatar_paths(),
        "/events": {"get": _LISTEN},
        "/whep/{channel}": {"post": _WATCH},
        "/whep/{channel}/{session}": {"delete": _LEAVE},
    }
