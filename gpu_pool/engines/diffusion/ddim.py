"""The sampler of LatentSync 1.0: deterministic DDIM with a scaled-linear schedule.

Song et al., "Denoising Diffusion Implicit Models" (2021), eta 0; spacing "leading", offset 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

TRAIN_STEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012
MOST_STEPS = 200


def alphas() -> NDArray[np.float64]:
    """Share of the signal that is left after each of the training steps, (1000,)."""
    root = np.linspace(np.sqrt(BETA_START), np.sqrt(BETA_END), TRAIN_STEPS)
    return np.cumprod(1.0 - root**2, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Step:
    """One step back: the time, and the share of signal before (``now``) and after (``then``)."""

    time: int
    now: float
    then: float


def steps(count: int) -> tuple[Step, ...]:
    """The steps from noise to picture, first one first.

    Raises:
        ValueError: ``count`` is not 1 to 200.
    """
    if not 1 <= count <= MOST_STEPS:
        raise ValueError(f"steps must be 1 to {MOST_STEPS}, not {count}")
    kept, width = alphas(), TRAIN_STEPS // count
    times = [i * width + 1 for i in reversed(range(count))]
    return tuple(Step(t, kept[t], kept[max(0, t - width)]) for t in times)


def step_back(step: Step, sample: Tensor, noise: Tensor) -> Tensor:
    """The sample one step nearer to the picture.

    Args:
        step: where we are.
        sample: latents, any shape.
        noise: what the network says is noise in them.
    """
    picture = (sample - (1.0 - step.now) ** 0.5 * noise) / step.now**0.5
    return step.then**0.5 * picture + (1.0 - step.then) ** 0.5 * noise
