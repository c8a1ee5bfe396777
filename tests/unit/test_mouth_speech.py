"""What the mouth does on real, labelled speech of a stranger, and when nobody speaks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_pool.engines.mouth import COLUMNS, MouthNet
from tests.doubles.labelled_speech import opening_corr, slt

NET = MouthNet.load()
STRANGER = slt()
FPS = 25
TRACK = NET.track(STRANGER.sound, FPS)
REFERENCE = STRANGER.reference(len(TRACK), FPS)
SECONDS = 20


def melody(seed: int) -> NDArray[np.float32]:
    """Plucked chords over a bass, at -18 dBFS; made otherwise than the training's music."""
    rng = np.random.default_rng(seed)
    at_s = np.arange(SECONDS * 16_000) / 16_000
    tune = np.zeros(len(at_s))
    for start_s in np.arange(0, SECONDS, 0.375):
        since_s = np.clip(at_s - start_s, 0, None)
        for half_tones in rng.choice([0, 3, 4, 7, 12, 15, 19], 3, replace=False):
            pitch_hz = 110 * 2 ** ((half_tones + rng.integers(0, 3) * 5) / 12)
            pluck = (since_s > 0) * np.exp(-3.5 * since_s)
            tune += pluck * np.sign(np.sin(2 * np.pi * pitch_hz * since_s)) * 0.3
            tune += pluck * np.sin(2 * np.pi * pitch_hz * since_s)
    return (0.126 * tune / np.sqrt(np.mean(tune**2))).astype(np.float32)


def hiss(seed: int, slope: float) -> NDArray[np.float32]:
    """Noise whose amplitude falls with frequency to the power of ``slope``, at -18 dBFS."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(SECONDS * 16_000))
    sound = np.fft.irfft(spectrum * np.maximum(np.arange(len(spectrum)), 1.0) ** -slope)
    return (0.126 * sound / np.sqrt(np.mean(sound**2))).astype(np.float32)


def test_a_strangers_mouth_opens_and_closes_with_the_sound() -> None:
    assert opening_corr(TRACK, REFERENCE) > 0.83


def test_a_strangers_lips_close_on_p_b_and_m() -> None:
    assert STRANGER.closures(TRACK, FPS) > 0.85
    assert STRANGER.closures(NET.track(STRANGER.sound, 30), 30) > 0.85


def test_a_strangers_lips_spread_and_round_with_the_sound() -> None:
    for column in (COLUMNS.index("wide"), COLUMNS.index("round")):
        assert np.corrcoef(TRACK[:, column], REFERENCE[:, column])[0, 1] > 0.4


def test_the_mouth_is_in_time() -> None:
    corrs = {
        lag: np.corrcoef(TRACK[5 + lag : lag - 5 or None, 0][:500], REFERENCE[5:505, 0])[0, 1]
        for lag in range(-4, 5)
    }
    assert abs(max(corrs, key=lambda lag: corrs[lag])) <= 1


def test_the_mouth_rests_in_pauses() -> None:
    assert (STRANGER.in_pauses(TRACK, FPS)[:, 0] < 0.1).mean() > 0.95


@pytest.mark.parametrize("shift_s", [2, 4, 8, 16])
def test_the_mouth_of_other_words_does_not_fit(shift_s: int) -> None:
    other = NET.track(np.roll(STRANGER.sound, shift_s * 16_000), FPS)
    assert opening_corr(other, REFERENCE) < 0.25


@pytest.mark.parametrize("gain_db", [-24, -12, 6])
def test_loud_and_quiet_speech_move_the_mouth_alike(gain_db: float) -> None:
    peak = float(np.abs(STRANGER.sound).max())
    level = np.float32(0.5 / peak * 10 ** (gain_db / 20))
    track = NET.track(np.clip(STRANGER.sound * level, -1, 1), FPS)
    assert opening_corr(track, TRACK) > 0.93
    assert STRANGER.closures(track, FPS) > 0.75


def test_music_under_speech_leaves_the_mouth_in_time() -> None:
    under = np.resize(melody(3), len(STRANGER.sound)) * np.float32(10 ** (-10 / 20))
    loud = STRANGER.sound * np.float32(0.126 / np.sqrt(np.mean(STRANGER.sound**2)))
    assert opening_corr(NET.track(loud + under, FPS), REFERENCE) > 0.70


def test_silence_keeps_the_mouth_closed() -> None:
    track = NET.track(np.zeros(5 * 16_000, np.float32), FPS)
    assert track[:, 0].max() < 0.05


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_music_alone_keeps_the_mouth_closed(seed: int) -> None:
    track = NET.track(melody(seed), FPS)
    assert (track[:, 0] > 0.2).mean() < 0.02


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("gain_db", [-20, 0])
def test_noise_alone_keeps_the_mouth_closed(slope: float, gain_db: float) -> None:
    track = NET.track(hiss(7, slope) * np.float32(10 ** (gain_db / 20)), FPS)
    assert (track[:, 0] > 0.2).mean() < 0.02
