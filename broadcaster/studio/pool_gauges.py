"""What operators see of the pool: metrics, and a line per worker in ``/status``."""

from __future__ import annotations

from broadcaster import metrics
from broadcaster.condition import Condition
from gpu_pool.contracts import DEATHS, BatchDone, BatchResult, PoolReport, SlotState

_STATES = tuple(SlotState)


class PoolGauges:
    """Told of every answer; asked for the conditions of the workers."""

    def __init__(self) -> None:
        self._told: tuple[object, ...] = ()
        self._deaths: dict[tuple[int, str], int] = {}
        for outcome in ("done", "lost"):
            metrics.BATCHES.labels(outcome)  # there from the start, at 0

    @staticmethod
    def answered(result: BatchResult) -> None:
        """The pool has answered."""
        if isinstance(result, BatchDone):
            metrics.BATCHES.labels("done").inc()
            metrics.BATCH_SECONDS.observe(result.render_s)
            if result.render_s > 0:
                speed = len(result.pictures) / result.render_s
                metrics.FINAL_FPS.labels(result.key.channel).set(round(speed, 1))
        else:
            metrics.BATCHES.labels("lost").inc()

    def conditions(self, report: PoolReport | None, error: str, begun: float) -> list[Condition]:
        """A condition per worker; one that says why there is none; nothing without a presenter."""
        if report is None:
            return [Condition("pool", "failed", error, begun)] if error else []
        self._count(report)
        metrics.FREE_PICTURES.set(report.free_pictures)
        return [
            Condition(f"worker/{slot.slot} {slot.device}", slot.state, slot.last_error, slot.since)
            for slot in report.slots
        ]

    def _count(self, report: PoolReport) -> None:
        seen = tuple(slot.state for slot in report.slots)
        deaths = {(s.slot, why): s.deaths.get(why, 0) for s in report.slots for why in DEATHS}
        if (seen, deaths) == self._told:
            return
        for state in _STATES:
            metrics.WORKERS.labels(state).set(seen.count(state))
        for (slot, why), count in deaths.items():
            more = count - self._deaths.get((slot, why), 0)
            metrics.WORKER_DEATHS.labels(str(slot), why).inc(more)
        self._deaths, self._told = deaths, (seen, deaths)
