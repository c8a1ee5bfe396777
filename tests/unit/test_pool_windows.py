"""Cutting a task: every picture in one batch, every sample where it belongs."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpu_pool.contracts import EngineNeeds
from gpu_pool.windows import batch_spans, cut_sound, sound_span

NEEDS = EngineNeeds(lookback_s=0.2, lookahead_s=0.4, batch_pictures=8)


def test_a_window_is_the_batch_with_its_margins() -> None:
    assert sound_span(NEEDS, 25, 100, 8) == (100 * 640 - 3200, 108 * 640 + 6400)


def test_the_first_window_begins_before_the_task() -> None:
    assert sound_span(NEEDS, 25, 0, 8)[0] == -3200


def test_where_fps_does_not_divide_the_rate_no_sample_falls_between_two_batches() -> None:
    none = EngineNeeds(0.0, 0.0, 7)
    spans = [sound_span(none, 30, first, 7) for first in range(0, 700, 7)]
    gaps = [later[0] - earlier[1] for earlier, later in itertools.pairwise(spans)]
    assert max(gaps) <= 0


def test_outside_the_task_is_silence() -> None:
    sound = np.ones(10, np.float32)
    assert cut_sound(sound, 0, (-2, 4)).tolist() == [0, 0, 1, 1, 1, 1]
    assert cut_sound(sound, 0, (8, 12)).tolist() == [1, 1, 0, 0]
    assert cut_sound(sound, 0, (20, 23)).tolist() == [0, 0, 0]


@given(st.integers(0, 50), st.integers(0, 40), st.integers(-60, 120), st.integers(0, 60))
def test_a_window_cut_from_a_piece_equals_one_cut_from_the_whole(
    origin: int, length: int, start: int, size: int
) -> None:
    whole = np.zeros(400, np.float32)
    whole[100 + origin : 100 + origin + length] = np.arange(1, length + 1)
    piece = np.arange(1, length + 1, dtype=np.float32)
    window = cut_sound(piece, origin, (start, start + size))
    assert window.tolist() == whole[100 + start : 100 + start + size].tolist()


@given(st.integers(0, 500), st.integers(1, 40), st.integers(0, 500))
def test_every_picture_is_in_exactly_one_batch(pictures: int, size: int, start: int) -> None:
    """Peers drop the last picture, or up to a batch less one of them."""
    spans = list(batch_spans(pictures, size, start))
    covered = [index for first, count in spans for index in range(first, first + count)]
    assert covered == list(range(start, pictures))
    assert all(count <= size for _, count in spans)
