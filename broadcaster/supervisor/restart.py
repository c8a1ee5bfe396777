"""How long a role that ended waits before it is started again. Pure: no clock, no process."""

from __future__ import annotations

from dataclasses import dataclass

HEALTHY_AFTER_S = 60.0
"""A run this long clears the record: the fault that ended it is a new one."""

SETTLED_AFTER_S = 5.0
"""A run this long was no failed start, so the pause does not grow. Only crashes at start-up make a
loop worth slowing down; a role that works and is killed now and then must be back at once."""


@dataclass(frozen=True, slots=True)
class RestartSchedule:
    """First restart at once, then ``min_s`` doubling up to ``max_s`` (seconds)."""

    min_s: float
    max_s: float

    def failures_after(self, failures: int, ran_s: float) -> int:
        """The count of failed runs in a row, once a run of ``ran_s`` has ended."""
        if ran_s >= HEALTHY_AFTER_S or failures == 0:
            return 1
        return failures if ran_s >= SETTLED_AFTER_S else failures + 1

    def delay_s(self, failures: int) -> float:
        """The pause before the restart that follows ``failures`` failed runs in a row."""
        if failures <= 1:
            return 0.0
        doublings = min(failures - 2, 30)  # 2**30 is beyond every max_s; keeps the float small
        return min(self.max_s, self.min_s * 2.0**doublings)
