"""Whisper's log-mel spectrogram: 100 columns of 80 bins a second.

As in Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022) and its
published code: Hann window of 25 ms, hop 10 ms, Slaney's mel scale with area norm.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as fn

RATE_HZ = 16_000
WINDOW, HOP = 400, 160
BINS = 80
SEGMENT_COLUMNS = 3000
"""30 s: the encoder takes no other length."""

_FLOOR = 1e-10
_RANGE = 8.0  # decades below the loudest that still count


@cache
def filters() -> NDArray[np.float32]:
    """The mel filters, (80, 201): triangles between 0 and 8 kHz, each of area 1 (Slaney)."""
    edges_hz = _hz(np.linspace(_mel(0.0), _mel(RATE_HZ / 2), BINS + 2))
    lines_hz = np.linspace(0.0, RATE_HZ / 2, WINDOW // 2 + 1)
    ramps = edges_hz[:, None] - lines_hz[None, :]
    widths = np.diff(edges_hz)
    rising, falling = -ramps[:-2] / widths[:-1, None], ramps[2:] / widths[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (edges_hz[2:] - edges_hz[:-2]))[:, None]).astype(np.float32)


def log_mel(sound: Tensor, *, padded_s: float = 0.0) -> Tensor:
    """The spectrogram of a whole sound, (80, columns), scaled to its own loudest column.

    Args:
        sound: (samples,) float32 at 16 kHz.
        padded_s: silence that is put behind it first, as Hugging Face's version does up to 30 s.
    """
    if padded_s:
        sound = fn.pad(sound, (0, max(0, round(padded_s * RATE_HZ) - sound.shape[0])))
    window = torch.hann_window(WINDOW, device=sound.device)
    waves = torch.stft(sound, WINDOW, HOP, window=window, return_complex=True, pad_mode="reflect")
    power = waves[:, :-1].abs() ** 2
    mel = torch.from_numpy(filters()).to(sound.device) @ power
    loud = torch.clamp(mel, min=_FLOOR).log10()
    return (torch.maximum(loud, loud.max() - _RANGE) + 4.0) / 4.0


_MEL_BREAK_HZ, _MEL_STEP_HZ = 1000.0, 200.0 / 3.0
_MEL_BREAK = _MEL_BREAK_HZ / _MEL_STEP_HZ
_MEL_LOG_STEP = np.log(6.4) / 27.0


def _mel(hz: float) -> float:
    """Slaney's scale: linear up to 1 kHz, logarithmic above."""
    if hz < _MEL_BREAK_HZ:
        return hz / _MEL_STEP_HZ
    return float(_MEL_BREAK + np.log(hz / _MEL_BREAK_HZ) / _MEL_LOG_STEP)


def _hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    below = mels * _MEL_STEP_HZ
    above = _MEL_BREAK_HZ * np.exp(_MEL_LOG_STEP * (mels - _MEL_BREAK))
    return np.where(mels < _MEL_BREAK, below, above)
