"""How long rendering takes here, and so: how early a tick must be reserved, how much to have ready.

Decisions only; ``now`` is an argument.
"""

from __future__ import annotations

import math

FIRST_GUESS_S = 0.25
"""Until measured: from the order to the first pictures of a small engine on a busy CPU."""

LONGEST_LEAD_S = 5.0
QUICK = 2.0
"""An engine so many times faster than the air needs hardly anything in hand."""

QUICK_PREROLL_S = 0.2
LEAST_PREROLL_S = 0.6
_WEIGHT = 0.3


class Tempo:
    """Measured over the tasks of a studio's life."""

    def __init__(self) -> None:
        self._begun: dict[str, float] = {}
        self._took_s = FIRST_GUESS_S

    def begin(self, task_id: str, now: float) -> None:
        """Rendering of a task begins."""
        self._begun[task_id] = now

    def rendered(self, task_id: str, pictures: int, now: float) -> None:
        """So many of its pictures have left; the first ones are what is measured."""
        if pictures > 0 and task_id in self._begun:
            took_s = now - self._begun.pop(task_id)
            # Slower counts at once, quicker by and by: a missed tick shows, a late one hardly.
            weight = 1.0 if took_s > self._took_s else _WEIGHT
            self._took_s += weight * (took_s - self._took_s)

    def end(self, task_id: str) -> None:
        """A task is over."""
        self._begun.pop(task_id, None)

    def lead_ticks(self, fps: int) -> int:
        """How many ticks from now the first picture can be there."""
        return math.ceil(min(self._took_s, LONGEST_LEAD_S) * fps) + 1

    @staticmethod
    def preroll(pictures: int, fps: int, speed_fps: float, at_most: int) -> int:
        """Pictures to have in hand so that the task plays through.

        Args:
            pictures: of the whole task.
            fps: pictures per second on air.
            speed_fps: pictures per second that the pool renders; 0 while not known.
            at_most: what the ring can hold of it.
        """
        if speed_fps >= QUICK * fps:
            wanted = math.ceil(QUICK_PREROLL_S * fps)
        else:
            lacking = 1 - speed_fps / fps if speed_fps else 0.0
            wanted = max(math.ceil(LEAST_PREROLL_S * fps), math.ceil(lacking * pictures))
        return max(1, min(wanted, at_most, pictures))
