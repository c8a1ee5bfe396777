"""A destination around a push process that misbehaves as programmed."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broadcaster.push.destination import Destination
from broadcaster.settings.model import Push
from tests.doubles import fake_ffmpeg
from tests.doubles.air import AirFeed, loop
from tests.doubles.push_stage import children, make_destination, pid_of, state_of, wait_until

KEY = "SECRETKEY"
URL = f"rtmp://127.0.0.1:9/app/{KEY}"


@contextlib.contextmanager
def pushing(folder: Path, faults: str, **push: object) -> Iterator[tuple[Destination, AirFeed]]:
    before = children()
    program = fake_ffmpeg.executable(folder, faults)
    settings = Push.model_validate({"ffmpeg": program, "first_retry_s": 0.05, **push})
    destination = make_destination(URL, loop(), settings)
    destination.start()
    with AirFeed(loop(), [destination]) as feed:
        try:
            yield destination, feed
        finally:
            destination.stop(2.0)
    assert state_of(destination) == "stopped"
    assert children() == before


def restarts(destination: Destination) -> int:
    return int(destination.report(time.monotonic())["restarts"])


def last_error(destination: Destination) -> str:
    return str(destination.report(time.monotonic())["last_error"])


def test_a_process_that_ends_is_replaced_again_and_again(tmp_path: Path) -> None:
    with pushing(tmp_path, "exit-at-frame=3 exit-code=4", loopback_retry_s=0.1) as (d, _):
        wait_until(lambda: restarts(d) >= 3, 10, "three restarts")
        assert last_error(d) == "exit: exit status 4"


def test_a_process_that_ignores_sigterm_is_gone_when_stop_returns(tmp_path: Path) -> None:
    with pushing(tmp_path, "ignore-sigterm stop-reading=5") as (d, _):
        wait_until(lambda: state_of(d) == "on_air", 5, "on air")
        begun = time.monotonic()
        d.stop(1.0)
        assert time.monotonic() - begun < 1.5


def test_a_process_that_stops_reading_is_killed_and_never_blocks_the_pacing_thread(
    tmp_path: Path,
) -> None:
    with pushing(tmp_path, "stop-reading=40") as (d, feed):
        wait_until(lambda: state_of(d) == "on_air", 5, "on air")
        first = pid_of(d)
        wait_until(lambda: last_error(d).startswith("stall: nothing accepted"), 6, "a verdict")
        assert restarts(d) == 1
        wait_until(lambda: d._session is not None and pid_of(d) != first, 2, "a new process")
        assert max(feed.offer_s) < 0.1
        assert all(pid != first for pid, _ in children())


def test_progress_that_moves_no_bytes_is_a_stall(tmp_path: Path) -> None:
    with pushing(tmp_path, "no-bytes") as (d, _):
        wait_until(lambda: last_error(d).startswith("stall"), 6, "a verdict")


def test_a_process_that_never_reports_fails_to_connect_within_two_seconds(tmp_path: Path) -> None:
    with pushing(tmp_path, "no-progress") as (d, _):
        wait_until(lambda: last_error(d).startswith("stall: no connection"), 5, "a verdict")
        assert d.report(time.monotonic())["last_idr_age_s"] is None


def test_a_closed_progress_pipe_does_not_make_the_thread_spin(tmp_path: Path) -> None:
    with pushing(tmp_path, "close-progress", loopback_retry_s=30.0) as (d, _):
        wait_until(lambda: d._session is not None and d._session.age_s() > 0.1, 5, "a session")
        clock = time.pthread_getcpuclockid(d._thread.ident or 0)
        before = time.clock_gettime(clock)
        wait_until(lambda: restarts(d) >= 1, 5, "a verdict")
        assert time.clock_gettime(clock) - before < 0.2


def test_a_flood_on_stderr_neither_stops_the_push_nor_shows_the_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pushing(tmp_path, "garbage exit-at-frame=60") as (d, _):
        wait_until(lambda: restarts(d) >= 1, 10, "its end")
        shown = str(d.report(time.monotonic())) + caplog.text
        assert KEY not in shown
        assert "***" in shown


def test_a_busy_key_is_a_state_of_its_own(tmp_path: Path) -> None:
    faults = "say=Server_error:_Already_publishing exit-at-frame=1 exit-code=1"
    with pushing(tmp_path, faults, loopback_retry_s=0.3) as (d, _):
        wait_until(lambda: state_of(d) == "busy", 5, "busy")
        assert last_error(d) == "busy: Server error: Already publishing"


def test_a_program_that_does_not_exist_is_reported_and_retried() -> None:
    settings = Push(ffmpeg="/nonexistent/ffmpeg", loopback_retry_s=0.1)
    d = make_destination(URL, loop(), settings)
    d.start()
    try:
        wait_until(lambda: restarts(d) >= 3, 10, "three tries")
        assert "exit" in last_error(d)
    finally:
        d.stop(2.0)


def test_a_playout_that_was_frozen_accuses_nobody(tmp_path: Path) -> None:
    with pushing(tmp_path, "") as (d, feed):
        wait_until(lambda: state_of(d) == "on_air", 5, "on air")
        feed.freeze()
        held = time.monotonic() + 2.5
        wait_until(lambda: time.monotonic() > held, 5)
        feed.thaw()
        after = feed.next_tick + 40
        wait_until(lambda: feed.next_tick > after, 5, "the feed to go on")
        assert restarts(d) == 0
        assert state_of(d) == "on_air"


def test_an_idr_counts_as_delivered_once_the_process_has_written_past_it(tmp_path: Path) -> None:
    with pushing(tmp_path, "") as (d, _):
        wait_until(lambda: d.last_idr_age_s() is not None, 5, "an IDR")
        wait_until(lambda: (d.last_idr_age_s() or 9) < 0.05, 3, "another IDR")


def test_stop_before_start_and_twice_is_harmless() -> None:
    d = make_destination(URL, loop())
    d.stop(1.0)
    d.stop(1.0)
