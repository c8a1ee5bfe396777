"""The tick for which a task's first pictures are drawn, and what to do when they come too late.

Decisions only; ``now`` is an argument. Beside the stage, which hands pictures over. A task begins
with a body that stands where the idle loop is only if its pictures are on air at their own ticks;
drawing them again for a later tick is worth a short wait, never a long one, and never twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

AGAIN_WITHIN_S = 0.1
"""Longer than this nobody is to wait for a body that fits: it is faded over instead."""

UNSEEN_TICKS = 2
"""So late, the body is off by half a pixel (at 720p, a whole one at most): it begins at once."""

MARGIN_TICKS = 2
"""Beyond the drawing itself: for the way to the workers and back, and for the tick in progress."""


@dataclass(frozen=True, slots=True)
class Appointment:
    """What was agreed with the playout.

    Attributes:
        due_at: monotonic seconds by which ``preroll`` pictures must have been handed over.
        preroll: pictures with which the task begins.
        fps: pictures per second on air.
        final: whether no other one is asked for.
    """

    due_at: float
    preroll: int
    fps: int
    final: bool = False

    def missed(self, handed: int, now: float) -> bool:
        """Whether the task cannot begin when it was to.

        Args:
            handed: pictures that the playout has, from the first one on.
            now: monotonic seconds.
        """
        return handed < self.preroll and now > self.due_at + UNSEEN_TICKS / self.fps

    def again_s(self, batch_pictures: int, speed_fps: float) -> float | None:
        """Seconds that drawing the pre-roll again takes, or None where that is not worth it.

        Args:
            batch_pictures: what workers draw at a time.
            speed_fps: pictures per second that they were measured to draw; 0 while not known.
        """
        if self.final or speed_fps <= 0:
            return None
        cost_s = math.ceil(self.preroll / batch_pictures) * batch_pictures / speed_fps
        return cost_s if cost_s < AGAIN_WITHIN_S else None

    def lead_ticks(self, again_s: float) -> int:
        """From now to the tick to ask for."""
        return math.ceil(again_s * self.fps) + MARGIN_TICKS
