"""The tick loop on a virtual clock: any delays, and every tick once, in order, never early."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster.clock import MonotonicClock
from broadcaster.heartbeat import HeartbeatWriter, read_heartbeat
from broadcaster.playout.loop import SHORTEST_SLEEP_S, TickLoop
from tests.doubles.virtual_clock import VirtualClock

LIMIT_S = 1.0


@dataclass
class CountingChannel:
    """Stands for a channel: notes when each tick ran; a tick takes the next of ``costs_s``."""

    clock: VirtualClock | MonotonicClock
    fps: int = 25
    live: bool = False
    costs_s: list[float] = field(default_factory=list)
    tick: int = 0
    ran_at: list[float] = field(default_factory=list)

    @property
    def fmt(self) -> SimpleNamespace:
        return SimpleNamespace(video=SimpleNamespace(fps=self.fps))

    def run_tick(self) -> None:
        self.ran_at.append(self.clock.now())
        self.tick += 1
        if self.costs_s and isinstance(self.clock, VirtualClock):
            self.clock.jump(self.costs_s.pop(0))


delays = st.lists(
    st.one_of(st.just(0.0), st.floats(0, 0.1), st.floats(0, 0.99), st.floats(1.01, 30.0)),
    max_size=40,
)


@given(delays, delays, st.lists(st.sampled_from([25, 30]), min_size=1, max_size=3))
@settings(max_examples=120, deadline=None)
def test_any_delays_give_every_tick_once_and_never_before_it_is_due(
    overshoots: list[float], costs: list[float], rates: list[int]
) -> None:
    clock = VirtualClock(overshoots_s=overshoots)
    channels = [CountingChannel(clock, fps) for fps in rates]
    channels[0].costs_s = costs
    loop = TickLoop(channels, clock, None, LIMIT_S)
    began = clock.now()
    for _ in range(150):
        done, skipped_before = [c.tick for c in channels], loop.skipped_s
        loop.run_once()
        lost = loop.skipped_s - skipped_before
        assert lost == 0.0 or lost > LIMIT_S
        for channel, before in zip(channels, done, strict=True):
            assert channel.tick - before in (0, 1)
            if channel.tick > before:
                due = began + loop.skipped_s + before / channel.fps
                assert channel.ran_at[-1] >= due - SHORTEST_SLEEP_S - 1e-6
        assert any(c.tick > before for c, before in zip(channels, done, strict=True))
    for channel in channels:
        on_time = (clock.now() - began - loop.skipped_s) * channel.fps
        assert channel.tick <= on_time + 2, "it sprinted"
        assert len(channel.ran_at) == channel.tick


@given(st.floats(1.05, 600.0), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_a_freeze_is_given_up_and_counted_and_the_pace_goes_on(frozen: float, after: int) -> None:
    clock = VirtualClock()
    channel = CountingChannel(clock)
    loop = TickLoop([channel], clock, None, LIMIT_S)
    for _ in range(after):
        loop.run_once()
    clock.jump(frozen)
    loop.run_once()
    assert loop.skipped_s == pytest.approx(frozen - 0.04, abs=1e-6)
    resumed = clock.now()
    for _ in range(50):
        loop.run_once()
    assert clock.now() - resumed == pytest.approx(50 * 0.04, abs=1e-6)
    steps = [
        b - a for a, b in zip(channel.ran_at[after:], channel.ran_at[after + 1 :], strict=False)
    ]
    assert min(steps) > 0.0399


def test_a_short_hold_up_is_caught_up_without_a_tick_lost() -> None:
    clock = VirtualClock()
    channel = CountingChannel(clock)
    loop = TickLoop([channel], clock, None, LIMIT_S)
    began = clock.now()
    loop.run_once()
    clock.jump(0.9)
    for _ in range(60):
        loop.run_once()
    assert loop.skipped_s == 0.0
    assert channel.ran_at[-1] == pytest.approx(began + 60 / 25)


def test_lateness_is_told_and_falls_back_to_nothing() -> None:
    clock = VirtualClock(overshoots_s=[0.0, 0.013])
    loop = TickLoop([CountingChannel(clock)], clock, None, LIMIT_S)
    seen = []
    for _ in range(3):
        loop.run_once()
        seen.append(loop.late_s)
    assert seen == pytest.approx([0.0, 0.013, 0.0], abs=1e-6)


def test_channels_of_different_rates_share_one_clock() -> None:
    clock = VirtualClock()
    slow, fast = CountingChannel(clock, 25), CountingChannel(clock, 30)
    loop = TickLoop([slow, fast], clock, None, LIMIT_S)
    began = clock.now()
    while clock.now() < began + 10:
        loop.run_once()
    assert abs(slow.tick - 250) <= 1
    assert abs(fast.tick - 300) <= 1


def test_two_live_channels_encode_side_by_side() -> None:
    """Each waits for the other: one after the other they would never meet."""
    clock, meet = VirtualClock(), threading.Barrier(2, timeout=5)

    @dataclass
    class Meeting(CountingChannel):
        def run_tick(self) -> None:
            meet.wait()
            super().run_tick()

    channels = [Meeting(clock, live=True), Meeting(clock, live=True)]
    loop = TickLoop(channels, clock, None, LIMIT_S)
    loop.run_once()
    assert [c.tick for c in channels] == [1, 1]
    loop.stop()
    loop.run()


def test_the_pulse_beats_with_every_pass(tmp_path: Path) -> None:
    clock, file = VirtualClock(), tmp_path / "heartbeat"
    writer = HeartbeatWriter(file)
    assert read_heartbeat(file) is None
    loop = TickLoop([CountingChannel(clock)], clock, writer, LIMIT_S)
    for _ in range(7):
        loop.run_once()
    beat = read_heartbeat(file)
    assert beat is not None
    assert (beat.ticks, beat.at) == (7, clock.now())
    writer.close()


def test_steps_of_the_wall_clock_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> float:
        raise AssertionError("the wall clock was read")

    for name in ("time", "time_ns"):
        monkeypatch.setattr(time, name, read)
    clock = MonotonicClock()
    channel = CountingChannel(clock)
    loop = TickLoop([channel], clock, None, LIMIT_S)
    for _ in range(4):
        loop.run_once()
    assert channel.tick == 4
    assert channel.ran_at[-1] - channel.ran_at[0] >= 3 * 0.04 - SHORTEST_SLEEP_S


def test_stop_ends_the_loop_from_another_thread() -> None:
    clock = MonotonicClock()
    channel = CountingChannel(clock)
    loop = TickLoop([channel], clock, None, LIMIT_S)
    thread = threading.Thread(target=loop.run)
    thread.start()
    loop.stop()
    thread.join(2.0)
    assert not thread.is_alive()
