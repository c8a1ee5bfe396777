"""What happens to speech before the network hears it: rooms, microphones, music, other throats.

Fourth step of the training path, on the fly. A small share holds no speech at all, labelled as a
closed mouth: without it music opens the mouth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.mouth.phonemes import target_curves, viseme_labels
from gpu_pool.training.mouth.corpus import SAMPLE_RATE, Clip
from gpu_pool.training.mouth.disturb import Disturbance, unit

FRAME = 320
"""Samples per frame of the network: 20 ms."""
CROP_FRAMES = 200
"""Four seconds, four and a half times what the network can look back."""
NOTHING_SPOKEN = 0.08


@dataclass(frozen=True, slots=True)
class Tape:
    """All clips end to end on the frame grid: sound, viseme and curves per frame."""

    sound: NDArray[np.int16]
    visemes: NDArray[np.int64]
    curves: NDArray[np.float32]


Crop = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]


def splice(clips: list[Clip], rng: np.random.Generator) -> Tape:
    """Clips in random order with pauses of 0.2 to 1.2 s after every second one."""
    sounds, visemes, curves = [], [], []
    for index in rng.permutation(len(clips)):
        clip = clips[index]
        frames = len(clip.sound) // FRAME
        if frames < 10:
            continue
        at_s = (np.arange(frames) + 0.5) * FRAME / SAMPLE_RATE
        sounds.append(clip.sound[: frames * FRAME])
        visemes.append(viseme_labels(clip.spoken, at_s))
        curves.append(target_curves(clip.spoken, at_s))
        if rng.random() < 0.5:
            pause = int(rng.integers(10, 60))
            sounds.append(np.zeros(pause * FRAME, np.int16))
            visemes.append(np.zeros(pause, np.int64))
            curves.append(np.zeros((pause, 3), np.float32))
    return Tape(np.concatenate(sounds), np.concatenate(visemes), np.concatenate(curves))


def draw(tape: Tape, disturbance: Disturbance, rng: np.random.Generator) -> Crop:
    """One training example: 64000 samples, 200 labels, 200 x 3 curves."""
    length = CROP_FRAMES * FRAME
    if rng.random() < NOTHING_SPOKEN:
        other = disturbance.music(length) if rng.random() < 0.7 else disturbance.noise(length)
        silent = np.zeros(CROP_FRAMES, np.int64), np.zeros((CROP_FRAMES, 3), np.float32)
        return _at_level(other, rng), *silent
    speed = rng.uniform(0.82, 1.26) if rng.random() < 0.75 else 1.0
    start = int(rng.integers(0, (len(tape.sound) - int(length * speed) - 640) // FRAME))
    sound = _resampled(tape.sound[start * FRAME :], length, speed)
    frames = start + ((np.arange(CROP_FRAMES) + 0.5) * speed).astype(np.intp)
    sound = unit(_coloured(sound, rng))
    if rng.random() < 0.7:
        sound += disturbance.noise(length) * np.float32(10 ** (-rng.uniform(3, 45) / 20))
    if rng.random() < 0.4:
        sound += disturbance.music(length) * np.float32(10 ** (-rng.uniform(4, 30) / 20))
    return _at_level(sound, rng), tape.visemes[frames], tape.curves[frames]


def _resampled(sound: NDArray[np.int16], length: int, speed: float) -> NDArray[np.float32]:
    """Pitch, formants and speed together: another throat, another temperament."""
    at = np.arange(length) * speed
    whole = at.astype(np.intp)
    part = (at - whole).astype(np.float32)
    taken = sound[: whole[-1] + 2].astype(np.float32) / np.float32(32768)
    resampled: NDArray[np.float32] = taken[whole] * (1 - part) + taken[whole + 1] * part
    return resampled


def _coloured(sound: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Random equaliser, band limits and a room, all in one multiplication of spectra."""
    spectrum = np.fft.rfft(sound)
    bins_hz = np.linspace(0, SAMPLE_RATE / 2, len(spectrum))
    gain_db = np.zeros(len(spectrum))
    if rng.random() < 0.8:
        gain_db = np.interp(bins_hz, np.linspace(0, SAMPLE_RATE / 2, 8), rng.normal(0, 5, 8))
    if rng.random() < 0.25:
        gain_db -= np.where(bins_hz > rng.uniform(3000, 7000), 30, 0)
        gain_db -= np.where(bins_hz < rng.uniform(60, 300), 20, 0)
    spectrum *= (10 ** (gain_db / 20)).astype(np.float32)
    if rng.random() < 0.5:
        spectrum *= np.fft.rfft(_room(len(sound), rng))
    return np.fft.irfft(spectrum, len(sound)).astype(np.float32)


def _room(length: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A direct path and a decaying tail of 0.05 to 0.6 s (60 dB)."""
    tail = int(rng.uniform(0.05, 0.6) * SAMPLE_RATE)
    response = np.zeros(length, np.float32)
    response[:tail] = rng.standard_normal(tail) * np.exp(-6.9 * np.arange(tail) / tail)
    response *= rng.uniform(0.05, 0.6) / (np.sqrt(np.sum(response**2)) + 1e-9)
    response[0] += 1
    return response


def _at_level(sound: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """-42 to -10 dBFS (rms), clipped as a converter would."""
    level = np.float32(0.1 * 10 ** (rng.uniform(-22, 10) / 20))
    heard: NDArray[np.float32] = np.clip(sound * level, -1, 1)
    return heard
