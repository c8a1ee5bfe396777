"""When a worker that died is started again, and when its slot is left alone for a while.

Pure: ``now`` is monotonic seconds, handed in. Must never give a slot up for good: a GPU that fell
off its bus may come back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gpu_pool.limits import Limits


@dataclass(frozen=True, slots=True)
class Breaker:
    """The deaths of one slot.

    ``deaths_at`` are those still in the window, ``fruitless`` counts deaths in a row without a
    finished batch between them, ``retry_at`` is when to start again, ``parked`` whether that is the
    end of a pause for too many deaths, ``trial`` whether the present life follows such a pause.
    """

    limits: Limits
    deaths_at: tuple[float, ...] = ()
    fruitless: int = 0
    retry_at: float = 0.0
    parked: bool = False
    trial: bool = False

    def died(self, now: float, lived_s: float) -> Breaker:
        """One more death, of a worker that had lived for ``lived_s``.

        A trial that ends early parks the slot again; one that outlived the window has passed.
        """
        limits = self.limits
        recent = (*(at for at in self.deaths_at if now - at < limits.deaths_window_s), now)
        fruitless = self.fruitless + 1
        failed_trial = self.trial and lived_s < limits.deaths_window_s
        if failed_trial or limits.deaths_at_most <= max(len(recent), fruitless):
            return Breaker(limits, (), 0, now + limits.park_s, parked=True)
        pauses = limits.restart_pauses_s
        # In a row: what did work in between, or died long ago, costs the next start no pause.
        pause_s = pauses[min(len(recent), fruitless, len(pauses)) - 1]
        return Breaker(limits, recent, fruitless, now + pause_s)

    def started(self) -> Breaker:
        """The slot is tried again."""
        return replace(self, trial=self.trial or self.parked, parked=False)

    def worked(self) -> Breaker:
        """A batch came back: whatever was wrong is over. Deaths in the window still count."""
        return replace(self, fruitless=0, trial=False)
