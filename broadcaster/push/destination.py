"""One place that the channel is pushed to, kept on air for ever.

The last stop of the signal path. The pacing thread offers ticks; a thread of its own starts the
push process, watches it and replaces it. Must never block the pacing thread, never give up, never
let one destination's trouble reach another, and never print the stream key.
"""

from __future__ import annotations

import logging
import random
import signal
import threading
from collections import deque
from typing import Any

from broadcaster.clock import Clock
from broadcaster.condition import Condition
from broadcaster.formats import AirTick, AudioPacket, EncodeFormat, StreamHeaders
from broadcaster.push.bell import Bell
from broadcaster.push.gauges import PushGauges
from broadcaster.push.plan import is_loopback, retry_schedule, rollover_age_s, session_plan
from broadcaster.push.refusal import Reason, classify
from broadcaster.push.session import Moved, PushSession
from broadcaster.push.state import State
from broadcaster.redaction import Redactor, redact_url
from broadcaster.settings.model import Push

_log = logging.getLogger(__name__)

_RECENT_SOUND = 32
"""Packets kept for a session's beginning: sound runs 60 to 80 ms (four packets) ahead."""

_HEALTHY_AFTER_S = 2.0
"""A process that was on air this long is replaced at once; a shorter life counts as a failure."""

_ROLLOVER_LEAD_S = 0.32
"""The old session closes this long before the IDR that opens the new one."""

_ROLLOVER_CLOSE_S = 0.6
"""A closing process has this long before SIGTERM, and again before SIGKILL."""

_LAST_RESORT_AGE_S = 24 * 86400.0
"""A session this old is renewed even while a task is on air: FLV time ends at 24.85 days."""

_RUN_LOOP_PAUSE_S = 1.0


class Destination:
    """One supervised push.

    Args:
        name: unique within the channel.
        channel: name of the channel, for metrics and logs.
        url: RTMP(S) address with the stream key.
        fmt: rates and sizes of the channel.
        headers: decoder configuration of the channel.
        push: the ``push`` section of the settings.
        session_cap_s: the platform's longest session in seconds, or None.
        clock: monotonic time.
        first_timestamp_ms: where the first session's timeline begins; drills only.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - a destination is where all of these meet
        self,
        name: str,
        channel: str,
        url: str,
        fmt: EncodeFormat,
        headers: StreamHeaders,
        push: Push,
        session_cap_s: float | None,
        clock: Clock,
        first_timestamp_ms: int = 0,
    ) -> None:
        self.name, self.channel = name, channel
        self._clock = clock
        self._shown_url = redact_url(url)
        loopback = is_loopback(url)
        self._plan = session_plan(url, fmt, headers, push, loopback, Redactor([url]))
        self._schedule = retry_schedule(push, loopback)
        self._rollover_age_s = rollover_age_s(push, session_cap_s)
        self._lead_ticks = min(int(_ROLLOVER_LEAD_S * fmt.video.fps), fmt.gop_ticks // 2)
        self._fmt = fmt
        self._first_timestamp_ms = first_timestamp_ms
        self._gauges = PushGauges(channel, name)
        self._recent: deque[AudioPacket] = deque(maxlen=_RECENT_SOUND)
        self._condition = Condition(name, State.STOPPED, "", clock.now())
        self._session: PushSession | None = None
        self._stuck: PushSession | None = None
        self._rolling: PushSession | None = None
        self._last_idr_at: float | None = None
        self._on_air_at: float | None = None
        self._failing_since: float | None = None
        self._restarts = 0
        self._logged_error = ""
        self._stop_within_s: float | None = None
        self._bell = Bell()
        self._thread = threading.Thread(
            target=self._run, name=f"push-{channel}-{name}", daemon=True
        )

    def start(self) -> None:
        """Begin to push; returns at once."""
        self._thread.start()

    def offer(self, tick: AirTick) -> None:
        """Hand over one tick; called by the pacing thread, never blocks (about 50 us)."""
        self._recent.extend(tick.audio)
        session = self._session
        if session is not None:
            if self._rollover_is_due(session, tick):
                self._rolling = session
                session.close_pipe()
                self._bell.ring()
            elif session is not self._rolling and (
                session.offer(tick, self._recent, self._clock.now()) or session.pipe_broken
            ):
                self._stuck = session
                self._bell.ring()
        if tick.tick % self._fmt.video.fps == 0:
            self._gauges.refresh(session, self.last_idr_age_s())

    def stop(self, timeout_s: float) -> None:
        """Unpublish and end; at most ``timeout_s`` seconds: end of input, SIGTERM, SIGKILL."""
        self._stop_within_s = timeout_s
        self._bell.ring()
        if self._thread.is_alive():
            self._thread.join()
        self._bell.close()

    def last_idr_age_s(self) -> float | None:
        """Seconds since an IDR was known to have left for the ingest; None before the first."""
        at = self._last_idr_at
        return None if at is None else self._clock.now() - at

    def report(self, now: float) -> dict[str, Any]:
        """The destination for ``/status``; ``now`` is monotonic seconds. Holds no key."""
        session, idr_at = self._session, self._last_idr_at
        return {
            **self._condition.report(now),
            "url": self._shown_url,
            "last_idr_age_s": None if idr_at is None else round(now - idr_at, 3),
            "session_age_s": round(session.age_s(), 3) if session else 0.0,
            "restarts": self._restarts,
        }

    def _rollover_is_due(self, session: PushSession, tick: AirTick) -> bool:
        if -tick.tick % self._fmt.gop_ticks != self._lead_ticks or session is self._rolling:
            return False
        age_s = session.age_s()
        return (age_s > self._rollover_age_s and tick.idle) or age_s > _LAST_RESORT_AGE_S

    # from here on: the destination's own thread

    def _run(self) -> None:
        while self._stop_within_s is None:
            try:
                self._run_once()
            except Exception:  # noqa: BLE001 - the loop that must never end
                _log.exception("push %s/%s: unexpected; starting over", self.channel, self.name)
                self._pause(self._clock.now() + _RUN_LOOP_PAUSE_S)
        self._enter(State.STOPPED)
        self._gauges.off_air()

    def _run_once(self) -> None:
        """One session from its start to its end, and the pause after it."""
        begun = self._clock.now()
        self._enter(State.CONNECTING)
        self._on_air_at = None
        try:
            session = PushSession(self._plan, self._first_timestamp_ms)
        except OSError as error:
            self._retry(begun, Reason.EXIT, f"cannot start {self._plan.program}: {error}")
            return
        self._first_timestamp_ms = 0
        try:
            reason = self._attend(session)
        finally:
            self._session = None
            session.close()
        if self._stop_within_s is None:
            lines = session.stderr.lines()
            reason = reason or classify(lines)
            self._retry(begun, reason, _error_text(reason, lines, session))

    def _attend(self, session: PushSession) -> Reason | None:
        """Watch a session until it is over; None when its own last words must tell why."""
        watched = {
            session.pidfd: session.reap,
            session.progress_fd: lambda: self._read_progress(session),
            session.stderr_fd: lambda: self._read_stderr(session),
        }
        for fd, action in watched.items():
            self._bell.watch(fd, action)
        self._session = session
        try:
            return self._until_over(session)
        finally:
            for fd in watched:
                self._bell.unwatch(fd)

    def _until_over(self, session: PushSession) -> Reason | None:
        while not session.exited:
            if self._stop_within_s is not None or session is self._rolling:
                return self._close_gently(session)
            if session is self._stuck:
                if session.pipe_broken:  # it closed its input: of no use, but not stalled
                    return None
                self._enter(State.STALLED)
                return Reason.STALL
            self._bell.wait()
        # Its input was closed by the tick loop; it can end before this thread has seen that.
        return Reason.ROLLOVER if session is self._rolling else None

    def _close_gently(self, session: PushSession) -> Reason:
        """End of input, then SIGTERM; the caller's ``close`` is the SIGKILL."""
        if self._stop_within_s is None:
            step_s = _ROLLOVER_CLOSE_S
            self._enter(State.ROLLING_OVER)
        else:
            step_s = self._stop_within_s * 0.4
        session.close_pipe()
        self._wait_for_exit(session, step_s)
        if not session.exited:
            session.signal(signal.SIGTERM)
            self._wait_for_exit(session, step_s)
        return Reason.ROLLOVER

    def _wait_for_exit(self, session: PushSession, seconds: float) -> None:
        until = self._clock.now() + seconds
        while not session.exited and (left := until - self._clock.now()) > 0:
            self._bell.wait(left)

    def _retry(self, begun: float, reason: Reason, error: str) -> None:
        """Note why the session ended and wait until the next one is due."""
        now = self._clock.now()
        self._restarts += 1
        self._gauges.restarted(reason)
        if reason is Reason.ROLLOVER:
            self._failing_since = None
            return
        self._log_failure(error)
        self._enter(State.BUSY if reason is Reason.BUSY else State.WAITING, error)
        if self._on_air_at is not None and now - self._on_air_at >= _HEALTHY_AFTER_S:
            self._failing_since = None
            return
        if self._failing_since is None:
            self._failing_since = begun
        # A busy key frees itself within minutes, so it is never retried at the late pace.
        late = begun if reason is Reason.BUSY else self._failing_since
        self._pause(self._schedule.next_start(now, begun, self._failing_since, late, random.random))

    def _pause(self, until: float) -> None:
        while self._stop_within_s is None and (left := until - self._clock.now()) > 0:
            self._bell.wait(left)

    def _read_progress(self, session: PushSession) -> None:
        moved = session.read_progress()
        if moved is None:
            self._bell.unwatch(session.progress_fd)
        if moved is None or moved is Moved.NOTHING or session is self._rolling:
            return
        now = self._clock.now()
        if self._on_air_at is None:
            self._on_air_at = now
            self._enter(State.ON_AIR)
            _log.info("push %s/%s: on air at %s", self.channel, self.name, self._shown_url)
        if moved is Moved.IDR:
            self._last_idr_at = now

    def _read_stderr(self, session: PushSession) -> None:
        if not session.read_stderr():
            self._bell.unwatch(session.stderr_fd)

    def _enter(self, state: State, last_error: str | None = None) -> None:
        self._condition = self._condition.entered(state, self._clock.now(), last_error)

    def _log_failure(self, error: str) -> None:
        """Once per change of what is wrong: retries go on for days."""
        level = logging.DEBUG if error == self._logged_error else logging.WARNING
        self._logged_error = error
        _log.log(level, "push %s/%s: %s", self.channel, self.name, error)


def _error_text(reason: Reason, lines: list[str], session: PushSession) -> str:
    if reason is Reason.STALL:
        what = "nothing accepted" if session.connected else "no connection"
        return f"stall: {what} for {session.silent_s:.1f} s"
    return f"{reason}: {lines[-1] if lines else session.exit_text()}"
