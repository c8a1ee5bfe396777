"""The tick loop: the only thing that paces.

It wakes at absolute deadlines and runs the channels that are due; it never waits for anything but
the clock.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from broadcaster import metrics
from broadcaster.clock import Clock
from broadcaster.heartbeat import HeartbeatWriter
from broadcaster.playout.channel import ChannelAir
from broadcaster.timeline.pacer import Pacer

SHORTEST_SLEEP_S = 0.0002
"""Channels that are due within this time of one another run in one wake-up."""

LAGS_AT_ONCE = 25
"""Lateness is told to the metrics in batches, once a second: tick by tick, with cold caches, it
was an eighth of what an idle channel costs in Python."""


class TickLoop:
    """Paces all channels of the process.

    Args:
        channels: at least one.
        clock: the monotonic clock.
        heartbeat: gets one beat per wake-up.
        reanchor_after_s: lateness beyond which ticks are given up instead of caught up.
    """

    def __init__(
        self,
        channels: Sequence[ChannelAir],
        clock: Clock,
        heartbeat: HeartbeatWriter | None,
        reanchor_after_s: float,
    ) -> None:
        self._channels, self._clock, self._heartbeat = channels, clock, heartbeat
        self._reanchor_after_s = reanchor_after_s
        self._pacer = Pacer(clock.now(), reanchor_after_s)
        self._encoders = ThreadPoolExecutor(len(channels), "live") if len(channels) > 1 else None
        self._stopping = threading.Event()
        self._lags: list[float] = []
        self.passes = 0
        self.late_s = 0.0
        self.skipped_s = 0.0

    def run(self) -> None:
        """Run until ``stop``; tick 0 is due now."""
        self._pacer = Pacer(self._clock.now(), self._reanchor_after_s)
        while not self._stopping.is_set():
            self.run_once()
        self._tell_lags()
        if self._encoders is not None:
            self._encoders.shutdown()

    def stop(self) -> None:
        """End ``run`` after the tick it is in."""
        self._stopping.set()

    def run_once(self) -> None:
        """Wait for the next deadline and run every channel that is due."""
        dues = self._dues()
        first = min(dues)
        self._clock.sleep(first - self._clock.now())
        now = self._clock.now()
        if self._judge(self._channels[dues.index(first)], now):
            dues = self._dues()
        if len(dues) == 1:
            self._channels[0].run_tick()
        else:
            soon = now + SHORTEST_SLEEP_S
            self._run_due([c for c, due in zip(self._channels, dues, strict=True) if due <= soon])
        self.passes += 1
        if self._heartbeat is not None:
            self._heartbeat.beat(self.passes, now)

    def _run_due(self, channels: Sequence[ChannelAir]) -> None:
        """Idle channels cost microseconds and go first; several live ones encode side by side."""
        live = [channel for channel in channels if channel.live]
        for channel in channels:
            if not channel.live:
                channel.run_tick()
        if self._encoders is None or len(live) < 2:
            for channel in live:
                channel.run_tick()
            return
        for done in [self._encoders.submit(channel.run_tick) for channel in live]:
            done.result()

    def _dues(self) -> list[float]:
        return [self._pacer.due(c.tick, c.fmt.video.fps) for c in self._channels]

    def _judge(self, earliest: ChannelAir, now: float) -> bool:
        """Note how late this wake-up is; True when the anchor was moved."""
        verdict = self._pacer.check(earliest.tick, earliest.fmt.video.fps, now)
        self.late_s = verdict.late_s
        self._lags.append(verdict.late_s)
        if len(self._lags) >= LAGS_AT_ONCE:
            self._tell_lags()
        if not verdict.skipped_s:
            return False
        self.skipped_s += verdict.skipped_s
        metrics.TICKS_SKIPPED.inc(round(verdict.skipped_s * earliest.fmt.video.fps))
        return True

    def _tell_lags(self) -> None:
        for late_s in self._lags:
            metrics.TICK_LAG.observe(late_s)
        self._lags.clear()
