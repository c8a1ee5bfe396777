"""The preview of a whole station, seen by a viewer that decodes everything."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.doubles.station import ROOT, Station
from tests.doubles.whep_client import WhepClient, exchange, viewer

MAX_VIEWERS = 3
GONE_WITHIN_S = 15.0
BACK_WITHIN_S = 5.0


@pytest.fixture(scope="module")
def station() -> Iterator[Station]:
    made = Station(
        f"preview: {{max_viewers: {MAX_VIEWERS}, ice_addresses: [127.0.0.1]}}\n"
        # The card: its pictures are numbered. Small, to be prepared soon on a busy machine.
        "channels: [{name: main, avatar: none, video: {width: 640, height: 360}}]\n"
    )
    try:
        made.start()
        wait(lambda: made.status()["channels"][0]["idle"]["state"] == "test card", "the card", 120)
        yield made
    finally:
        made.stop()


def wait(condition: Callable[[], Any], what: str, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with suppress(OSError, ValueError, KeyError, TypeError):
            if condition():
                return
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s: {what}")


def preview_status(station: Station) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(station.get("/status")[1])["preview"]
    return found


def open_files(station: Station) -> int:
    return len(list(Path(f"/proc/{station.pid('preview')}/fd").iterdir()))


def watching(station: Station, made: WhepClient) -> WhepClient:
    """The client, let in; the preview may just have been started."""
    wait(lambda: made.connect() == 201, "an answer to the offer")
    made.wait(lambda c: len(c.codes) > 0, 10, "a picture")
    return made


def test_pictures_come_one_by_one_with_sound(station: Station) -> None:
    with viewer(station.api) as made:
        watching(station, made)
        made.wait(lambda c: len(c.codes) > 125 and c.sound_frames > 200, 20, "5 s of both")
        # The first second may still be the slate from before the card.
        assert set(np.diff(made.codes[-100:]) % 200) == {1}
        assert made.sound_energy > 1.0


def test_the_answer_has_h264_and_opus_and_our_addresses_only(station: Station) -> None:
    with viewer(station.api) as made:
        watching(station, made)
        video = made.answer.partition("m=video")[2].partition("m=audio")[0]
        first = video.split()[2]
        assert f"a=rtpmap:{first} H264/90000" in video
        assert "VP8" not in video
        assert "opus/48000/2" in made.answer
        assert "a=sendonly" in video
        candidates = re.findall(r"a=candidate:\S+ \d+ udp \d+ (\S+) \d+ typ (\S+)", made.answer)
        assert candidates
        assert set(candidates) == {("127.0.0.1", "host")}


def test_whenever_a_viewer_comes_both_picture_and_sound_are_found(station: Station) -> None:
    """At any phase of the key interval, with the source closed before."""
    for _ in range(4):
        wait(lambda: preview_status(station)["viewers"] == 0, "nobody watches")
        os.kill(station.pid("preview"), signal.SIGKILL)
        with viewer(station.api) as made:
            watching(station, made)
            made.wait(lambda c: c.sound_frames > 5, 5, "sound")


def test_a_later_viewer_does_not_wait_for_the_next_key_picture(station: Station) -> None:
    with viewer(station.api) as first:
        watching(station, first)
        for _ in range(3):
            with viewer(station.api) as later:
                watching(station, later)
                assert later.first_picture_s is not None
                assert later.first_picture_s < 3.0  # liveness; the figure is in benchmarks/


def test_a_session_that_is_deleted_ends(station: Station) -> None:
    with viewer(station.api) as made:
        watching(station, made)
        assert preview_status(station)["viewers"] == 1
        assert made.leave() == 200
        wait(lambda: preview_status(station)["viewers"] == 0, "the session has ended", 5)
        assert made.leave() == 404


def test_one_viewer_too_many_is_told_to_come_later(station: Station) -> None:
    made = [WhepClient(station.api) for _ in range(MAX_VIEWERS + 1)]
    try:
        for each in made[:-1]:
            watching(station, each)
        status, headers, body = exchange(station.api, "POST", "/whep/main", made[-1].offer())
        assert status == 429
        assert int(headers["Retry-After"]) > 0
        assert headers["Content-Type"] == "application/problem+json"
        assert "viewers" in json.loads(body)["error"]
    finally:
        for each in made:
            each.close()
    wait(lambda: preview_status(station)["viewers"] == 0, "everybody has left", GONE_WITHIN_S)


@pytest.mark.parametrize("offer", ["", "v=0", "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"])
def test_a_broken_offer_is_refused(station: Station, offer: str) -> None:
    status, _, body = exchange(station.api, "POST", "/whep/main", offer)
    assert status == 422, body


def test_an_offer_without_h264_is_refused(station: Station) -> None:
    with viewer(station.api) as made:
        offer = made.offer().replace("H264/90000", "H265/90000")
        assert exchange(station.api, "POST", "/whep/main", offer)[0] == 422
    wait(lambda: preview_status(station)["viewers"] == 0, "no session is left", 5)


def test_viewers_that_vanish_leave_nothing_behind(station: Station) -> None:
    with viewer(station.api) as warm:
        watching(station, warm)
    wait(lambda: preview_status(station)["viewers"] == 0, "nobody watches", GONE_WITHIN_S)
    before = open_files(station)
    command = [sys.executable, "-m", "tests.doubles.whep_client", str(station.api)]
    made = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(2)]
    for each in made:
        assert each.stdout is not None
        assert each.stdout.readline() == b"watching\n"
    assert open_files(station) > before
    for each in made:
        each.kill()
        each.communicate()
    wait(lambda: preview_status(station)["viewers"] == 0, "they are found out", GONE_WITHIN_S)
    wait(lambda: open_files(station) <= before, "their sockets are closed", 5)


@pytest.mark.parametrize("role", ["playout", "relay"])
def test_the_same_session_goes_on_when_the_stream_is_back(station: Station, role: str) -> None:
    with viewer(station.api) as made:
        watching(station, made)
        os.kill(station.pid(role), signal.SIGKILL)
        station.wait_off_air()
        station.wait_on_air()
        seen = len(made.codes)
        made.wait(lambda c: len(c.codes) > seen + 25, BACK_WITHIN_S + 1, "a second of pictures")


def test_without_a_stream_an_offer_is_told_to_try_again_and_the_api_goes_on(
    station: Station,
) -> None:
    pid = station.pid("preview")
    os.kill(pid, signal.SIGKILL)  # its source may still be open
    wait(lambda: station.pid("preview") != pid, "a new preview")
    wait(lambda: preview_status(station)["error"] is None, "its answer")
    with viewer(station.api) as made:
        offer = made.offer()
        os.kill(station.pid("relay"), signal.SIGSTOP)
        status, headers, body = exchange(station.api, "POST", "/whep/main", offer)
        assert status == 503, body
        assert int(headers["Retry-After"]) >= 1
        assert station.get("/healthz")[0] == 200
        station.wait_on_air()
        watching(station, made)


def test_a_preview_that_is_killed_comes_back_and_the_air_does_not_notice(station: Station) -> None:
    restarts = station.roles()["playout"]["restarts"]
    pid = station.pid("preview")
    os.kill(pid, signal.SIGKILL)
    assert station.get("/readyz")[0] == 200
    status, headers, _ = exchange(station.api, "POST", "/whep/main", "v=0")
    assert (status, headers.get("Retry-After")) == (503, "1")
    wait(lambda: station.pid("preview") not in (pid, 0), "a new preview")
    with viewer(station.api) as made:
        watching(station, made)
    assert station.roles()["playout"]["restarts"] == restarts


def test_a_preview_that_hangs_is_replaced(station: Station) -> None:
    wait(lambda: station.roles()["preview"]["state"] == "running", "a running preview")
    pid = station.pid("preview")
    os.kill(pid, signal.SIGSTOP)
    wait(lambda: station.pid("preview") not in (pid, 0), "a new preview", 30)


def test_metrics_tell_of_viewers(station: Station) -> None:
    with viewer(station.api) as made:
        watching(station, made)

        def counted() -> bool:
            page = station.get("/metrics")[1].decode()
            viewers = re.search(r'broadcaster_preview_viewers\{channel="main"\} 1\.0', page)
            sent = re.search(r'broadcaster_preview_pictures_total\{channel="main"\} (\S+)', page)
            up = re.search(r'broadcaster_preview_source_up\{channel="main"\} 1\.0', page)
            return bool(viewers and up and sent and float(sent[1]) > 0)

        wait(counted, "the figures", 5)
