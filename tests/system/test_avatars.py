"""A whole station whose settings name an avatar that is not there."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.doubles.station import Station


@pytest.fixture
def station() -> Iterator[Station]:
    made = Station("channels: [{name: main, avatar: nobody, video: {width: 640, height: 360}}]\n")
    yield made
    made.stop()


def test_it_is_on_air_with_the_default_one_and_says_so(station: Station) -> None:
    station.start()
    things = {each["name"]: each for each in json.loads(station.get("/status")[1])["things"]}
    assert things["avatar/main"]["state"] == "substituted"
    assert "no avatar is called 'nobody'; anna is shown" in things["avatar/main"]["last_error"]
    status, body = station.get("/avatars/anna")
    assert (status, json.loads(body)["channels"]) == (200, ["main"])
