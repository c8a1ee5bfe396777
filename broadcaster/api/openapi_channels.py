"""The part of the HTTP contract that is about channels: their avatars, and watching them.

``openapi`` puts the whole together.
"""

from __future__ import annotations

from broadcaster.api.openapi_words import (
    TEXT,
    TEXT_OR_NULL,
    WHOLE,
    Schema,
    answer,
    get,
    list_,
    object_,
    problems,
    ref,
)
from broadcaster.api.upload import JSON
from broadcaster.store import WishState

CHANNEL_SCHEMAS: Schema = {
    "ChannelAvatar": {
        **object_(
            {
                "on_air": {**TEXT_OR_NULL, "description": "null before the first one"},
                "wished": TEXT,
                "state": {"enum": [state.value for state in WishState]},
                "error": TEXT_OR_NULL,
            }
        ),
        "type": ["object", "null"],
        "description": "null on a channel without an avatar",
    },
    "Channels": object_({"channels": list_(ref("Channel"))}),
    "Channel": object_(
        {
            "name": TEXT,
            "width": WHOLE,
            "height": WHOLE,
            "fps": WHOLE,
            "avatar": ref("ChannelAvatar"),
        }
    ),
    "WishedAvatar": object_({"channel": TEXT, "avatar": ref("ChannelAvatar")}),
}

_WISH_AVATAR: Schema = {
    "summary": "Another avatar on a channel, without going off air",
    "parameters": [{"name": "name", "in": "path", "required": True, "schema": TEXT}],
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": object_(
                    {"avatar": {**TEXT_OR_NULL, "description": "null: that of the settings"}}
                )
            }
        },
    },
    "responses": {
        "202": answer("It is on the disk and survives restarts", "WishedAvatar"),
        **problems(
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


_SDP: Schema = {"application/sdp": {"schema": TEXT}}
_WHEP_CHANNEL: Schema = {"name": "channel", "in": "path", "required": True, "schema": TEXT}
_SESSION: Schema = {"name": "session", "in": "path", "required": True, "schema": TEXT}

_WATCH: Schema = {
    "summary": "Watch a channel by WebRTC (WHEP): an SDP offer for its answer, no trickle",
    "parameters": [_WHEP_CHANNEL],
    "requestBody": {"required": True, "content": _SDP},
    "responses": {
        "201": {
            "description": "The answer",
            "content": _SDP,
            "headers": {"Location": {"schema": TEXT, "description": "the session"}},
        },
        **problems(
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
        "200": {"description": "It ends", "content": {"text/plain": {"schema": TEXT}}},
        **problems(s404="No such session", s503="The preview is not there now"),
    },
}


def channel_paths() -> Schema:
    """Paths and their operations."""
    listed = get("The channels and their avatars", "Channels", s503="The task store is busy")
    return {
        "/channels": {"get": listed},
        "/channels/{name}/avatar": {"put": _WISH_AVATAR},
        "/whep/{channel}": {"post": _WATCH},
        "/whep/{channel}/{session}": {"delete": _LEAVE},
    }
