"""What Wav2Lip hears: a mel spectrogram of 80 bins and 80 columns a second, in float64.

Between the sound window of a batch and the network. Must give the authors' numbers to 1e-5: the
weights know no others. Sources: Wav2Lip's ``audio.py`` and ``hparams.py`` as described in its
paper's repository; the filters are Slaney's (Auditory Toolbox, 1998), as librosa makes them.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gpu_pool.contracts import SOUND_RATE_HZ, Sound

BINS = 80
COLUMNS = 16
"""Mel columns that one picture hears: 0.2 s."""
HOP = 200
WINDOW = 800
COLUMNS_PER_S = SOUND_RATE_HZ // HOP

_LOWEST_HZ, _HIGHEST_HZ = 55.0, 7600.0
_PREEMPHASIS = 0.97
_FLOOR = 1e-5
"""Smallest magnitude, -100 dB."""

_SLANEY_HZ, _SLANEY_MEL = 1000.0, 15.0
_SLANEY_STEP = np.log(6.4) / 27.0
"""Slaney's scale: 66.7 Hz a mel up to 1000 Hz, from there 27 mels for every factor of 6.4."""

Mel = NDArray[np.float32]
"""(80, columns), -4 to 4; -4 is silence."""

Border = Literal["reflect", "constant"]


@cache
def filters() -> NDArray[np.float32]:
    """(80, 401) triangles of equal area over the bins of the Fourier transform."""
    bins_hz = np.linspace(0, SOUND_RATE_HZ / 2, WINDOW // 2 + 1)
    lowest, highest = _mels(np.array([_LOWEST_HZ, _HIGHEST_HZ]))
    edges_hz = _hz(np.linspace(lowest, highest, BINS + 2))
    widths_hz = np.diff(edges_hz)
    ramps = edges_hz[:, None] - bins_hz
    rising, falling = -ramps[:-2] / widths_hz[:-1, None], ramps[2:] / widths_hz[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    areas = 2.0 / (edges_hz[2:] - edges_hz[:-2])
    triangles *= areas[:, None]
    return triangles


def _mels(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _SLANEY_MEL + np.log(np.maximum(hz, 1.0) / _SLANEY_HZ) / _SLANEY_STEP
    return np.where(hz >= _SLANEY_HZ, above, hz * _SLANEY_MEL / _SLANEY_HZ)


def _hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _SLANEY_HZ * np.exp(_SLANEY_STEP * (mels - _SLANEY_MEL))
    return np.where(mels >= _SLANEY_MEL, above, mels * _SLANEY_HZ / _SLANEY_MEL)


def whole_mel(sound: Sound, border: Border = "reflect") -> Mel:
    """Of a whole sound at once, as the authors do it.

    Args:
        sound: (samples,) at 16 kHz, more than 400 of them.
        border: what lies before and after it: the sound mirrored, as with the librosa that the
            authors name, or zeros, as with librosa from 0.10 on.

    Returns:
        (80, 1 + samples // 200) float32.
    """
    padded = np.pad(preemphasised(sound), WINDOW // 2, border)
    return _columns(padded, 1 + len(sound) // HOP)


def mel_of_columns(sound: Sound, origin: int, first: int, count: int) -> Mel:
    """Columns ``first`` to ``first + count - 1`` of a sound of which a part is at hand.

    Args:
        sound: (samples,) the part; it must hold every sample that the columns need, from
            ``200 * first - 401`` to before ``200 * (first + count - 1) + 400``.
        origin: index within the task of ``sound[0]``.
        first: a column's index within the task; column n is centred on sample 200 n.
        count: columns.

    Returns:
        (80, count) float32, the same whatever part was at hand.
    """
    start = HOP * first - WINDOW // 2 - origin
    stop = start + HOP * (count - 1) + WINDOW
    assert start >= 1
    assert stop <= len(sound)
    return _columns(preemphasised(sound[start - 1 : stop])[1:], count)


def preemphasised(sound: Sound) -> NDArray[np.float64]:
    """The treble raised: of every sample 0.97 of the one before it is taken; the first stays."""
    raised = sound.astype(np.float64)
    raised[1:] -= _PREEMPHASIS * sound[:-1].astype(np.float64)
    return raised


def _columns(raised: NDArray[np.float64], count: int) -> Mel:
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(raised, WINDOW)[::HOP][:count] * window
    loudness = filters().astype(np.float64) @ np.abs(np.fft.rfft(frames)).T
    decibel = 20 * np.log10(np.maximum(_FLOOR, loudness)) - 20
    return np.clip(8 * (decibel + 100) / 100 - 4, -4, 4).astype(np.float32)


def column_of(picture: int, fps: float) -> int:
    """The first column that a picture hears."""
    return int(picture * (COLUMNS_PER_S / fps))


def whole_windows(columns: int, fps: float) -> list[int]:
    """First columns of every picture of a sound that ends: the last window is moved back.

    The authors' list: as many pictures as have a window that begins 16 columns before the end,
    and one more.
    """
    starts: list[int] = []
    while (start := column_of(len(starts), fps)) + COLUMNS <= columns:
        starts.append(start)
    return [*starts, columns - COLUMNS]
