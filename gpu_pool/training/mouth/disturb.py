"""Noise and music that play while nobody speaks, or behind speech; all synthesised from seeds.

Made once as a bank of pieces from which crops are taken: that is five times cheaper than fresh
ones for every example.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.mouth.features import SAMPLE_RATE

PIECE_S = 12
NOISES, TUNES = 48, 128
_CHORDS = np.array([[1, 1.26, 1.5, 2], [1, 1.19, 1.5, 2], [1, 1.33, 1.5, 2], [1, 1.26, 1.59, 1.89]])


class Disturbance:
    """The bank; ``noise`` and ``music`` give random crops of unit loudness."""

    def __init__(self, seed: int, noises: int = NOISES, tunes: int = TUNES) -> None:
        self._rng = np.random.default_rng(seed)
        self._noises = [_noise(PIECE_S * SAMPLE_RATE, self._rng) for _ in range(noises)]
        self._tunes = [_tune(PIECE_S * SAMPLE_RATE, self._rng) for _ in range(tunes)]

    def noise(self, length: int) -> NDArray[np.float32]:
        """float32 (length,), rms 1."""
        return self._crop(self._noises, length)

    def music(self, length: int) -> NDArray[np.float32]:
        """float32 (length,), rms 1; now and then two pieces at once."""
        piece = self._crop(self._tunes, length)
        if self._rng.random() < 0.3:
            piece = unit(piece + self._rng.uniform(0.3, 1) * self._crop(self._tunes, length))
        return piece

    @property
    def state(self) -> dict[str, object]:
        """Where the draws stand, for a checkpoint."""
        return dict(self._rng.bit_generator.state)

    @state.setter
    def state(self, state: dict[str, object]) -> None:
        self._rng.bit_generator.state = state

    def _crop(self, bank: list[NDArray[np.float32]], length: int) -> NDArray[np.float32]:
        piece = bank[int(self._rng.integers(len(bank)))]
        start = int(self._rng.integers(len(piece) - length + 1))
        return unit(piece[start : start + length])


def unit(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scaled to an rms of 1."""
    louder: NDArray[np.float32] = (sound / (np.sqrt(np.mean(sound**2)) + 1e-6)).astype(np.float32)
    return louder


def _noise(length: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """White, pink, brown, one band, hum, or applause (noise in bursts)."""
    kind = int(rng.integers(6))
    white = rng.standard_normal(length).astype(np.float32)
    if kind == 0:
        return unit(white)
    if kind == 4:
        at_s = np.arange(length) / SAMPLE_RATE
        tones = [np.sin(2 * np.pi * 50 * n * at_s) / n for n in range(1, int(rng.integers(3, 12)))]
        return unit((sum(tones) + 0.1 * white).astype(np.float32))
    if kind == 5:
        knots = rng.gamma(0.6, 1, length // 800 + 2)
        envelope = np.interp(np.arange(length), np.arange(len(knots)) * 800, knots)
        return unit((white * (0.05 + envelope)).astype(np.float32))
    spectrum = np.fft.rfft(white)
    bins = np.arange(len(spectrum)) + 1
    shape = {1: bins**-0.5, 2: 1.0 / bins}.get(
        kind, np.exp(-20 * (bins / len(bins) - rng.random()) ** 2)
    )
    return unit(np.fft.irfft(spectrum * shape, length).astype(np.float32))


def _tune(length: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Chords on a beat with notes that ring on, sometimes a lead with vibrato, drums, a filter."""
    beat = int(rng.uniform(0.2, 0.8) * SAMPLE_RATE)
    root_hz, wave = rng.uniform(60, 320), int(rng.integers(len(_WAVES)))
    bright, decay = int(rng.integers(1, 14)), rng.uniform(0.3, 7)
    rings = int(beat * rng.choice([1, 1, 2, 4]))
    drums, lead = rng.random() < 0.5, rng.random() < 0.5
    tune = np.zeros(length + rings, np.float32)
    chord = root_hz * _CHORDS[0]
    for number, start in enumerate(range(0, length, beat)):
        at_s = np.arange(rings) / SAMPLE_RATE
        if number % int(rng.integers(1, 5)) == 0:
            step = 2 ** (rng.integers(0, 12) / 12)
            chord = root_hz * step * _CHORDS[int(rng.integers(len(_CHORDS)))]
        for note in rng.choice(chord, int(rng.integers(1, 5))):
            partials = _partials(_WAVES[wave], bright, float(note))
            tune[start : start + rings] += _note(float(note), at_s, partials, decay, rng)
        if lead:
            tune[start : start + rings] += 1.5 * _lead(float(rng.choice(chord)) * 2, at_s, rng)
        if drums and rng.random() < 0.7:
            hit = rng.standard_normal(rings) * np.exp(-at_s * rng.uniform(10, 60))
            tune[start : start + rings] += rng.uniform(0.3, 3) * hit
    return unit(_through_a_box(tune[:length], rng))


_WAVES = ("saw", "square", "organ", "bell")


def _partials(wave: str, bright: int, note_hz: float) -> list[tuple[float, float]]:
    """Multiples of the pitch and how strong they are, up to the end of the band."""
    numbers = [n for n in range(1, 4 * bright) if n * note_hz < 7800]
    if wave == "square":
        return [(n, 1 / n) for n in numbers if n % 2]
    if wave == "organ":
        return [(n, 0.8 ** (n - 1)) for n in (1, 2, 3, 4, 6, 8)[: bright // 2 + 1]]
    if wave == "bell":
        return [(n, 1 / (1 + k)) for k, n in enumerate((1, 2.76, 5.4, 8.9)[: bright // 3 + 1])]
    return [(n, 1 / n) for n in numbers]


def _note(
    note_hz: float,
    at_s: NDArray[np.float64],
    partials: list[tuple[float, float]],
    decay: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    turns = 2 * np.pi * note_hz * at_s
    tone = sum(strength * np.sin(n * turns + rng.random() * 6) for n, strength in partials)
    return np.asarray(tone * np.exp(-decay * at_s) * np.minimum(1, at_s * 300))


def _through_a_box(tune: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Half of all instruments have a resonance or two, as a body or a speaker has."""
    if rng.random() < 0.5:
        return tune
    spectrum = np.fft.rfft(tune)
    bins_hz = np.linspace(0, SAMPLE_RATE / 2, len(spectrum))
    gain = np.full(len(spectrum), 0.3)
    for _ in range(int(rng.integers(1, 4))):
        width_hz = rng.uniform(80, 800)
        gain += np.exp(-0.5 * ((bins_hz - rng.uniform(200, 4000)) / width_hz) ** 2)
    boxed: NDArray[np.float32] = np.fft.irfft(spectrum * gain, len(tune)).astype(np.float32)
    return boxed


def _lead(
    note_hz: float, at_s: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """A held note that swells in and trembles."""
    vibrato = rng.uniform(0, 0.02) * np.sin(2 * np.pi * rng.uniform(4, 7) * at_s)
    turns = 2 * np.pi * note_hz * (at_s + vibrato / (2 * np.pi * 5))
    swell = np.minimum(1, at_s * rng.uniform(5, 60)) * np.exp(-rng.uniform(0, 3) * at_s)
    harmonics = range(1, int(rng.integers(2, 10)))
    return np.asarray(sum(np.sin(n * turns) / n for n in harmonics) * swell)
