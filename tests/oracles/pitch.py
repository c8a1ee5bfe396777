"""The pitch of a voice, by autocorrelation: an independent measure of who seems to speak."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW_S = 0.04
LOWEST_HZ, HIGHEST_HZ = 60, 400
VOICED = 0.45
"""Of a window's energy that must repeat itself."""


def median_pitch_hz(sound: NDArray[np.float64], rate: int) -> float:
    """Median fundamental of the voiced parts of ``sound``, full scale 1."""
    size, found = int(WINDOW_S * rate), []
    for first in range(0, len(sound) - size, size // 2):
        window = sound[first : first + size] * np.hanning(size)
        if np.sqrt(np.mean(window**2)) < 0.02:
            continue
        alike = np.fft.irfft(np.abs(np.fft.rfft(window, 4 * size)) ** 2)[:size]
        period = _period(alike / alike[0], rate)
        if period:
            found.append(rate / period)
    return float(np.median(found))


def _period(alike: NDArray[np.float64], rate: int) -> int:
    """The first peak that is nearly as high as the highest: not a multiple of the period."""
    low, high = rate // HIGHEST_HZ, rate // LOWEST_HZ
    best = alike[low:high].max()
    if best < VOICED:
        return 0
    peaks = (
        lag
        for lag in range(low + 1, high - 1)
        if alike[lag - 1] < alike[lag] >= alike[lag + 1] and alike[lag] > 0.85 * best
    )
    return next(peaks, 0)
