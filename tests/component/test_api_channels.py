"""Channels and their avatars over HTTP, and what listeners are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import idle_media
from broadcaster.avatars.shelf import Shelf
from broadcaster.store import ChannelAvatars, Spool, TaskStore, WishState
from tests.component.test_api_events import Listening
from tests.doubles.api_server import ApiServer
from tests.doubles.fake_playout import FakePlayout

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    channels = [{"name": "main"}, {"name": "quiet", "avatar": "none"}]
    made = ApiServer(tmp_path_factory.mktemp("api") / "var", channels=channels)
    made.start()
    yield made
    made.close()


@pytest.fixture
def avatars(api: ApiServer) -> Iterator[ChannelAvatars]:
    made = ChannelAvatars(api.paths.database)
    yield made
    made.close()


@pytest.fixture
def store(api: ApiServer) -> Iterator[TaskStore]:
    made = TaskStore(api.paths.database, Spool(api.paths.spool), 100)
    yield made
    made.close()


def put(api: ApiServer, channel: str, body: bytes, kind: str = "application/json") -> Any:
    path = f"/channels/{channel}/avatar"
    return api.request("PUT", path, body=body, headers={"Content-Type": kind})


def test_a_wish_is_on_the_disk_before_its_answer(api: ApiServer, avatars: ChannelAvatars) -> None:
    status, _, answer = put(api, "main", b'{"avatar": "leon"}')
    assert (status, answer["channel"], answer["avatar"]["wished"]) == (202, "main", "leon")
    assert answer["avatar"]["state"] == "preparing"
    assert avatars.of("main").wished == "leon"
    main, quiet = api.get("/channels")[2]["channels"]
    assert (main["name"], main["avatar"]["wished"]) == ("main", "leon")
    assert (quiet["name"], quiet["avatar"]) == ("quiet", None)
    assert put(api, "main", b'{"avatar": null}')[2]["avatar"]["wished"] == "anna"
    assert avatars.of("main").wished == ""


@pytest.mark.parametrize(
    ("channel", "body", "kind", "status", "why"),
    [
        ("other", b'{"avatar": "leon"}', "application/json", 404, "No such channel."),
        ("main", b'{"avatar": "mia"}', "application/json", 422, "No avatar is called 'mia'."),
        ("main", b'{"avatar": "../x"}', "application/json", 422, "No avatar is called '../x'."),
        ("main", b'{"avatar": 7}', "application/json", 422, "Avatar must be a name"),
        ("main", b"{}", "application/json", 422, "Avatar must be a name"),
        ("main", b"[]", "application/json", 400, ""),
        ("main", b'{"avatar"', "application/json", 400, ""),
        ("main", b"avatar=leon", "application/x-www-form-urlencoded", 415, "Send JSON"),
        ("main", b'{"avatar": "' + b"a" * 5000 + b'"}', "application/json", 413, ""),
        ("quiet", b'{"avatar": "leon"}', "application/json", 422, "This channel has no avatar"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_and_not_kept(
    api: ApiServer,
    avatars: ChannelAvatars,
    channel: str,
    body: bytes,
    kind: str,
    status: int,
    why: str,
) -> None:
    before = avatars.all()
    answer = put(api, channel, body, kind)
    assert answer[0] == status, answer
    assert answer[1]["Content-Type"] == "application/problem+json"
    assert why in answer[2]["error"]
    assert avatars.all() == before


def test_the_status_tells_who_is_there_and_why_somebody_is_not(
    api: ApiServer, avatars: ChannelAvatars
) -> None:
    wished = avatars.wish("main", "leon")
    avatars.became(replace(wished, on_air="anna", state=WishState.FAILED, error="no face"))
    with FakePlayout(api.paths.playout_socket, channels=("main", "quiet")):
        channels = api.get("/status")[2]["channels"]
    failed = {"on_air": "anna", "wished": "leon", "state": "failed", "error": "no face"}
    assert [channel["avatar"] for channel in channels] == [failed, None]


def test_listeners_are_told_of_an_avatar_that_is_on_air_and_of_one_that_failed(
    api: ApiServer, avatars: ChannelAvatars
) -> None:
    avatars.became(replace(avatars.of("main"), on_air="anna", state=WishState.SAME))
    listening = Listening(api)
    try:
        wished = avatars.wish("main", "leon")
        avatars.became(replace(wished, on_air="leon", state=WishState.SAME))
        kind, data, _ = listening.next_event()
        assert (kind, data["channel"], data["avatar"]) == ("avatar", "main", "leon")
        assert (data["state"], data["reason"]) == ("on_air", None)
        wished = avatars.wish("main", "anna")
        avatars.became(replace(wished, on_air="leon", state=WishState.FAILED, error="gone"))
        kind, data, _ = listening.next_event()
        assert (kind, data["avatar"], data["state"]) == ("avatar", "anna", "failed")
        assert data["reason"] == "gone"
    finally:
        listening.close()


def test_a_text_is_spoken_by_a_voice_that_fits_who_is_wished(
    api: ApiServer, avatars: ChannelAvatars, store: TaskStore
) -> None:
    def said(**more: str) -> tuple[int, str]:
        body = json.dumps({"text": "Hello.", **more})
        answer = api.request("POST", "/generate_video", body, JSON)
        return answer[0], store.get(answer[2]["task_id"]).voice if answer[0] == 202 else ""

    record = avatars.wish("main", "leon")
    assert said(avatar="leon") == (202, idle_media.voice("leon"))
    avatars.became(replace(record, on_air="anna", state=WishState.FAILED, error="no face"))
    assert said() == (202, idle_media.voice("anna"))
    assert said(avatar="leon") == (422, ""), "it failed, so anna is there"
    assert said(voice="espeak:de") == (202, "espeak:de")
    avatars.wish("main", "")


def test_a_repeated_request_is_the_same_whoever_is_on_the_channel_by_then(
    api: ApiServer, avatars: ChannelAvatars
) -> None:
    body = json.dumps({"text": "Good evening.", "idempotency_key": "evening"})
    first = api.request("POST", "/generate_video", body, JSON)
    avatars.wish("main", "leon")
    again = api.request("POST", "/generate_video", body, JSON)
    assert again[2]["task_id"] == first[2]["task_id"]
    avatars.wish("main", "")


def test_what_is_wished_is_not_removed(api: ApiServer, avatars: ChannelAvatars) -> None:
    shelf = Shelf(api.paths.avatars)
    with shelf.draft() as draft:
        shelf.put(draft, "bob", "photo", "bob.jpg")
    assert put(api, "main", b'{"avatar": "bob"}')[0] == 202
    assert api.get("/avatars/bob")[2]["channels"] == ["main"], "though nothing shows it yet"
    refused = api.request("DELETE", "/avatars/bob")
    assert (refused[0], "in use by main" in refused[2]["error"]) == (409, True)
    assert put(api, "main", b'{"avatar": null}')[0] == 202
    assert api.request("DELETE", "/avatars/bob")[0] == 204
    assert shelf.names() == []
