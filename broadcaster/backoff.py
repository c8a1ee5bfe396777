"""When to try again: a pure schedule, with its randomness handed in.

Used by pushes (and whatever else retries for ever). Must never give up and never read a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Spacing of attempts, all in seconds.

    ``first_s`` follows the first failure (and is the least pause after any), ``spacing_s`` is the
    distance between the starts of attempts, ``late_s`` replaces it after ``late_after_s`` of
    failing, spread by ``+-late_jitter`` so that many senders do not knock together.
    """

    first_s: float
    spacing_s: float
    late_s: float
    late_after_s: float
    late_jitter: float = 0.2

    def next_start(
        self,
        now: float,
        last_start: float,
        failing_since: float,
        slowing_since: float,
        rng: Callable[[], float],
    ) -> float:
        """When the next attempt begins.

        Args:
            now: the moment of the failure, monotonic seconds.
            last_start: when the attempt that failed began.
            failing_since: when the first attempt of this row of failures began.
            slowing_since: from when the late pace is counted; ``failing_since`` unless the
                failure is of a kind that must not slow down.
            rng: uniform in [0, 1), like ``random.random``.
        """
        soonest = now + self.first_s
        if last_start <= failing_since:
            return soonest
        spacing = self.spacing_s
        if now - slowing_since >= self.late_after_s:
            spacing = self.late_s * (1 + self.late_jitter * (2 * rng() - 1))
        return max(soonest, last_start + spacing)
