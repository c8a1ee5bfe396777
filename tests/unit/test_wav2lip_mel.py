"""Wav2Lip's ear: the authors' mel columns, and the same ones however the sound arrives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pool.contracts import EngineNeeds
from gpu_pool.engines.wav2lip.mel import (
    COLUMNS,
    Border,
    column_of,
    filters,
    mel_of_columns,
    preemphasised,
    whole_mel,
    whole_windows,
)
from gpu_pool.windows import cut_sound, sound_span
from tests.oracles.recipe import waveform

GOLDEN = np.load(Path(__file__).parents[1] / "fixtures" / "conformance" / "wav2lip_mel.npz")
WAVE = waveform("wav2lip_mel/wave", 2.0)
BORDERS: tuple[Border, ...] = ("reflect", "constant")

STREAM = waveform("wav2lip_mel/stream", 2.0)
LIVE_STEPS = [GOLDEN[f"lt_stream_step{step}_audio_first_sample_index"] for step in range(3)]
"""LiveTalking's first three batches of 16 pictures: where in the sound the two frames of 20 ms
begin that leave with each; -1 are the 0.2 s of silence that it starts with."""
LIVE_FPS = 25

TOLERANCE = 1e-5
"""On a scale from -4 to 4."""


def test_the_filters_are_the_originals() -> None:
    np.testing.assert_allclose(filters(), GOLDEN["mel_basis"], atol=1e-8)


def test_the_treble_is_raised_as_in_the_original() -> None:
    golden = GOLDEN["preemphasis_first_64"]
    np.testing.assert_allclose(preemphasised(WAVE)[: len(golden)], golden, atol=1e-12)


@pytest.mark.parametrize("border", BORDERS)
def test_the_columns_are_the_originals_at_both_borders(border: Border) -> None:
    np.testing.assert_allclose(whole_mel(WAVE, border), GOLDEN[f"mel_pad_{border}"], atol=TOLERANCE)
    for length in (640, 799, 3200, 16001):
        own = whole_mel(WAVE[600 : 600 + length], border)
        np.testing.assert_allclose(own, GOLDEN[f"mel_{border}_len{length}"], atol=TOLERANCE)


@pytest.mark.parametrize("name", [n for n in GOLDEN.files if n.startswith("chunk_starts")])
def test_the_windows_of_the_pictures_are_the_originals(name: str) -> None:
    columns, fps = name.removeprefix("chunk_starts_T").split("_fps")
    assert whole_windows(int(columns), float(fps)) == GOLDEN[name].tolist()


def test_silence_is_the_lowest_value_everywhere() -> None:
    assert (whole_mel(np.zeros(16_000, np.float32)) == -4).all()


@settings(max_examples=60, deadline=None, database=None)
@given(
    first=st.integers(-30, 180),
    count=st.integers(1, 40),
    early=st.integers(401, 2000),
    late=st.integers(400, 2000),
)
def test_columns_of_a_part_are_those_of_the_whole(
    first: int, count: int, early: int, late: int
) -> None:
    """Silence around the sound, as the pool gives it; ``constant`` pads just that."""
    span = 200 * first - early, 200 * (first + count - 1) + late
    own = mel_of_columns(cut_sound(WAVE, 0, span), span[0], first, count)
    padded = np.concatenate([np.zeros(8000, np.float32), WAVE, np.zeros(12_000, np.float32)])
    whole = whole_mel(padded, "constant")[:, first + 40 : first + 40 + count]
    np.testing.assert_allclose(own, whole, atol=TOLERANCE)


def test_within_a_sound_columns_are_the_originals_whatever_its_borders() -> None:
    """The two outermost at each end hear beyond it."""
    own = mel_of_columns(cut_sound(WAVE, 0, (-401, 32_400)), -401, 0, 161)
    for border in BORDERS:
        golden = GOLDEN[f"mel_pad_{border}"]
        np.testing.assert_allclose(own[:, 2:-2], golden[:, 2:-2], atol=TOLERANCE)


def test_a_running_buffer_of_the_live_service_hears_the_same() -> None:
    """LiveTalking computes a buffer of 52 frames of 20 ms anew for 16 pictures at a time."""
    for step, chunks in enumerate(GOLDEN["lt_stream_mel_chunks"][1:], 1):
        # The first frame that leaves is the eleventh of the buffer, ten of which are its past.
        start = int(LIVE_STEPS[step][0]) - 10 * 320
        buffer = cut_sound(STREAM, 0, (start, start + 52 * 320))
        mel = whole_mel(buffer, "constant")
        for picture, golden in enumerate(chunks):
            first = int(16 + 3.2 * picture)
            np.testing.assert_allclose(mel[:, first : first + COLUMNS], golden, atol=TOLERANCE)


def test_the_live_services_first_pictures_hear_what_ours_hear() -> None:
    """Its first buffer begins 0.2 s, 16 columns, before the sound; later ones lie off our grid."""
    silent = 5
    part = -3601, 16_000
    own = mel_of_columns(cut_sound(STREAM, 0, part), part[0], -COLUMNS, 84)
    for picture, golden in enumerate(GOLDEN["lt_stream_mel_chunks"][0]):
        first = column_of(picture, LIVE_FPS)
        np.testing.assert_allclose(own[:, first : first + COLUMNS], golden, atol=TOLERANCE)
        assert picture < silent or first - COLUMNS == column_of(picture - silent, LIVE_FPS)


def test_the_live_service_says_with_each_picture_what_ours_says() -> None:
    """Our pictures of a task begin with its sound; nothing is left out between its batches."""
    begun = np.concatenate(LIVE_STEPS)
    silence = begun < 0
    np.testing.assert_array_equal(GOLDEN["lt_stream_types"].flatten(), silence)
    bare = EngineNeeds(0, 0, 1)
    for picture, (first, second) in enumerate(begun[~silence].reshape(-1, 2)):
        assert sound_span(bare, LIVE_FPS, picture, 1) == (first, second + 320)


@pytest.mark.parametrize("fps", [23, 24, 25, 30, 50, 60])
def test_a_picture_begins_within_a_column_before_its_own_sound(fps: int) -> None:
    for picture in range(500):
        assert 0 <= picture * 80 / fps - column_of(picture, fps) < 1 + 1e-9
