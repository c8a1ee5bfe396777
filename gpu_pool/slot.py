"""One device of the pool as its owner sees it: state, signs of life, deaths, speed.

Pure: told what happened, asked what to think of it; ``now`` is monotonic seconds, handed in. Must
never judge a worker by a pause of the owner's own (``excuse``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gpu_pool.breaker import Breaker
from gpu_pool.contracts import SERVING, TOGETHER_AT_MOST, SlotReport, SlotState
from gpu_pool.flight import Aboard, Flight
from gpu_pool.limits import Limits
from gpu_pool.speed import Speed, per_second

_TOUCH_S = 0.5
"""A process that ends closes its line first; how it ended is known milliseconds later."""

ALIVE = SERVING | {SlotState.STARTING, SlotState.ENDING}
WAITING = frozenset({SlotState.DEAD, SlotState.PARKED})
_PREPARING = frozenset({SlotState.STARTING, SlotState.PREPARING})


class Slot:
    """A device and the worker that serves it, one life after the other."""

    def __init__(self, number: int, device: str, limits: Limits, now: float) -> None:
        self.number, self.device = number, device
        self.state = SlotState.DEAD
        self.flight: Flight | None = None
        self.kill_at: float | None = None
        self.speeds: dict[str, Speed] = {}
        """Avatars that the worker has ready, and how long a picture of each takes."""
        self.together: dict[str, int] = {}
        """The same avatars, and how many batches the engine of each draws by one pass."""
        self.given: dict[int, str] = {}
        """Avatars that the worker was told to prepare and has not answered, by serial."""
        self.preparing: int | None = None
        """Serial of the one at which it is."""
        self._prepared_by = now
        self._begun_at = now
        self._steps = 0
        self._rendered = ""
        self.breaker = Breaker(limits, retry_at=now)
        self._limits = limits
        self._since = self._started_at = self._heard_at = now
        self.pid: int | None = None
        self._verdict = ""
        self._was_ready = False
        self.last_error = ""
        self._deaths: Counter[str] = Counter()
        self._batches, self._batch_s = 0, 0.0

    # --- what happened ----------------------------------------------------------------------

    def launched(self, now: float) -> None:
        """A process is being started; it has its models to load."""
        self.breaker = self.breaker.started()
        self._started_at = self._heard_at = now
        self._verdict, self._was_ready, self.kill_at = "", False, None
        self._steps = 0
        self.preparing, self._prepared_by = None, now + self._limits.load_s
        self._enter(SlotState.STARTING, now)

    def ready(self, now: float) -> None:
        """The worker has all that it was started with and takes batches."""
        self.heard(now)
        if self.state is SlotState.STARTING:
            self._was_ready, self.preparing = True, None
            self._enter(SlotState.READY, now)

    def asked_to_prepare(self, serial: int, avatar: str, now: float) -> None:
        """A worker that had nothing to do gets one more avatar."""
        self.given[serial] = avatar
        self.begins(serial, True, now)
        self._enter(SlotState.PREPARING, now)

    def begins(self, serial: int, loads: bool, now: float) -> None:
        """The worker begins with an avatar, or with the models for it."""
        self.heard(now)
        limit_s = self._limits.load_s if loads else self._limits.prepare_s
        self.preparing, self._prepared_by, self._begun_at = serial, now + limit_s, now

    def through_with(self, serial: int, now: float) -> None:
        """The worker has prepared an avatar, or will not."""
        self.heard(now)
        if self.preparing == serial:
            self.preparing, self._prepared_by = None, now + self._limits.load_s
            if self.state is SlotState.PREPARING:
                self._enter(SlotState.READY, now)

    def has(self, avatar: str, warm: tuple[float, int], together: int) -> None:
        """An avatar can be rendered, so many batches by one pass.

        The first measure is how long its warm-up batch took: ``warm``, seconds and pictures.
        """
        self.speeds[avatar] = Speed.warm(warm[0] / max(1, warm[1]))
        self.together[avatar] = min(together, TOGETHER_AT_MOST)

    def forgets(self, avatar: str) -> None:
        """An avatar is not rendered any more."""
        self.speeds.pop(avatar, None)
        self.together.pop(avatar, None)

    def heard(self, now: float) -> None:
        """Any message is a sign of life."""
        self._heard_at = now

    def beat(self, steps: int, now: float) -> None:
        """A sign of life of a worker whose engine has gone on by so many steps since its start."""
        self.heard(now)
        if steps == self._steps:
            return
        self._steps = steps
        if self.preparing is not None:
            latest = self._begun_at + self._limits.slow_s
            due = min(now + self._limits.prepare_s, latest)
            self._prepared_by = max(self._prepared_by, due)
        if self.flight is not None:
            self.flight.steps(now, self.flight.sent_at + self._limits.slow_s)

    def sent(self, batches: Sequence[Aboard], now: float) -> None:
        """Batches are on their way to the worker, all at once."""
        self.flight = Flight(batches, now, self._limit_s(batches))
        self._heard_at = now
        self._enter(SlotState.BUSY, now)

    def answered(self, serial: int, render_s: float | None, now: float) -> Aboard | None:
        """The worker is through with a batch; ``render_s`` is None when it was not rendered.

        Returns:
            The batch, or None when it is no longer this worker's: it was judged meanwhile.
        """
        flight = self.flight
        self.heard(now)
        if flight is None or serial not in flight or self.state is not SlotState.BUSY:
            return None
        found = flight.answered(serial, render_s)
        if render_s is not None and not found.dropped:
            self.breaker = self.breaker.worked()
            self._batches += 1
            self._batch_s = render_s
        if flight.left:
            latest = flight.sent_at + self._limits.slow_s
            flight.goes_on(now, latest, self._limit_s(flight.left))
        else:
            self.flight = None
            self._enter(SlotState.READY, now)
            self._measure(flight)
        return found

    def condemned(self, reason: str, now: float) -> None:
        """The worker is judged hung; it is killed at ``kill_at``."""
        self._verdict = reason
        self.kill_at = now + self._limits.dump_s
        self._enter(SlotState.ENDING, now)

    def lost_touch(self, now: float) -> None:
        """The worker closed its line: it is ending, or it will be helped to."""
        self.kill_at = now + _TOUCH_S
        self._enter(SlotState.ENDING, now)

    def ended(self, how: str, signalled: bool, now: float) -> Flight | None:
        """The process is gone and reaped, or could not be started.

        Args:
            how: exit status and last words, for an operator.
            signalled: it was ended by a signal.
            now: monotonic seconds.

        Returns:
            The batches that it still had; their pictures are nobody's now.
        """
        flight, self.flight = self.flight, None
        self.speeds, self.together, self.given = {}, {}, {}
        self.preparing, self._rendered = None, ""
        word = "signal" if signalled else "exit"
        word = "hung" if self._verdict and self._was_ready else word if self._was_ready else "load"
        self._deaths[word] += 1
        self.last_error = f"{self._verdict}; {how}" if self._verdict else how
        self.pid, self.kill_at = None, None
        self.breaker = self.breaker.died(now, now - self._started_at)
        self._enter(SlotState.PARKED if self.breaker.parked else SlotState.DEAD, now)
        return flight

    def stopped(self, now: float) -> None:
        """The pool has ended."""
        self.pid, self.kill_at = None, None
        self._enter(SlotState.STOPPED, now)

    def excuse(self, seconds: float) -> None:
        """The owner itself stood still for so long."""
        self._heard_at += seconds
        self._started_at += seconds
        self._prepared_by += seconds
        self._begun_at += seconds
        if self.flight is not None:
            self.flight.excuse(seconds)

    @property
    def judged(self) -> bool:
        """Whether it was condemned, and its batches given to another worker then."""
        return bool(self._verdict)

    # --- what to think of it ----------------------------------------------------------------

    def verdict(self, now: float) -> str:
        """Why the worker must be ended, or "" while it may go on."""
        if self.state is SlotState.STARTING and now >= self._prepared_by:
            return f"not ready {now - self._started_at:.1f} s after its start"
        if self.state is SlotState.PREPARING and now >= self._prepared_by:
            return f"an avatar not ready after {now - self._since:.1f} s"
        if self._patience_s() is not None and now >= self._silent_at():
            return f"no sign of life for {now - self._heard_at:.1f} s"
        flight = self.flight
        if self.state is SlotState.BUSY and flight and now >= flight.due_at:
            what = "a batch" if len(flight.left) == 1 else f"{len(flight.left)} batches together"
            took_s = now - flight.sent_at
            return f"{what} of {len(flight.pictures)} not done after {took_s:.1f} s"
        return ""

    def next_due(self) -> float | None:
        """When to look at it again if nothing happens; None when only an event matters."""
        if self.state in WAITING:
            return self.breaker.retry_at
        if self.state is SlotState.ENDING:
            return self.kill_at
        due = [self._silent_at()] if self._patience_s() is not None else []
        if self.state in _PREPARING:
            due.append(self._prepared_by)
        if self.state is SlotState.BUSY and self.flight is not None:
            due.append(self.flight.due_at)
        return min(due, default=None)

    def report(self) -> SlotReport:
        """For ``/status``."""
        waits = self.state in WAITING
        return SlotReport(
            slot=self.number,
            device=self.device,
            state=self.state,
            since=self._since,
            pid=self.pid,
            deaths=dict(self._deaths),
            last_error=self.last_error,
            batches=self._batches,
            batch_s=self._batch_s,
            fps=per_second(self.picture_s),
            retry_at=self.breaker.retry_at if waits else None,
            avatars={name: per_second(speed.channel_s) for name, speed in self.speeds.items()},
        )

    @property
    def picture_s(self) -> float:
        """Seconds per picture as measured last; before that of the slowest avatar."""
        newest = self.speeds.get(self._rendered)
        if newest is not None:
            return newest.worker_s
        return max((each.worker_s for each in self.speeds.values()), default=0.0)

    def _measure(self, flight: Flight) -> None:
        """A flight is home. Avatars that were forgotten meanwhile have no speed any more."""
        for each in flight.measures():
            speed = self.speeds.get(each.avatar)
            if speed is not None:
                speed.measured(each.worker_s, each.channel_s, flight.together)
                self._rendered = each.avatar

    def _limit_s(self, batches: Sequence[Aboard]) -> float:
        expected_s = 0.0
        for each in batches:
            speed = self.speeds.get(each.avatar)
            if speed is None or speed.alone_s <= 0:
                return self._limits.first_batch_s
            expected_s += speed.alone_s * len(each.pictures)
        return max(self._limits.batch_floor_s, self._limits.batch_factor * expected_s)

    def _patience_s(self) -> float | None:
        if self.state in _PREPARING:
            return self._limits.load_silent_s
        return self._limits.silent_s if self.state in SERVING else None

    def _silent_at(self) -> float:
        return self._heard_at + (self._patience_s() or 0.0)

    def _enter(self, state: SlotState, now: float) -> None:
        if state is not self.state:
            self.state, self._since = state, now
