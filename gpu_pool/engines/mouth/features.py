"""Log-mel features of a sound stream: the first step of the mouth network.

Pure numpy and causal: a frame needs no sound after its own end. Must not normalise over an
utterance, since a live stream has none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
HOP = 160
"""Samples from one frame to the next: 10 ms."""
WINDOW = 400
"""Samples that a frame sees: 25 ms, its last one is the last of its hop."""
FFT_SIZE = 512
BANDS = 40
LOWEST_HZ, HIGHEST_HZ = 60.0, 7600.0

FLOOR = 1e-5
"""Added to band power: 20 dB under speech at -42 dBFS, 30 dB over the noise of 16 bits."""

_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def mel_filters() -> NDArray[np.float32]:
    """Triangles on the mel scale, each of unit sum; float32 (257 bins, 40 bands)."""
    edges_mel = np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), BANDS + 2)
    edges_hz = 700 * (10 ** (edges_mel / 2595) - 1)
    bins_hz = np.linspace(0, SAMPLE_RATE / 2, FFT_SIZE // 2 + 1)[:, None]
    low, middle, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising, falling = (bins_hz - low) / (middle - low), (high - bins_hz) / (high - middle)
    filters = np.maximum(0, np.minimum(rising, falling))
    unit: NDArray[np.float32] = (filters / (filters.sum(axis=0) + 1e-9)).astype(np.float32)
    return unit


def window() -> NDArray[np.float32]:
    """The periodic Hann window; float32 (400,)."""
    return _HANN.copy()


class MelStream:
    """Turns sound into frames as it comes; before its first sample there was silence."""

    def __init__(self) -> None:
        self._filters = mel_filters()
        self._rest = np.zeros(WINDOW - HOP, np.float32)

    def feed(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """Frames that are complete now.

        Args:
            sound: float32 mono at 16 kHz, -1 to 1, of any length.

        Returns:
            float32 (frames, 40), about -1.6 in digital silence and 2 in loud speech.
        """
        held = np.concatenate([self._rest, sound])
        frames = max(0, (len(held) - WINDOW) // HOP + 1)
        self._rest = held[frames * HOP :].copy()
        if frames == 0:
            return np.zeros((0, BANDS), np.float32)
        cut = np.lib.stride_tricks.sliding_window_view(held, WINDOW)[: frames * HOP : HOP]
        spectrum = np.fft.rfft(cut * _HANN, FFT_SIZE)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        mel: NDArray[np.float32] = power @ self._filters
        mel += np.float32(FLOOR)
        np.log(mel, out=mel)
        mel += np.float32(5)
        mel *= np.float32(0.25)
        return mel


def _mel(frequency_hz: float) -> float:
    return float(2595 * np.log10(1 + frequency_hz / 700))
