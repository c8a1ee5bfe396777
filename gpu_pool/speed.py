"""How fast a worker renders an avatar, as measured.

Beside a slot's flights. Pure: no worker, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass

_MEMORY = 0.3
"""Weight of the newest flight in the measured speed: about the last five count."""


@dataclass(slots=True)
class Speed:
    """Seconds per picture of one avatar; one number while no batches are drawn together.

    ``alone_s`` is that of a batch drawn by itself: several together take no longer than one after
    the other, so limits come from it. ``worker_s`` are the worker's seconds over all pictures that
    it drew in them. ``channel_s`` are the same seconds over the pictures that one channel had among
    them: how fast the pictures of a task come while others are drawn with it.
    """

    alone_s: float
    worker_s: float
    channel_s: float

    @classmethod
    def warm(cls, picture_s: float) -> Speed:
        """As the silent batch of the beginning says: nothing else is known yet."""
        return cls(picture_s, picture_s, picture_s)

    def measured(self, worker_s: float, channel_s: float, together: bool) -> None:
        """A flight is home, of several batches (``together``) or of one."""
        if not together:
            self.alone_s = _closer(self.alone_s, worker_s)
        self.worker_s = _closer(self.worker_s, worker_s)
        self.channel_s = _closer(self.channel_s, channel_s)


def per_second(picture_s: float) -> float:
    """Pictures per second; 0 while nothing was measured."""
    return 1 / picture_s if picture_s > 0 else 0.0


def _closer(before: float, newest: float) -> float:
    return before + _MEMORY * (newest - before)
