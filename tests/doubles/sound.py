"""Sounds for tests, as files in memory."""

from __future__ import annotations

import io
import wave

import numpy as np


def wav(seconds: float = 0.2, rate: int = 16_000, hz: float = 440.0, level: float = 0.3) -> bytes:
    """A mono sine as a WAV file of 16-bit samples."""
    held = io.BytesIO()
    samples = np.sin(np.arange(int(seconds * rate)) * 2 * np.pi * hz / rate) * level * 32767
    with wave.open(held, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return held.getvalue()
