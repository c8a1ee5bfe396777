"""The one shape in which every supervised thing reports itself: state, last error, since when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict


class ConditionReport(TypedDict):
    """A condition as JSON: ``since_s`` is an age in seconds at the time of reporting."""

    name: str
    state: str
    last_error: str
    since_s: float


@dataclass(frozen=True, slots=True)
class Condition:
    """State of a supervised thing; ``since`` is monotonic seconds of the last state change."""

    name: str
    state: str
    last_error: str
    since: float

    def report(self, now: float) -> ConditionReport:
        """The condition for ``/status``, with its age at ``now`` (monotonic seconds)."""
        return {
            "name": self.name,
            "state": self.state,
            "last_error": self.last_error,
            "since_s": round(now - self.since, 3),
        }

    def entered(self, state: str, now: float, last_error: str | None = None) -> Condition:
        """This condition moved to ``state``; the time stays when the state does not change."""
        return Condition(
            name=self.name,
            state=state,
            last_error=self.last_error if last_error is None else last_error,
            since=self.since if state == self.state else now,
        )
