"""Real FFmpeg into our own ingest: the way back from every fault, and what arrives meanwhile."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import statistics
import subprocess
import time

import pytest

from broadcaster.settings.model import Push
from tests.doubles.air import AirFeed, loop
from tests.doubles.chaos_proxy import ChaosProxy
from tests.doubles.push_stage import (
    children,
    make_destination,
    pid_of,
    stage,
    state_of,
    wait_until,
)
from tests.doubles.rtmp_sink import RtmpSink, SinkSession
from tests.oracles.flv_check import VIDEO, Rules, faults, from_sink

TWO_POW_24_MS = 1 << 24
ROLLOVER_MS = 480 * 3600 * 1000
FAR = "127.1"
"""Loopback to the resolver, but not to us: gets the patience of a far destination."""

LOOSE = Rules(exact=False, gop_ticks=None, max_gap_s=5.0)


def assert_sound(session: SinkSession, rules: Rules = Rules()) -> None:  # noqa: B008
    assert faults(from_sink(session.messages), rules) == []


def gap_s(old: SinkSession, new: SinkSession) -> float:
    idr = new.first_idr()
    assert idr is not None
    return idr.arrival - old.messages[-1].arrival


@pytest.mark.parametrize(("fps", "rate"), [(25, 48000), (30, 44100)])
def test_a_session_arrives_whole_and_ends_with_an_unpublish(fps: int, rate: int) -> None:
    with stage(loop(fps=fps, rate=rate, gop_ticks=fps)) as s:
        session = s.on_air(1)
        s.sink.wait_for(lambda _: len(session.messages) > 300, 10)
        s.destination.stop(3.0)
        s.sink.wait_for(lambda _: session.ended is not None, 3)
        assert session.end == "unpublish"
        assert_sound(session, Rules(fps=fps, sample_rate=rate, gop_ticks=fps))
        assert session.messages[0].timestamp == 0
    assert children() == []


def test_a_quiet_picture_is_published_and_passed_on_without_delay() -> None:
    offered: dict[int, float] = {}

    class Noting:
        def offer(self, tick: object) -> None:
            offered[tick.tick] = time.monotonic()  # type: ignore[attr-defined]

    with stage(loop()) as s:
        s.feed.destinations.insert(0, Noting())
        session = s.on_air(1)
        s.sink.wait_for(lambda _: len(session.messages) > 200, 10)
        pictures = [m for m in session.messages if m.kind == VIDEO and not m.is_header]
        first_tick = next(t for t in sorted(offered) if t % 25 == 0)
        delays = [
            m.arrival - offered[first_tick + n]
            for n, m in enumerate(pictures)
            if first_tick + n in offered
        ]
    assert delays[0] < 0.5
    assert statistics.median(delays) < 0.01


def test_a_killed_push_is_back_with_an_idr_within_one_and_a_half_seconds() -> None:
    with stage(loop()) as s:
        s.on_air(1)
        s.settle()
        fault = time.monotonic()
        os.kill(pid_of(s.destination), signal.SIGKILL)
        idr = s.on_air(2).first_idr()
        assert idr is not None
        assert idr.arrival - fault <= 1.5
        assert idr.timestamp == 0
        for session in s.sink.published()[:1]:
            assert_sound(session)


def test_a_stopped_push_is_replaced_within_three_seconds_and_reaped() -> None:
    with stage(loop()) as s:
        s.on_air(1)
        s.settle()
        pid, fault = pid_of(s.destination), time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        idr = s.on_air(2).first_idr()
        assert idr is not None
        assert idr.arrival - fault <= 3.0
        assert pid not in [child for child, _ in children()]


@pytest.mark.parametrize("reset", [False, True])
def test_a_closed_ingest_is_published_to_again_soon_after_it_is_back(reset: bool) -> None:
    with stage(loop()) as s:
        s.on_air(1)
        s.settle()
        s.sink.stop_listening()
        s.sink.cut(reset=reset)
        wait_until(lambda: state_of(s.destination) == "waiting", 5, "waiting")
        held = time.monotonic() + 2.5
        wait_until(lambda: time.monotonic() > held, 5)
        back = s.sink.listen()
        published = s.on_air(2).published
        assert published is not None
        assert published - back <= 2.5


def test_an_ingest_that_is_down_at_boot_is_no_special_case() -> None:
    with stage(loop(), listening=False) as s:
        wait_until(lambda: s.destination.report(time.monotonic())["restarts"] >= 2, 8, "retries")
        assert "refused" in s.destination.report(time.monotonic())["last_error"]
        back = s.sink.listen()
        published = s.on_air(1).published
        assert published is not None
        assert published - back <= 2.5


def test_an_ingest_that_stops_reading_is_given_up_within_three_seconds() -> None:
    source = loop(kbps=2000, noise=True)
    with stage(source, receive_buffer=512 * 1024) as s:
        s.on_air(1)
        s.settle()
        pid, fault = pid_of(s.destination), time.monotonic()
        s.sink.stop_reading()
        verdict = wait_until(
            lambda: pid not in [child for child, _ in children()], 6, "a new process"
        )
        assert verdict - fault <= 3.0
        assert s.destination.report(time.monotonic())["last_error"].startswith("stall")
        s.sink.read_again()
        s.on_air(2)


def test_a_busy_key_is_knocked_at_every_second_until_it_is_free() -> None:
    with stage(loop()) as s:
        s.on_air(1)
        s.settle()
        s.sink.refuse_with = "NetStream.Publish.BadName"
        s.sink.cut()
        wait_until(lambda: state_of(s.destination) == "busy", 5, "busy")
        s.sink.wait_for(lambda sink: len(sink.accepts) >= 5, 10)
        s.sink.refuse_with = None
        freed = time.monotonic()
        published = s.on_air(2).published
        assert published is not None
        assert published - freed <= 2.0
        pauses = [b - a for a, b in zip(s.sink.accepts[1:], s.sink.accepts[2:], strict=False)]
        assert max(pauses) <= 2.0


def test_a_planned_rollover_waits_for_idle_and_leaves_a_short_gap() -> None:
    busy_until = 25 * 6
    push = Push(rollover_after_h=2 / 3600)
    with stage(loop(), push, idle=lambda tick: tick > busy_until) as s:
        first = s.on_air(1)
        second = s.on_air(2, 15)
        assert first.end == "unpublish"
        pictures = [m for m in first.messages if m.kind == VIDEO and not m.is_header]
        assert len(pictures) > 25 * 4
        assert gap_s(first, second) <= 1.5
        assert_sound(first)
        wait_until(lambda: state_of(s.destination) == "on_air", 3, "on air")
        assert s.destination.report(time.monotonic())["last_error"] == ""


def test_a_session_just_under_the_rollover_age_rolls_over_long_before_the_fuse() -> None:
    with stage(loop(), first_timestamp_ms=ROLLOVER_MS - 2500) as s:
        first, second = s.on_air(1), s.on_air(2, 10)
        pictures = [m for m in first.messages if m.kind == VIDEO and not m.is_header]
        assert pictures[0].timestamp == ROLLOVER_MS - 2500
        assert pictures[-1].timestamp < ROLLOVER_MS + 3000
        assert second.messages[-1].timestamp < 3000
        assert gap_s(first, second) <= 1.5
        assert_sound(first)


def test_a_session_passes_the_24_bit_mark_unharmed() -> None:
    with stage(loop(), first_timestamp_ms=TWO_POW_24_MS - 2000) as s:
        session = s.on_air(1)
        s.sink.wait_for(lambda _: len(session.messages) > 330, 10)
        assert session.messages[-1].timestamp > TWO_POW_24_MS + 1000
        assert_sound(session)
        assert len(s.sink.sessions) == 1


def test_a_dead_destination_does_not_touch_its_neighbour() -> None:
    source = loop()
    with contextlib.ExitStack() as stack:
        good, bad = stack.enter_context(RtmpSink()), stack.enter_context(RtmpSink())
        bad.stop_listening()
        pair = [make_destination(x.url(), source, name=n) for n, x in (("g", good), ("b", bad))]
        for destination in pair:
            destination.start()
            stack.callback(destination.stop, 3.0)
        stack.enter_context(AirFeed(source, pair))
        session = good.wait_for_idr(1, 5)
        good.wait_for(lambda _: len(session.messages) > 450, 15)
        assert_sound(session)
        assert len(good.sessions) == 1
        assert pair[1].report(time.monotonic())["restarts"] >= 3


def test_a_half_open_path_is_noticed_and_published_again_when_it_returns() -> None:
    source = loop(kbps=2000, noise=True)
    with RtmpSink() as sink, ChaosProxy(sink.port) as proxy:
        destination = make_destination(f"rtmp://{FAR}:{proxy.port}/live/key", source)
        destination.start()
        with AirFeed(source, [destination]):
            try:
                sink.wait_for_idr(1, 5)
                held = time.monotonic() + 2.5
                wait_until(lambda: time.monotonic() > held, 5)
                fault = time.monotonic()
                proxy.toxics.black_hole = True
                wait_until(
                    lambda: "stall" in destination.report(time.monotonic())["last_error"],
                    8,
                    "a verdict",
                )
                assert time.monotonic() - fault <= 3.0
                proxy.toxics.black_hole = False
                back = time.monotonic()
                idr = sink.wait_for_idr(2, 6).first_idr()
                assert idr is not None
                assert idr.arrival - back <= 3.5
            finally:
                destination.stop(3.0)


def test_half_the_bandwidth_drops_whole_ticks_and_recovers_without_a_new_session() -> None:
    source = loop(kbps=2000, noise=True)
    with RtmpSink() as sink, ChaosProxy(sink.port) as proxy:
        destination = make_destination(f"rtmp://{FAR}:{proxy.port}/live/key", source)
        destination.start()
        with AirFeed(source, [destination]) as feed:
            try:
                session = sink.wait_for_idr(1, 5)
                proxy.toxics.bytes_per_s = 140_000
                wait_until(
                    lambda: (
                        destination._session is not None and destination._session.dropped_ticks > 40
                    ),
                    15,
                    "dropped ticks",
                )
                proxy.toxics.bytes_per_s = None
                until = feed.next_tick + 75
                wait_until(lambda: feed.next_tick > until, 10)
                assert max(feed.offer_s) < 0.1
            finally:
                destination.stop(3.0)
        assert len(sink.sessions) == 1
        assert_sound(session, LOOSE)
        late = [m.arrival for m in session.messages][-25:]
        assert max(b - a for a, b in itertools.pairwise(late)) < 0.3


def test_twenty_restarts_leave_no_descriptor_thread_or_zombie() -> None:
    with stage(loop()) as s:
        s.on_air(1)
        figures = []
        for count in range(20):
            wait_until(
                lambda: s.destination._session is not None and s.destination._session.age_s() > 0,
                10,
                "a session",
            )
            figures.append((len(os.listdir(f"/proc/{os.getpid()}/fd")), len(children())))  # noqa: PTH208
            known = s.destination.report(time.monotonic())["restarts"]
            os.kill(pid_of(s.destination), signal.SIGKILL)
            wait_until(
                lambda known=known: s.destination.report(time.monotonic())["restarts"] > known,  # type: ignore[misc]
                5,
                f"restart {count}",
            )
    # The sink's own sockets come and go in these counts, hence a margin of two.
    assert max(f for f, _ in figures[10:]) <= max(f for f, _ in figures[:10]) + 2
    assert max(c for _, c in figures) == 1


@pytest.mark.skipif(shutil.which("ss") is None, reason="needs ss of iproute2")
def test_the_small_send_buffer_really_takes_effect() -> None:
    with stage(loop()) as s:
        s.on_air(1)
        shown = subprocess.run(
            ["ss", "-tnm", "dport", "=", str(s.sink.port)],
            capture_output=True, text=True, check=True, timeout=5,
        ).stdout  # fmt: skip
        # The kernel doubles what was asked for; "tb" is the send buffer.
        assert "tb131072" in shown, shown
