"""How a task is cut into batches, and which sound each batch is given.

Between the task's sound and the pool, in whatever process owns the pool. Pure; must never leave a
picture or a sample of a task out, however odd its length.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gpu_pool.contracts import SOUND_RATE_HZ, EngineNeeds, Sound


def sound_span(needs: EngineNeeds, fps: int, first: int, count: int) -> tuple[int, int]:
    """Samples ``[start, stop)`` of a task that a batch's sound window covers.

    The start may be negative and the stop past the end of the task. Where fps does not divide the
    sample rate, pictures start at the sample below.
    """
    start = first * SOUND_RATE_HZ // fps - round(needs.lookback_s * SOUND_RATE_HZ)
    stop = -(-(first + count) * SOUND_RATE_HZ // fps) + round(needs.lookahead_s * SOUND_RATE_HZ)
    return start, stop


def cut_sound(sound: Sound, origin: int, span: tuple[int, int]) -> Sound:
    """A window of a task's sound, silence where there is none.

    Args:
        sound: (samples,) what is at hand, of any length.
        origin: index within the task of ``sound[0]``.
        span: samples ``[start, stop)`` within the task.

    Returns:
        (stop - start,) float32, a copy.
    """
    start, stop = span[0] - origin, span[1] - origin
    window = np.zeros(span[1] - span[0], np.float32)
    low, high = max(0, start), min(len(sound), stop)
    if low < high:
        window[low - start : high - start] = sound[low:high]
    return window


def batch_spans(pictures: int, batch_pictures: int, start: int = 0) -> Iterator[tuple[int, int]]:
    """``(first, count)`` of the batches of a task; the last may be shorter, none is left out."""
    for first in range(start, pictures, batch_pictures):
        yield first, min(batch_pictures, pictures - first)
