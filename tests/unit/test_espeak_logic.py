"""The pure parts of the offline voice: names, frames, and where phonemes come to lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.errors import ConfigError
from broadcaster.speech.speaking import fitting_voice
from broadcaster.speech.text import Sentence
from broadcaster.speech.voices.espeak_names import Choice, chosen_voice, read_choice
from broadcaster.speech.voices.espeak_timing import PARAGRAPH_PAUSE_S, PAUSE_S, placed
from broadcaster.speech.voices.espeak_wire import (
    DONE,
    HEADER,
    LONGEST_FRAME_BYTES,
    PHONEMES,
    SOUND,
    Frames,
    Request,
    frame,
    read_request,
    request_line,
)

RATE = 1000


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("espeak", Choice()),
        ("espeak:de", Choice("de")),
        ("espeak:en-us+f4", Choice("en-us", "f4")),
        ("espeak+edward", Choice("", "edward")),
        ("espeak:cmn-latn-pinyin", Choice("cmn-latn-pinyin")),
    ],
)
def test_a_voices_name_is_read_and_told_alike(name: str, choice: Choice) -> None:
    assert read_choice(name) == choice
    assert str(choice) == name


@pytest.mark.parametrize(
    "name", ["", "espeak:", "espeak:../x", "flite", "espeak:en us", "espeak:+f3", "espeak+"]
)
def test_a_name_that_is_no_voice_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is no voice"):
        read_choice(name)


def test_a_voice_of_no_known_language_is_refused() -> None:
    with pytest.raises(ConfigError, match="no voice 'qq'"):
        read_choice("espeak:qq")


@pytest.mark.parametrize(
    ("name", "language", "voice"),
    [
        ("espeak", "en", "en-us+f2"),
        ("espeak", "zh", "cmn+f2"),
        ("espeak", "de", "de+f2"),
        ("espeak:en-us+m1", "de", "en-us+m1"),
        ("espeak:en-us+m1", "zh", "cmn+m1"),
        ("espeak:de", "en", "de+f2"),
        ("espeak:cmn", "zh", "cmn+f2"),
        ("espeak:cmn", "en", "en-us+f2"),
        ("espeak:uk", "ru", "uk+f2"),
    ],
)
def test_a_voice_speaks_what_its_script_is(name: str, language: str, voice: str) -> None:
    assert chosen_voice(read_choice(name), language) == voice


@given(st.lists(st.tuples(st.sampled_from([SOUND, PHONEMES, DONE]), st.binary(max_size=40))))
def test_frames_survive_any_cut(sent: list[tuple[bytes, bytes]]) -> None:
    data = b"".join(frame(kind, payload) for kind, payload in sent)
    for size in (1, 3, 1000):
        frames = Frames()
        got = [
            each for at in range(0, len(data), size) for each in frames.feed(data[at : at + size])
        ]
        assert got == sent


@pytest.mark.parametrize(
    "data", [b"hello world", HEADER.pack(SOUND, LONGEST_FRAME_BYTES + 1), b"\x00" * 5]
)
def test_what_is_no_frame_is_seen_at_once(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a frame"):
        Frames().feed(data)


@given(st.text())
def test_a_request_is_one_line_whatever_the_text(text: str) -> None:
    request = Request("en+f3", text, 165, 50)
    line = request_line(request)
    assert line.count(b"\n") == 1
    assert read_request(line) == request


def spoken(before: int, length: int, after: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.concatenate(
        [np.zeros(before, np.int16), np.full(length, 900, np.int16), np.zeros(after, np.int16)]
    )


def test_silence_around_a_sentence_becomes_the_stations_own_pause() -> None:
    starts = [(0, ""), (300, "h"), (400, "ˈa"), (600, "(en)"), (700, "t"), (800, "")]
    for ends_paragraph, pause_s in ((False, PAUSE_S), (True, PARAGRAPH_PAUSE_S)):
        sentence = Sentence("hat", "en", ends_paragraph)
        piece = placed(sentence, spoken(300, 500, 900), starts, RATE, 5000)
        assert piece is not None
        assert len(piece.sound) == 10 + 500 + round(pause_s * RATE)
        assert piece.phonemes is not None
        told = [
            (each.name, round(each.start_s, 3), round(each.end_s, 3)) for each in piece.phonemes
        ]
        assert told == [
            ("", 5.0, 5.01),
            ("h", 5.01, 5.11),
            ("a", 5.11, 5.41),
            ("t", 5.41, 5.51),
            ("", 5.51, round(5.51 + pause_s, 3)),
        ]


def test_a_sentence_without_sound_is_no_piece() -> None:
    assert placed(Sentence("x", "en", False), spoken(300, 0, 0), [(0, "x")], RATE, 0) is None


@given(
    st.lists(st.tuples(st.integers(-100, 3000), st.sampled_from(["a", "p", "", "(en)"]))),
    st.integers(1, 1000),
)
def test_phonemes_lie_in_order_inside_the_piece_whatever_the_child_says(
    starts: list[tuple[int, str]], length: int
) -> None:
    piece = placed(Sentence("x", "en", False), spoken(50, length, 50), starts, RATE, 100)
    assert piece is not None
    assert piece.phonemes is not None
    edges = [edge for each in piece.phonemes for edge in (each.start_s, each.end_s)]
    assert edges == sorted(edges)
    assert edges[0] >= 0.1
    assert edges[-1] <= (100 + len(piece.sound)) / RATE + 1e-9


@pytest.mark.parametrize(
    ("asked", "setting", "presenter", "voice"),
    [
        ("espeak:de", "espeak:fr", "leon", "espeak:de"),
        ("", "espeak:fr", "leon", "espeak:fr"),
        ("auto", "espeak:fr", "leon", "espeak:fr"),
        ("", "auto", "leon", "espeak+edward"),
        ("auto", "auto", "anna", "espeak+f2"),
        ("", "auto", "somebody-of-your-own", "espeak"),
        ("", "auto", "", "espeak"),
    ],
)
def test_who_speaks_is_whoever_is_named_first_else_whoever_fits_the_presenter(
    asked: str, setting: str, presenter: str, voice: str
) -> None:
    assert fitting_voice(asked, setting, presenter) == voice
