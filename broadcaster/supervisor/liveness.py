"""Judges whether a running role still lives, from its last proof of life. Pure: no clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Liveness:
    """The record of one run of one role.

    Args:
        limit_s: silence after which a role that has lived is hung.
        first_limit_s: the same for a role that has not yet given any proof: starting takes longer.
    """

    limit_s: float
    first_limit_s: float
    proven: bool = False
    _proof_at: float = 0.0

    def begin(self, now: float) -> None:
        """A new process has been started."""
        self.proven = False
        self._proof_at = now

    def prove(self, at: float) -> None:
        """The role was alive at ``at``; older proof than the last counts for nothing."""
        self.proven = True
        self._proof_at = max(self._proof_at, at)

    def excuse(self, seconds: float) -> None:
        """The judge itself slept: nobody may be blamed for that time."""
        self._proof_at += seconds

    def silence_s(self, now: float) -> float:
        """Seconds since the last proof, or since the start."""
        return now - self._proof_at

    def is_hung(self, now: float) -> bool:
        """Whether the silence has lasted too long."""
        return self.silence_s(now) >= (self.limit_s if self.proven else self.first_limit_s)
