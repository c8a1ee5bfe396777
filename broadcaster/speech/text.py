"""A text on its way to a voice: cleaned, cut into sentences, each with its language.

Pure. Must let nothing through that a voice could take for markup or control, and must refuse a
text in which nothing can be spoken before a voice is bothered.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from broadcaster.errors import SpeechError
from broadcaster.speech.languages import text_language

LONGEST_TEXT = 5000
"""Characters; about six minutes of speech."""

LONGEST_SENTENCE = 400
"""Characters; longer ones are cut at a comma or a space, so that sound comes soon and steadily."""

_END = re.compile(
    r"[.!?]+[\"'”’»)\]]*(?=\s|$)|[。！？!?…।؟۔｡]+[\"'”’»」』）)\]]*|[；;]+(?=\s|[^\x00-\x7f])"
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:mr|mrs|ms|dr|prof|st|sr|jr|vs|no|nr|bzw|z\.\s?b|u\.\s?a|ca|etc|e\.g|i\.e|m|mme|"
    r"sig|sra|dott|approx|[^\W\d_])\.$",
    re.IGNORECASE,
)
_SOFT_BREAK = re.compile(r"[,，、;；:：–—]\s*|\s")


class UnspeakableTextError(SpeechError):
    """The text cannot be spoken; the message is for whoever sent it."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """What is spoken in one breath; ``ends_paragraph`` asks for a longer pause behind it."""

    text: str
    language: str
    ends_paragraph: bool


def read_text(text: str, default_language: str) -> list[Sentence]:
    """Sentences of a text, at least one.

    Args:
        text: as it came from a client.
        default_language: of Latin letters that show nothing else.

    Raises:
        UnspeakableTextError: too long, or nothing in it can be spoken.
    """
    if len(text) > LONGEST_TEXT:
        raise UnspeakableTextError(
            f"The text is longer than {LONGEST_TEXT} characters; it has {len(text)}."
        )
    plain = clean(text)
    found: list[Sentence] = []
    for paragraph in plain.split("\n"):
        spoken = [each for each in split_sentences(paragraph) if speakable(each)]
        found += [
            Sentence(each, text_language(each, default_language, plain), each is spoken[-1])
            for each in spoken
        ]
    if not found:
        raise UnspeakableTextError("The text holds nothing that can be spoken.")
    return found


def speakable(text: str) -> bool:
    """Whether there is any letter or digit, of whatever script."""
    return any(unicodedata.category(each)[0] in "LN" for each in text)


def clean(text: str) -> str:
    """Composed Unicode without control, private or broken characters; line ends are kept.

    Joiners stay, since some scripts need them. Runs of space become one.
    """
    composed = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    kept = "".join(_kept(each) for each in composed)
    lines = (" ".join(line.split()) for line in kept.split("\n"))
    return "\n".join(line for line in lines if line)


def split_sentences(paragraph: str) -> list[str]:
    """Sentences of one paragraph, none longer than ``LONGEST_SENTENCE``, none empty.

    Numbers (3.14), initials and usual abbreviations do not end a sentence.
    """
    found, start = [], 0
    for end in _END.finditer(paragraph):
        if not end[0].strip(".") and _goes_on(paragraph, start, end.end()):
            continue
        found.append(paragraph[start : end.end()].strip())
        start = end.end()
    found.append(paragraph[start:].strip())
    return [piece for sentence in found if sentence for piece in _cut(sentence)]


def _goes_on(paragraph: str, start: int, end: int) -> bool:
    """Whether the sentence goes on behind its full stop at ``end``, as after an abbreviation."""
    after = paragraph[end:].lstrip()[:1]
    return bool(after) and (
        after.islower() or _ABBREVIATION.search(paragraph[start:end]) is not None
    )


def _cut(sentence: str) -> list[str]:
    pieces = []
    while len(sentence) > LONGEST_SENTENCE:
        breaks = list(_SOFT_BREAK.finditer(sentence, 1, LONGEST_SENTENCE))
        commas = [each for each in breaks if not each[0].isspace()]
        usable = [each for each in commas if each.end() > LONGEST_SENTENCE // 3] or breaks
        end = usable[-1].end() if usable else LONGEST_SENTENCE
        pieces.append(sentence[:end].strip())
        sentence = sentence[end:].strip()
    return [*pieces, sentence] if sentence else pieces


def _kept(letter: str) -> str:
    if letter in "\n\u200c\u200d":
        return letter
    category = unicodedata.category(letter)
    if category in {"Zs", "Zl", "Zp"} or letter == "\t":
        return " "
    return "" if category in {"Cc", "Cf", "Cs", "Co", "Cn"} else letter
