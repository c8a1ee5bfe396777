"""The page in a real browser: it plays, with sound, and comes back by itself."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.doubles.chromium import UNMUTED, Chromium, Page, chromium, find_chromium
from tests.doubles.station import Station

pytestmark = pytest.mark.skipif(
    find_chromium() is None, reason="chromium is not installed (requirements/setup.sh test)"
)

DECODED = "picture.peer ? pictureStats(picture.peer).then(v => v.framesDecoded) : 0"
SOUND = (
    "picture.peer.getStats().then(all => [...all.values()]"
    ".find(e => e.type === 'inbound-rtp' && e.kind === 'audio').totalAudioEnergy)"
)
CODEC = (
    "picture.peer.getStats().then(all => { const found = [...all.values()];"
    "const video = found.find(e => e.type === 'inbound-rtp' && e.kind === 'video');"
    "return found.find(e => e.id === video.codecId).mimeType })"
)
LIVE = "document.getElementById('curtain').classList.contains('open')"


@pytest.fixture(scope="module")
def station() -> Iterator[Station]:
    made = Station(
        "preview: {ice_addresses: [127.0.0.1]}\n"
        # The card, which beeps. Small, to be prepared soon on a busy machine.
        "channels: [{name: main, avatar: none, video: {width: 640, height: 360}}]\n"
    )
    try:
        made.start()
        deadline = time.monotonic() + 120
        while made.status()["channels"][0]["idle"]["state"] != "test card":  # it beeps
            assert time.monotonic() < deadline, "the card was not prepared"
            time.sleep(0.1)
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with chromium(UNMUTED) as made:
        yield made


@pytest.fixture
def page(browser: Chromium, station: Station) -> Iterator[Page]:
    made = browser.new_page()
    made.open(f"http://127.0.0.1:{station.api}/")
    made.wait(LIVE, 30, "the live picture")
    yield made
    made.close()


def plays(page: Page, pictures: int, timeout_s: float = 20.0) -> None:
    """So many pictures more are decoded in one session."""
    deadline = time.monotonic() + timeout_s
    first = last = page.run(DECODED)
    while last - first < pictures:
        assert time.monotonic() < deadline, f"{last - first} pictures, not {pictures}"
        time.sleep(0.1)
        now = page.run(DECODED)
        first, last = (now, now) if now < last else (first, now)


def test_every_picture_is_decoded_and_the_sound_is_heard(page: Page) -> None:
    """``currentTime`` would run on over a picture that stands still: only decoded ones count."""
    page.run("setSound(true, false)")
    plays(page, 75)
    assert page.run(SOUND) > 0
    assert page.run(CODEC) == "video/H264"
    stats = page.run("pictureStats(picture.peer)")
    assert (stats["frameWidth"], stats["frameHeight"]) == (640, 360)
    assert stats["framesDecoded"] > 70
    assert stats.get("pliCount", 0) <= 2


def test_nothing_in_the_page_is_refused_or_missing(page: Page) -> None:
    """Neither its policy nor a missing file is complained about."""
    plays(page, 10)
    assert page.console == []


def test_the_page_tells_what_is_on_air(page: Page) -> None:
    page.wait("document.getElementById('air').textContent === 'ON AIR'", 20)
    page.wait("document.querySelectorAll('#destinations tr').length === 1", 5)
    page.wait("document.getElementById('viewers').textContent === '1 viewer'", 10)
    assert page.run("document.getElementById('source').textContent").startswith("Idle")
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


def test_a_phone_sees_all_of_it(browser: Chromium, station: Station) -> None:
    page = browser.new_page()
    page.open(f"http://127.0.0.1:{station.api}/", 390, 844)
    page.wait(LIVE, 20, "the live picture")
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    assert page.run("document.getElementById('screen').getBoundingClientRect().width") == 390
    page.close()


def test_sound_is_off_until_it_is_asked_for_and_the_choice_is_kept(page: Page) -> None:
    assert page.run("document.getElementById('video').muted")
    page.run("document.getElementById('sound').click()")
    assert not page.run("document.getElementById('video').muted")
    page.call("Page.reload")
    page.wait(LIVE, 20, "the live picture again")
    assert not page.run("document.getElementById('video').muted")
    page.run("document.getElementById('sound').click()")


@pytest.mark.parametrize("role", ["playout", "relay", "preview"])
def test_the_page_comes_back_by_itself(page: Page, station: Station, role: str) -> None:
    plays(page, 10)
    os.kill(station.pid(role), signal.SIGKILL)
    if role != "preview":
        station.wait_off_air()
    station.wait_on_air()
    plays(page, 25)


def test_a_page_that_is_closed_says_goodbye(browser: Chromium, station: Station) -> None:
    page = browser.new_page()
    page.open(f"http://127.0.0.1:{station.api}/")
    page.wait(LIVE, 20, "the live picture")
    page.open("about:blank")
    deadline = time.monotonic() + 5
    while json.loads(station.get("/status")[1])["preview"]["viewers"] > 0:
        assert time.monotonic() < deadline, "the session is still there"
        time.sleep(0.1)


def test_the_page_is_loaded_though_there_is_no_stream(browser: Chromium, station: Station) -> None:
    """A <video> that waits for its stream would hold up the load event."""
    page = browser.new_page()
    os.kill(station.pid("relay"), signal.SIGSTOP)
    page.open(f"http://127.0.0.1:{station.api}/")
    page.wait("document.readyState === 'complete'", 10, "the load event")
    station.wait_on_air()
    page.wait(LIVE, 20, "the live picture")
    page.close()
