"""Mouth tracks of voices that tell their phoneme times, and the labels of the training."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_pool.engines.mouth import COLUMNS
from gpu_pool.engines.mouth.phonemes import (
    SHUT,
    Segment,
    closures_to_stops,
    mouth_track,
    segment_track,
    segments,
    target_curves,
    viseme_labels,
)
from gpu_pool.engines.mouth.visemes import INDEX, SHAPES, VISEMES, ipa_visemes, is_stop

OPEN, WIDE, ROUND, PRESS, TUCK, TONGUE = range(len(COLUMNS))


def held(name: str, length_s: float = 1.0) -> list[tuple[str, float, float]]:
    return [("", 0.0, 0.5), (name, 0.5, 0.5 + length_s), ("", 0.5 + length_s, 1.0 + length_s)]


@pytest.mark.parametrize(
    ("name", "visemes"),
    [
        ("p", "PP"),
        ("ˈɑː", "aa"),
        ("aɪ", "aa ih"),
        ("tʃ", "DD CH"),
        ("ts", "DD SS"),
        ("oʊ", "oh ou"),
        ("ɑ̃", "aa"),
        ("ũ", "ou"),
        ("", "sil"),
        ("ʲ", ""),
        ("1", ""),
    ],
)
def test_a_phoneme_looks_like(name: str, visemes: str) -> None:
    assert [VISEMES[each] for each in ipa_visemes(name)] == visemes.split()


def test_stops_are_known_with_their_stress_marks() -> None:
    assert all(is_stop(name) for name in ("p", "ˈt", "ˌk", "tʃ", "b"))
    assert not any(is_stop(name) for name in ("", "ˈ", "m", "ˈɑː", "s"))


@pytest.mark.parametrize("name", ["ɑ", "i", "u", "ʃ"])
def test_a_long_vowel_reaches_its_shape_and_the_mouth_closes_behind_it(name: str) -> None:
    track = mouth_track(held(name), 2.0, 25)
    np.testing.assert_allclose(track[25, :3], SHAPES[ipa_visemes(name)[0]], atol=0.02)
    assert track[[2, -2], OPEN].max() < 0.02


def test_lips_meet_on_every_p_b_and_m_at_any_rate() -> None:
    said = [("ɑ", 0.0, 0.3), ("p", 0.3, 0.36), ("ɑ", 0.36, 0.6), ("m", 0.6, 0.64), ("ɑ", 0.64, 1.0)]
    for fps in (24, 25, 30, 50):
        track = mouth_track(said, 1.0, fps)
        for middle_s in (0.33, 0.62):
            assert track[int(middle_s * fps), OPEN] <= SHUT
            assert track[int(middle_s * fps), PRESS] > 0.4
        assert track[int(0.15 * fps), OPEN] > 0.9


def test_f_tucks_the_lip_and_l_shows_the_tongue() -> None:
    assert mouth_track(held("f", 0.3), 1.3, 25)[16, TUCK] > 0.9
    assert mouth_track(held("l", 0.3), 1.3, 25)[16, TONGUE] > 0.5


def test_a_stop_owns_the_silence_before_its_burst() -> None:
    rate = 22_050
    sound = np.full(rate, 0.2, np.float32)
    sound[round(0.45 * rate) : round(0.5 * rate)] = 0
    told = [("ɑ", 0.0, 0.5), ("p", 0.5, 0.55), ("ɑ", 0.55, 1.0)]
    moved = closures_to_stops(told, sound, rate)
    assert moved[0][2] == moved[1][1] == pytest.approx(0.45, abs=1e-3)
    assert closures_to_stops([told[0], ("m", 0.5, 0.55), told[2]], sound, rate)[1][1] == 0.5


def test_a_silence_longer_than_any_closure_stays_a_pause() -> None:
    rate = 16_000
    told = [("", 0.0, 0.5), ("t", 0.5, 0.55)]
    assert closures_to_stops(told, np.zeros(rate, np.float32), rate) == told


def test_a_break_inside_a_word_keeps_the_shape_and_a_pause_does_not() -> None:
    def shown(gap_s: float) -> list[str]:
        said = [("i", 0.0, 0.2), ("", 0.2, 0.2 + gap_s), ("u", 0.2 + gap_s, 0.6)]
        return [VISEMES[each.viseme] for each in segments(said)]

    assert shown(0.03) == ["ih", "ih", "ou"]
    assert shown(0.15) == ["ih", "sil", "ou"]


def test_a_diphthong_shares_its_time() -> None:
    assert segments([("aʊ", 0.0, 0.2)]) == [
        Segment(0.0, 0.1, INDEX["aa"]),
        Segment(0.1, 0.2, INDEX["ou"]),
    ]


def test_phonemes_without_time_are_passed_over() -> None:
    assert segments([("a", 0.1, 0.1), ("b", 0.2, 0.1)]) == []


def test_nothing_spoken_is_a_closed_mouth() -> None:
    assert segment_track([], 10, 25).max() == 0
    assert mouth_track([], 0.0, 25).shape == (0, 6)


def test_labels_and_curves_are_taken_at_the_times_asked_for() -> None:
    spoken = [Segment(0.0, 0.5, INDEX["aa"]), Segment(0.5, 1.0, INDEX["PP"])]
    at_s = np.array([0.1, 0.49, 0.51, 0.9])
    assert [VISEMES[each] for each in viseme_labels(spoken, at_s)] == ["aa", "aa", "PP", "PP"]
    curves = target_curves(spoken, at_s)
    assert curves.shape == (4, 3)
    assert curves[0, 0] > 0.95
    assert curves[3, 0] < 0.01
