"""Names of espeak-ng's voices: what may be asked for, and which voice speaks which language.

Pure. A voice is asked for as ``espeak``, ``espeak:VOICE``, ``espeak+VARIANT`` or
``espeak:VOICE+VARIANT``; a language (``espeak:de``) is a voice too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from broadcaster.errors import ConfigError
from broadcaster.speech.languages import script_of

VARIANT = "f2"
"""The default presenter is a woman. Of the female variants this is the clearest: with six sentences
in American English a recogniser (pocketsphinx) got 31 % of the words wrong, with f5 42 %, with f1,
f3 and f4 over 70 %, with the named ones (Annie, belinda, linda, ...) over 60 %. Of 30 others, with
six other sentences (f2 43 %), edward with 28 % was far ahead of edward2, miguel and adam (51 to
60 %) and of m1 to m8 (60 to 82 %). Edward's voice lies at 109 Hz, f2's at 208 Hz."""

_VOICES: Mapping[str, str] = {"en": "en-us", "zh": "cmn", "pt": "pt-br", "no": "nb"}
"""Languages whose voice has another name than they have."""

_OTHER_NAMES = frozenset({"as", "an", "cmn", "haw", "nb", "or", "qu", "tk", "tn", "ug", "yue"})
"""Voices whose names are no language of ours, but which may be asked for."""

LANGUAGES = frozenset(
    {
        *("am", "ar", "bg", "bn", "bs", "ca", "cs", "cy", "da", "de", "el", "en", "eo", "es", "et"),
        *("eu", "fa", "fi", "fr", "ga", "gd", "gu", "he", "hi", "hr", "hu", "hy", "id", "is"),
        *("it", "ja", "ka", "kk", "kn", "ko", "ku", "la", "lt", "lv", "mk", "ml", "mr", "ms", "mt"),
        *("my", "ne", "nl", "no", "pa", "pl", "pt", "ro", "ru", "si", "sk", "sl", "sq", "sr", "sv"),
        *("sw", "ta", "te", "th", "tr", "tt", "uk", "ur", "uz", "vi", "zh"),
    }
)

_NAME = re.compile(r"espeak(?::([A-Za-z]{2,3}(?:-[A-Za-z0-9]+)*))?(?:\+([A-Za-z0-9]+))?")


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked for; without a voice, each sentence is read by that of its language."""

    voice: str = ""
    variant: str = ""

    def __str__(self) -> str:
        named = f":{self.voice}" if self.voice else ""
        return f"espeak{named}" + (f"+{self.variant}" if self.variant else "")


def read_choice(name: str) -> Choice:
    """The choice that a name stands for.

    Raises:
        ConfigError: the name is not of the form above, or espeak-ng has no such voice.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise ConfigError(f"{name!r} is no voice: espeak, espeak:de or espeak:en-us+f3 would be")
    voice = found[1] or ""
    if voice and voice.partition("-")[0] not in LANGUAGES | _OTHER_NAMES:
        raise ConfigError(f"espeak-ng has no voice {voice!r}")
    return Choice(voice, found[2] or "")


def chosen_voice(choice: Choice, language: str) -> str:
    """espeak-ng's name of the voice for a sentence.

    A chosen voice speaks everything in its own script; a Chinese sentence is never given to an
    English voice, which would spell it out as letter names.
    """
    asked = choice.voice
    if not asked or script_of(asked.partition("-")[0]) != script_of(language):
        asked = language
    return f"{_VOICES.get(asked, asked)}+{choice.variant or VARIANT}"
