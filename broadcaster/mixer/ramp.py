"""Fades: a weight that walks towards its target from where it really is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Ramp:
    """The weight of a task over idle, linear in ticks.

    A fade of F ticks shows F pictures strictly between idle and task. Turning round in the middle
    (a task shorter than its fade, an interrupt) goes back from the weight that is on air.

    Args:
        fade_ticks: F; 0 cuts.
        quick_ticks: the same for a quick way back to idle; never longer than ``fade_ticks``.
    """

    def __init__(self, fade_ticks: int, quick_ticks: int = 0) -> None:
        self._steps = fade_ticks + 1
        self._quick = -(-self._steps // (quick_ticks + 1))
        self._position = 0

    @property
    def weight(self) -> float:
        """The weight on air, 0 (idle) to 1 (task)."""
        return self._position / self._steps

    def step(self, towards_task: bool, quick: bool = False) -> float:
        """Walk one tick and return the weight of that tick; ``quick`` is for the way to idle."""
        back = self._quick if quick else 1
        move = 1 if towards_task else -back
        self._position = min(self._steps, max(0, self._position + move))
        return self.weight


def idle_gain(weight_before: float, weight_after: float, samples: int) -> NDArray[np.float32]:
    """Gain of the idle sound within one tick: the cosine half of an equal-power fade.

    The task's own samples are always at full gain, so only this half exists.

    Returns:
        float32 of shape (samples,), 1 where the task's weight is 0 and 0 where it is 1.
    """
    weight = np.linspace(weight_before, weight_after, samples, endpoint=False, dtype=np.float64)
    gain = np.cos(weight * (np.pi / 2))
    return np.where(weight >= 1.0, 0.0, gain).astype(np.float32)
