"""The part of the HTTP contract that is about avatars; ``openapi`` puts the whole together."""

from __future__ import annotations

from typing import Any

from broadcaster.api.openapi_access import AVATAR_CALLBACKS
from broadcaster.api.upload import JSON, MULTIPART
from broadcaster.avatars.found import NAME
from broadcaster.avatars.maker import DEFAULT_ENGINE, MAKERS
from broadcaster.store.avatars import AvatarState

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_WHOLE_OR_NULL: Schema = {"type": ["integer", "null"]}
_HANDLES: Schema = {
    "type": ["object", "null"],
    "description": "points of the face by name, each [x, y] in pixels of the picture",
}
_AVATAR: Schema = {
    "name": _TEXT,
    "kind": {"type": ["string", "null"], "description": "drawn, picture or clip"},
    "engine": _TEXT_OR_NULL,
    "bundled": {"type": "boolean", "description": "it comes with the station"},
    "state": {"enum": [state.value for state in AvatarState]},
    "usable": {"type": "boolean", "description": "a channel can show it, maybe while it changes"},
    "version": _TEXT_OR_NULL,
    "progress": {"type": "number", "description": "of its making, 0 to 1"},
    "step": _TEXT_OR_NULL,
    "error": _TEXT_OR_NULL,
    "warnings": {"type": "array", "items": _TEXT},
    "file_name": _TEXT_OR_NULL,
    "width": _WHOLE_OR_NULL,
    "height": _WHOLE_OR_NULL,
    "handles": _HANDLES,
    "size_bytes": {"type": "integer"},
    "created_at": _TEXT_OR_NULL,
    "channels": {"type": "array", "items": _TEXT, "description": "that show it or are to"},
    "links": {"type": "object", "description": "self, and what else there is"},
}

AVATAR_SCHEMAS: Schema = {
    "Avatar": {"type": "object", "properties": _AVATAR, "required": list(_AVATAR)},
    "Avatars": {
        "type": "object",
        "properties": {
            "avatars": {"type": "array", "items": {"$ref": "#/components/schemas/Avatar"}}
        },
        "required": ["avatars"],
    },
}

_NAME: Schema = {"name": "name", "in": "path", "required": True, "schema": _TEXT}

_UPLOAD: Schema = {
    "type": "object",
    "properties": {
        "file": {
            "type": "string",
            "contentMediaType": "image/*",
            "description": "a frontal portrait: JPEG, PNG, WebP, or a clip as MP4, MOV, WebM, MKV",
        },
        "name": {
            "type": "string",
            "pattern": f"^{NAME.pattern}$",
            "description": "what to call it; made of the file's name unless given",
        },
        "handles": {
            "type": "string",
            "contentMediaType": JSON,
            "description": "points of the face in pixels of the file; they win over what is found",
        },
        "engine": {
            "enum": sorted(MAKERS),
            "default": DEFAULT_ENGINE,
            "description": "who draws it; all but photo need weights that the settings name",
        },
        "callback_url": {"type": "string", "description": "told when it is made or has failed"},
    },
    "required": ["file"],
}


def _answer(description: str, schema: Schema, media: str = JSON) -> Schema:
    return {"description": description, "content": {media: {"schema": schema}}}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _problems(**described: str) -> Schema:
    return {
        status.removeprefix("s"): _answer(text, _ref("Problem"), "application/problem+json")
        for status, text in described.items()
    }


def _accepted(description: str) -> Schema:
    return {
        **_answer(description, _ref("Avatar")),
        "headers": {
            "Location": {"schema": _TEXT, "description": "the avatar"},
            "Idempotency-Replayed": {"schema": _TEXT, "description": "true: it was there already"},
        },
    }


def _picture(summary: str) -> Schema:
    return {
        "summary": summary,
        "parameters": [_NAME],
        "responses": {
            "200": _answer(summary, _TEXT, "image/webp"),
            "304": {"description": "As the client has it"},
            **_problems(s404="No such avatar, or it has none yet", s503="It cannot be drawn now"),
        },
    }


_CREATE: Schema = {
    "summary": "Make an avatar of a picture or a clip; the same sent again is answered the same",
    "requestBody": {"required": True, "content": {MULTIPART: {"schema": _UPLOAD}}},
    "callbacks": AVATAR_CALLBACKS,
    "responses": {
        "202": _accepted("The file is on the disk; ask Location how far the making is"),
        **_problems(
            s400="No file, or not readable",
            s408="The upload stopped arriving",
            s409="The name is taken",
            s413="Too large",
            s415="Not a form",
            s422="No picture and no clip, damaged, too many pixels, too long, a picture without "
            "exactly one face that looks at the viewer, a field that cannot be meant, an engine "
            "that cannot draw here (no weights, no landmarks), or a "
            "callback_url that may not be called. What only "
            "the whole clip tells is told by state failed",
            s429="Too many are being made; see Retry-After",
            s503="Busy; see Retry-After",
            s507="The disk is full",
        ),
    },
}

_SET_HANDLES: Schema = {
    "summary": "Set the points of the face by hand; the avatar stays usable meanwhile",
    "parameters": [_NAME],
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": {**_HANDLES, "type": "object"}}},
    },
    "responses": {
        "202": _accepted("A new version is being made"),
        **_problems(
            s400="Not JSON",
            s404="No such avatar",
            s408="The request stopped arriving",
            s409="It has no handles, or is being changed",
            s413="Too large",
            s415="Not JSON",
            s422="Not the points of this avatar, or outside its picture",
            s429="Too many are being made; see Retry-After",
            s503="Busy; see Retry-After",
        ),
    },
}


def avatar_paths() -> Schema:
    """The routes."""
    busy = _problems(s503="The store is busy")
    none = _problems(s404="No such avatar")
    listed = _answer("Those of the station first, then by name", _ref("Avatars"))
    return {
        "/avatars": {
            "get": {"summary": "Every avatar", "responses": {"200": listed, **busy}},
            "post": _CREATE,
        },
        "/avatars/{name}": {
            "get": {
                "summary": "One avatar",
                "parameters": [_NAME],
                "responses": {"200": _answer("The avatar", _ref("Avatar")), **none, **busy},
            },
            "delete": {
                "summary": "Remove an avatar, or call off its making",
                "parameters": [_NAME],
                "responses": {
                    "204": {"description": "It is gone"},
                    **none,
                    **_problems(s409="A channel shows it or is to, or it comes with the station"),
                    **busy,
                },
            },
        },
        "/avatars/{name}/thumbnail": {"get": _picture("A small picture")},
        "/avatars/{name}/picture": {"get": _picture("The first picture, whole")},
        "/avatars/{name}/handles": {"put": _SET_HANDLES},
    }
