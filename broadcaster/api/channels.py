"""The channels and their avatars: looking at them, wishing another one.

A wish is on the disk before the answer leaves; the studio carries it out.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from broadcaster.api.problems import Refusal
from broadcaster.api.station import StationView, station_view
from broadcaster.api.upload import JSON, arriving, json_object
from broadcaster.avatars.shelf import find
from broadcaster.errors import AvatarError
from broadcaster.settings.model import Channel
from broadcaster.store import ChannelAvatar
from broadcaster.studio.doorbell import ring

SMALL_BODY_BYTES = 4 * 1024

channels = Blueprint("channels", __name__)


@channels.get("/channels")
def list_channels() -> Response:
    """Every channel with its avatar."""
    view = station_view()
    records = view.avatars.all()
    listed = [channel_json(each, records.get(name)) for name, each in view.channels.items()]
    return jsonify(channels=listed)


@channels.put("/channels/<name>/avatar")
def wish_avatar(name: str) -> tuple[Response, int]:
    """Have another avatar on a channel, without going off air."""
    view = station_view()
    channel = view.channels.get(name)
    if channel is None:
        raise Refusal(404, "No such channel.")
    wished = _wished(view, channel)
    record = view.avatars.wish(name, wished)
    ring(view.paths.doorbell)
    return jsonify(channel=name, avatar=avatar_json(channel, record)), 202


def _wished(view: StationView, channel: Channel) -> str:
    """The name of an avatar that there is; empty for that of the settings."""
    if request.mimetype != JSON:
        raise Refusal(415, 'Send JSON: {"avatar": name}.')
    if (request.content_length or 0) > SMALL_BODY_BYTES:
        raise Refusal(413, "The request is too large.")
    request.max_content_length = SMALL_BODY_BYTES
    with arriving():
        fields = json_object(request.get_data(cache=False))
    avatar = fields.get("avatar", "")
    if avatar is not None and (not isinstance(avatar, str) or not avatar):
        raise Refusal(422, "avatar must be a name, or null for that of the settings.")
    if not channel.presenter:
        raise Refusal(422, "This channel has no avatar: the settings say so.")
    if avatar in {None, "auto"}:
        return ""
    try:
        return find(avatar, view.settings.station.state_dir).name
    except AvatarError as error:
        raise Refusal(422, f"{str(error)[:1].upper()}{str(error)[1:]}.") from error


def channel_json(channel: Channel, record: ChannelAvatar | None) -> dict[str, Any]:
    """A channel as clients see it."""
    video = channel.video
    return {
        "name": channel.name,
        "width": video.width,
        "height": video.height,
        "fps": video.fps,
        "avatar": avatar_json(channel, record),
    }


def avatar_json(channel: Channel, record: ChannelAvatar | None) -> dict[str, Any] | None:
    """Who is on a channel, who is wished, and how far that is; None without an avatar."""
    if not channel.presenter:
        return None
    record = record or ChannelAvatar(channel.name)
    return {
        "on_air": record.on_air or None,
        "wished": record.wished or channel.presenter,
        "state": record.state.value,
        "error": record.error or None,
    }
