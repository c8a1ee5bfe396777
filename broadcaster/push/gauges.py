"""The metrics of one destination, with their label children looked up once."""

from __future__ import annotations

from broadcaster import metrics
from broadcaster.push.refusal import Reason
from broadcaster.push.session import PushSession

_ON_AIR_WITHIN_S = 3.0
"""An IDR younger than this means on air (the same figure as readiness uses)."""


class PushGauges:
    """Counters and gauges labelled with channel and destination."""

    def __init__(self, channel: str, destination: str) -> None:
        labels = (channel, destination)
        self._on_air = metrics.ONAIR.labels(*labels)
        self._progress_age = metrics.PUSH_PROGRESS_AGE.labels(*labels)
        self._session_age = metrics.PUSH_SESSION_AGE.labels(*labels)
        self._queue_bytes = metrics.PUSH_QUEUE_BYTES.labels(*labels)
        self._dropped = metrics.PUSH_DROPPED_TICKS.labels(*labels)
        self._restarts = {
            reason: metrics.PUSH_RESTARTS.labels(*labels, reason.value) for reason in Reason
        }
        self._counted: tuple[PushSession | None, int] = (None, 0)

    def refresh(self, session: PushSession | None, last_idr_age_s: float | None) -> None:
        """Publish the present state; called about once a second by the tick loop."""
        fresh = last_idr_age_s is not None and last_idr_age_s <= _ON_AIR_WITHIN_S
        self._on_air.set(1.0 if fresh else 0.0)
        self._session_age.set(session.age_s() if session else 0.0)
        self._progress_age.set(session.silent_s if session else 0.0)
        self._queue_bytes.set(session.waiting_bytes if session else 0)
        if session is not None:
            known = self._counted[1] if self._counted[0] is session else 0
            dropped = session.dropped_ticks
            if dropped > known:
                self._dropped.inc(dropped - known)
            self._counted = (session, dropped)

    def restarted(self, reason: Reason) -> None:
        """Count a replaced process."""
        self._restarts[reason].inc()

    def off_air(self) -> None:
        """The destination was stopped."""
        self._on_air.set(0.0)
