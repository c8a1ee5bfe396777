"""How loud a sound is, and the one gain that brings it to the station's loudness.

Between decoding and the sound files. A whole task gets one gain: nothing here may change the
balance inside a sound. The measure is ITU-R BS.1770-4 (gated, K-weighted), by FFmpeg's ``ebur128``;
sounds that are too short for its 0.4 s blocks are weighed here, ungated.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_S = 0.4
"""The shortest sound that has a gated loudness."""

CEILING_DBTP = -1.0
"""EBU R 128: true peaks stay under this, so that lossy coding does not clip."""

MOST_BOOST_DB = 20.0
"""A whisper becomes speech; the hiss of an empty room does not become a storm."""

SILENCE_LUFS = -70.0
"""The absolute gate of BS.1770: nothing under it counts as sound."""

_ROUNDING_DB = 0.05
"""FFmpeg prints one decimal."""

_INTEGRATED = re.compile(r"^\s+I:\s+(-?[\d.]+|-?inf|-?nan) LUFS", re.MULTILINE)
_TRUE_PEAK = re.compile(r"^\s+Peak:\s+(-?[\d.]+|-?inf|-?nan) dBFS", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Loudness:
    """Integrated loudness in LUFS and true peak in dBTP; both are -inf for silence."""

    integrated_lufs: float
    true_peak_db: float


def read_summary(text: str) -> Loudness | None:
    """What ``ebur128`` printed at its end; None when it did not."""
    integrated, peak = _INTEGRATED.findall(text), _TRUE_PEAK.findall(text)
    if not integrated or not peak:
        return None
    found = Loudness(float(integrated[-1]), float(peak[-1]))
    return None if math.isnan(found.integrated_lufs + found.true_peak_db) else found


def gain_for(loudness: Loudness, target_lufs: float) -> float:
    """Decibels that bring a sound to ``target_lufs``, as far as peak and boost limits let it.

    Silence is left as it is.
    """
    if loudness.integrated_lufs <= SILENCE_LUFS:
        return 0.0
    wanted_db = target_lufs - loudness.integrated_lufs
    room_db = CEILING_DBTP - _ROUNDING_DB - loudness.true_peak_db
    return round(min(wanted_db, room_db, MOST_BOOST_DB), 2)


def loudness_of_short(sound: NDArray[np.float32], sample_rate: int, peak_db: float) -> Loudness:
    """The loudness of a sound shorter than ``BLOCK_S``, taken as one ungated block.

    Args:
        sound: float32 of shape (samples, 2).
        sample_rate: in Hz.
        peak_db: its true peak, as ``ebur128`` measured it.
    """
    if not len(sound):
        return Loudness(-math.inf, -math.inf)
    padded = 2 * len(sound) + sample_rate // 5  # the weighting rings for less than 0.2 s
    spectrum = np.fft.rfft(sound, padded, axis=0)
    z = np.exp(-2j * np.pi * np.arange(len(spectrum)) / padded)
    weighted = np.abs(spectrum * _k_weighting(z, sample_rate)[:, None]) ** 2
    energy = 2 * weighted.sum() / padded / len(sound)
    lufs = -0.691 + 10 * math.log10(energy) if energy > 0 else -math.inf
    return Loudness(lufs, peak_db)


def _k_weighting(z: NDArray[np.complex128], sample_rate: int) -> NDArray[np.complex128]:
    """The response of BS.1770's two filters; ``z`` is a delay of one sample.

    The standard prints coefficients for 48 kHz; these are the analogue filters behind them, brought
    to any rate by the bilinear transform.
    """
    shelf = _biquad(z, sample_rate, 1681.974, 0.7071752, high_gain=1.5848647, mid_gain=1.2587209)
    return shelf * _biquad(z, sample_rate, 38.13547, 0.5003270, high_gain=1.0, mid_gain=0.0)


def _biquad(
    z: NDArray[np.complex128],
    sample_rate: int,
    hz: float,
    quality: float,
    *,
    high_gain: float,
    mid_gain: float,
) -> NDArray[np.complex128]:
    """High shelf with ``low`` 1 where ``mid_gain`` is not 0, else a second-order high pass."""
    k = math.tan(math.pi * hz / sample_rate)
    low = 1.0 if mid_gain else 0.0
    middle = mid_gain * k / quality
    above = (
        (high_gain + middle + low * k * k)
        + 2 * (low * k * k - high_gain) * z
        + (high_gain - middle + low * k * k) * z**2
    )
    below = (1 + k / quality + k * k) + 2 * (k * k - 1) * z + (1 - k / quality + k * k) * z**2
    found: NDArray[np.complex128] = above / below
    return found
