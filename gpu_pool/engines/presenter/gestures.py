"""Small gestures of a talking head, from the loudness of what is said.

Beside the mouth track, before the drawing. Pure: the same pictures of a task come out however it is
cut into batches. Must never move the head at a task's first or last picture: there the idle loop
takes over.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_pool.contracts import SOUND_RATE_HZ, Sound
from gpu_pool.engines.presenter.values import Gesture

BEFORE_S = 1.5
"""Sound that an accent is judged against."""

AFTER_S = 0.3
"""A stressed syllable is answered while it is said, so its end is looked at ahead."""

EASE_S = 0.4
"""A task's gestures come and go within this time."""

_FRAME_S = 0.02
_FAST_S, _SLOW_S = 0.08, 0.5
"""Widths of the loudness of a syllable and of the phrase around it (standard deviations)."""

_QUIET, _LOUD = 1e-3, 0.1
"""Linear loudness, as rms, that counts as 0 and as 1 (-60 and -20 dBFS)."""

_ACCENT_GAIN = 3.0
_SWAY_S = (3.1, 4.7)
"""Periods of the slow movements under the accents; no common multiple within a long sentence."""


def accents(
    sound: Sound, first_sample: int, first: int, count: int, fps: int
) -> NDArray[np.float32]:
    """How stressed each picture's moment is.

    Args:
        sound: (samples,) around the pictures, ``BEFORE_S`` and ``AFTER_S`` included.
        first_sample: where the window begins in the whole sound; may be negative.
        first: number of the first picture in the whole sound.
        count: pictures.
        fps: pictures per second.

    Returns:
        float32 (count,), 0 to 1.
    """
    size = int(_FRAME_S * SOUND_RATE_HZ)
    # Frames lie on a grid of the whole sound, or neighbouring batches would hear differently.
    skipped = -first_sample % size
    frames = sound[skipped : skipped + (len(sound) - skipped) // size * size].reshape(-1, size)
    rms = np.sqrt(np.mean(np.square(frames, dtype=np.float64), axis=1))
    loud = np.clip(np.log(np.maximum(rms, _QUIET) / _QUIET) / np.log(_LOUD / _QUIET), 0, 1.2)
    middles_s = (first_sample + skipped) / SOUND_RATE_HZ + (np.arange(len(loud)) + 0.5) * _FRAME_S
    pictures_s = (np.arange(first, first + count) + 0.5) / fps
    away = middles_s[None, :] - pictures_s[:, None]
    fast = _weighted(loud, away, _FAST_S)
    slow = _weighted(loud, away, _SLOW_S)
    return np.clip(_ACCENT_GAIN * (fast - slow), 0, 1).astype(np.float32)


def _weighted(
    loud: NDArray[np.float64], away: NDArray[np.float64], width_s: float
) -> NDArray[np.float64]:
    inside = (away >= -BEFORE_S) & (away <= AFTER_S)
    weights = np.exp(-0.5 * np.square(away / width_s)) * inside
    mean: NDArray[np.float64] = weights @ loud / np.maximum(weights.sum(axis=1), 1e-9)
    return mean


def gesture(index: int, spoken: int, fps: int, accent: float) -> Gesture:
    """The gesture of one picture.

    Args:
        index: number of the picture within the task.
        spoken: pictures of the task that carry sound.
        fps: pictures per second.
        accent: of ``accents``.
    """
    ease = _ease(min(index + 1, spoken - index) / (EASE_S * fps))
    if ease <= 0.0:
        return Gesture()
    slow, slower = (np.sin(2 * np.pi * index / (fps * period)) for period in _SWAY_S)
    return Gesture(
        brow=ease * (0.55 * accent + 0.1 * slower),
        nod=ease * (0.5 * accent + 0.12 * slow),
        tilt=ease * 0.25 * slower,
        turn=ease * 0.3 * slow,
    )


def _ease(share: float) -> float:
    """Smooth from 0 to 1, flat at both ends."""
    at = min(1.0, max(0.0, share))
    return at * at * (3 - 2 * at)
