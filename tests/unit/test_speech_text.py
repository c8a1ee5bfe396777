"""A text on its way to a voice: cleaned, cut into sentences, each with its language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.errors import SpeechError
from broadcaster.speech.languages import script_of, text_language
from broadcaster.speech.text import (
    LONGEST_SENTENCE,
    LONGEST_TEXT,
    clean,
    read_text,
    speakable,
    split_sentences,
)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("你好。今天天气很好！真的吗？", ["你好。", "今天天气很好！", "真的吗？"]),
        ("It is 3.14, not 3.15. Right?", ["It is 3.14, not 3.15.", "Right?"]),
        (
            "Dr. Smith met J. Doe at noon. They left.",
            ["Dr. Smith met J. Doe at noon.", "They left."],
        ),
        ("z. B. so etwas. Dann Schluss.", ["z. B. so etwas.", "Dann Schluss."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("Wait... what? No!!", ["Wait... what?", "No!!"]),
        ("क्या हुआ? कुछ नहीं। ठीक है।", ["क्या हुआ?", "कुछ नहीं।", "ठीक है।"]),
        ("كيف حالك؟ بخير.", ["كيف حالك؟", "بخير."]),
        ("no full stop at the end", ["no full stop at the end"]),
        ("", []),
    ],
)
def test_a_paragraph_falls_into_sentences(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


def test_a_sentence_without_end_is_cut_where_one_breathes() -> None:
    text = ", ".join(["a clause of some words"] * 60)
    pieces = split_sentences(text)
    assert max(len(each) for each in pieces) <= LONGEST_SENTENCE
    assert all(each.endswith(",") for each in pieces[:-1])
    assert " ".join(pieces) == text


def test_a_wall_of_ideographs_is_cut_too() -> None:
    text = "天" * 1000
    pieces = split_sentences(text)
    assert max(len(each) for each in pieces) <= LONGEST_SENTENCE
    assert "".join(pieces) == text


@given(st.text(max_size=1200))
def test_nothing_speakable_is_lost_and_no_control_is_kept(text: str) -> None:
    plain = clean(text)
    pieces = [each for line in plain.split("\n") for each in split_sentences(line)]
    assert "".join("".join(pieces).split()) == "".join(plain.split())
    assert all(len(each) <= LONGEST_SENTENCE for each in pieces)
    assert not any(ord(letter) < 32 for each in pieces for letter in each)


def test_control_characters_and_broken_halves_are_taken_out() -> None:
    assert clean("a\x00b\x1b[31mc\ud800d\u202ee\tf\r\n\r\n g  h") == "ab[31mcde f\ng h"


def test_joiners_stay_for_the_scripts_that_need_them() -> None:
    assert clean("می\u200cخواهم") == "می\u200cخواهم"


@pytest.mark.parametrize("text", ["", "   ", "...!?", "\x00\x01", "🎉🎉", "—", "\ud800", "。。。"])
def test_a_text_in_which_nothing_can_be_spoken_is_refused(text: str) -> None:
    assert not speakable(text)
    with pytest.raises(SpeechError, match="nothing that can be spoken"):
        read_text(text, "en")


def test_a_text_that_is_too_long_is_refused() -> None:
    assert read_text("a " * (LONGEST_TEXT // 2), "en")
    with pytest.raises(SpeechError, match="longer than 5000"):
        read_text("a" * (LONGEST_TEXT + 1), "en")


@pytest.mark.parametrize(
    ("sentence", "language"),
    [
        ("Good evening and welcome to the show.", "en"),
        ("OK", "en"),
        ("Hello world", "en"),
        ("Zero, one, two, three, four, five, six, seven, eight, nine, ten.", "en"),
        ("12345", "en"),
        ("你好，欢迎来到直播间。", "zh"),
        ("我喜欢 Python 和 FFmpeg。", "zh"),
        ("The company 华为 announced a new telephone.", "zh"),
        ("The angle α is small.", "en"),
        ("Мы слушаем Radio Free Berlin.", "ru"),
        ("みなさん、こんばんは。", "ja"),
        ("今日は天気がいいです。", "ja"),
        ("안녕하세요 여러분.", "ko"),
        ("Добрый вечер, друзья.", "ru"),
        ("Ласкаво просимо до київського ефіру.", "uk"),
        ("مرحبا بكم في البرنامج.", "ar"),
        ("چگونه می‌توانم کمک کنم؟", "fa"),
        ("नमस्ते दोस्तों।", "hi"),
        ("Καλησπέρα σας.", "el"),
        ("Guten Abend, wie geht es Ihnen?", "de"),
        ("Bonsoir, quelle est la météo pour demain ?", "fr"),
        ("Buenas noches, ¿cómo está usted?", "es"),
        ("Buonasera, come sono andate le partite?", "it"),
        ("Boa noite, você não está com fome?", "pt"),
        ("Dobry wieczór, jak się pan ma?", "pl"),
        ("Goedenavond, hoe is het met u?", "nl"),
        ("İyi akşamlar, bugün hava çok güzel değil mi?", "tr"),
        ("Xin chào các bạn.", "vi"),
    ],
)
def test_the_language_of_a_sentence_is_seen(sentence: str, language: str) -> None:
    assert text_language(sentence, "en") == language


def test_where_nothing_shows_the_default_speaks() -> None:
    assert text_language("Berlin", "de") == "de"
    assert text_language("2026", "fr") == "fr"
    assert text_language("Москва", "uk") == "uk"
    assert text_language("Москва", "de") == "ru"


def test_ideographs_among_kana_are_japanese() -> None:
    languages = [each.language for each in read_text("東京。とてもいいです。", "en")]
    assert languages == ["ja", "ja"]
    assert [each.language for each in read_text("北京。很好。", "en")] == ["zh", "zh"]


def test_each_sentence_of_a_mixed_text_has_its_language() -> None:
    read = read_text("Hello to all of you. 大家好。Guten Abend und willkommen.", "en")
    assert [each.language for each in read] == ["en", "zh", "de"]


def test_paragraphs_end_where_lines_end() -> None:
    read = read_text("One. Two.\n\n...\nThree.", "en")
    assert [(each.text, each.ends_paragraph) for each in read] == [
        ("One.", False),
        ("Two.", True),
        ("Three.", True),
    ]


def test_languages_of_one_script_can_share_a_voice() -> None:
    assert script_of("uk") == script_of("ru") != script_of("en")
    assert script_of("de") == script_of("en") == "latin"
    assert script_of("cmn") == script_of("zh") != script_of("ja")
