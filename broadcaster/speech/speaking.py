"""A text becomes a sound file and its phoneme times, by the voice that was asked for.

Between the store and the decoder: what a voice says goes the same way as an upload. Must end in
bounded time whatever the voice does.
"""

from __future__ import annotations

import importlib.util
import json
import wave
from functools import cache
from pathlib import Path

import idle_media
from broadcaster.errors import ConfigError
from broadcaster.speech.voices.espeak import EspeakSettings, EspeakVoice
from broadcaster.speech.voices.espeak_names import LANGUAGES, read_choice
from broadcaster.speech.voices.voice import PhonemeTime, Voice, VoiceFailedError

TRIES = 2
"""A voice that breaks is started anew once: a sentence is not lost to one crash."""

CHARACTERS_PER_S = 14.0
"""How fast the default voice speaks, pauses included; for estimates only."""

AUTO = "auto"
"""Stands for the voice that fits the presenter."""

ANYBODY = "espeak"
"""Where no presenter has a voice of its own."""

_VARIANTS = "voices/!v"
_LANGUAGES = "lang"


class Speaker:
    """Keeps the voice that spoke last, ready; one thread's own. ``close`` ends it."""

    def __init__(self) -> None:
        self._name = ""
        self._voice: Voice | None = None

    def speak(self, text: str, voice: str, sound: Path, phonemes: Path) -> None:
        """Write the speech as a WAV file and, where the voice tells, its phonemes as JSON.

        The JSON is ``{"voice": name, "phonemes": [[name, start_s, end_s], ...]}``.

        Raises:
            UnspeakableTextError: nothing in the text can be spoken, or it is too long.
            VoiceFailedError: the voice broke twice, or is missing.
            OSError: the files cannot be written.
        """
        for left in reversed(range(TRIES)):
            speaking = self._of(voice)
            try:
                times = _write(speaking, text, sound)
            except VoiceFailedError:
                self.close()
                if left == 0:
                    raise
                continue
            if times is not None:
                told = [[each.name, each.start_s, each.end_s] for each in times]
                document = {"voice": speaking.name, "phonemes": told}
                phonemes.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
            return

    def close(self) -> None:
        """End the voice."""
        if self._voice is not None:
            self._voice.close()
            self._voice = None

    def _of(self, name: str) -> Voice:
        if self._voice is None or self._name != name:
            self.close()
            self._name, self._voice = name, make_voice(name)
        return self._voice


def make_voice(name: str) -> Voice:
    """The voice of this name; nothing is started yet.

    Raises:
        VoiceFailedError: there is none; settings and requests are checked before.
    """
    try:
        return EspeakVoice(EspeakSettings(choice=read_choice(name)))
    except ConfigError as error:
        raise VoiceFailedError(str(error)) from error


def check_voice(name: str) -> None:
    """Whether there is such a voice; nothing is loaded or started.

    Raises:
        ConfigError: there is none; the message says what there is.
    """
    choice = read_choice(name)
    languages, variants = _installed()
    if choice.voice and choice.voice.lower() not in languages:
        raise ConfigError(f"There is no voice for {choice.voice!r}.")
    if choice.variant and choice.variant not in variants:
        raise ConfigError(f"There is no variant {choice.variant!r} of a voice.")


def fitting_voice(asked: str, setting: str, presenter: str) -> str:
    """Who speaks: as asked, else as set, else whoever fits the presenter.

    Args:
        asked: of the request; empty or ``auto`` for none.
        setting: ``speech.voice``; ``auto`` for none.
        presenter: of the channel; empty for none.
    """
    for name in (asked, setting):
        if name not in {"", AUTO}:
            return name
    return (idle_media.voice(presenter) if presenter else "") or ANYBODY


def expected_s(text: str) -> float:
    """Roughly how long a text takes to say, in seconds."""
    return len(text) / CHARACTERS_PER_S


@cache
def _installed() -> tuple[frozenset[str], frozenset[str]]:
    """Languages and variants of the installed voice, from its files; the library is not loaded."""
    found = importlib.util.find_spec("espeakng_loader")
    if found is None or not found.submodule_search_locations:
        return LANGUAGES, frozenset()
    data = Path(found.submodule_search_locations[0]) / "espeak-ng-data"
    files = (each for each in (data / _LANGUAGES).rglob("*") if each.is_file())
    languages = {each.name.lower() for each in files}
    variants = {each.name for each in (data / _VARIANTS).iterdir()}
    return LANGUAGES | languages, frozenset(variants)


def _write(voice: Voice, text: str, sound: Path) -> list[PhonemeTime] | None:
    """Speak into a WAV file; the phonemes, or None when the voice does not tell all of them."""
    pieces = voice.speak(text)
    piece = next(pieces, None)
    if piece is None:
        raise VoiceFailedError("The voice said nothing.")
    times: list[PhonemeTime] | None = []
    with sound.open("wb") as file, wave.open(file, "wb") as wav:
        wav.setparams((1, 2, piece.sample_rate, 0, "NONE", "not compressed"))
        while piece is not None:
            wav.writeframesraw(piece.sound.astype("<i2", copy=False).tobytes())
            known = times is not None and piece.phonemes is not None
            times = [*(times or ()), *(piece.phonemes or ())] if known else None
            piece = next(pieces, None)
    return times
