"""The offline voice: espeak-ng in a child process, the parent's side.

Always there, in about a hundred languages, without a network or a model. The library is GPL-3: it
lives in the child only, and nothing here may import it. A child that hangs, lies or dies costs the
sentence in hand an error in time, never the station anything else.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from broadcaster.processes import kill_group, start_child
from broadcaster.speech.text import Sentence, UnspeakableTextError, read_text
from broadcaster.speech.voices.espeak_names import LANGUAGES, Choice, chosen_voice
from broadcaster.speech.voices.espeak_timing import placed
from broadcaster.speech.voices.espeak_wire import (
    DONE,
    PHONEMES,
    READY,
    REFUSED,
    SOUND,
    Frames,
    Request,
    request_line,
)
from broadcaster.speech.voices.voice import SpokenPiece, VoiceFailedError

CHILD = (sys.executable, "-m", "broadcaster.speech.voices.espeak_child")

LONGEST_SENTENCE_S = 120
"""Sound of one sentence; the longest (400 characters, at the slowest) takes 60 s."""


@dataclass(frozen=True, slots=True)
class EspeakSettings:
    """How to speak.

    Attributes:
        choice: the voice asked for, see ``espeak_names``.
        default_language: what Latin letters are read as when nothing else shows.
        words_per_minute: 80 to 450; 165 is an unhurried presenter.
        pitch: 0 to 99.
        timeout_s: wall time for the child to start, and for one sentence.
        command: the child's command line.
    """

    choice: Choice = field(default_factory=Choice)
    default_language: str = "en"
    words_per_minute: int = 165
    pitch: int = 55
    timeout_s: float = 10.0
    command: Sequence[str] = CHILD


class EspeakVoice:
    """One child at a time, started by ``warm`` or by the first sentence; ``close`` ends it.

    The kernel kills the child when the *thread* that started it ends (see
    ``broadcaster.processes``); the next sentence then starts a new one, within 0.1 s.
    """

    languages = LANGUAGES

    def __init__(self, settings: EspeakSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._child: _Child | None = None

    @property
    def name(self) -> str:
        """``espeak`` or, with a chosen voice, such as ``espeak:en-us+f3``."""
        return str(self._settings.choice)

    def warm(self) -> None:
        """Start the child ahead of the first sentence.

        Raises:
            VoiceFailedError: it cannot be started.
        """
        with self._lock:
            self._ready()

    def speak(self, text: str) -> Iterator[SpokenPiece]:
        """Sentence by sentence; the text is judged before the first piece is asked for.

        Raises:
            UnspeakableTextError: nothing in the text can be spoken, or it is too long.
            VoiceFailedError: the child hung, died or is missing.
        """
        return self._pieces(read_text(text, self._settings.default_language))

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _pieces(self, sentences: list[Sentence]) -> Iterator[SpokenPiece]:
        start_sample, spoken = 0, False
        for sentence in sentences:
            sound, starts, sample_rate = self._sentence(sentence)
            piece = placed(sentence, sound, starts, sample_rate, start_sample)
            if piece is None:
                continue
            spoken = True
            start_sample += len(piece.sound)
            yield piece
        if not spoken:
            raise UnspeakableTextError("The text holds nothing that the voice can speak.")

    def _sentence(self, sentence: Sentence) -> tuple[NDArray[np.int16], list[tuple[int, str]], int]:
        request = Request(
            chosen_voice(self._settings.choice, sentence.language),
            sentence.text,
            self._settings.words_per_minute,
            self._settings.pitch,
        )
        with self._lock:
            deadline = time.monotonic() + self._settings.timeout_s
            child = self._ready()
            try:
                child.ask(request)
                sound, starts = child.answer(deadline)
            except BaseException:  # what the child still says belongs to nobody
                self._end()
                raise
            return sound, starts, child.sample_rate

    def _ready(self) -> _Child:
        if self._child is None or not self._child.alive:
            self._end()
            child = _Child(self._settings.command)
            self._child = child
            try:
                child.wait_ready(time.monotonic() + self._settings.timeout_s)
            except BaseException:
                self._end()
                raise
        return self._child

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    """A started child: its pipes, and what it has said."""

    def __init__(self, command: Sequence[str]) -> None:
        try:
            self._process = start_child(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                foreign=False,
            )
        except OSError as error:
            raise VoiceFailedError("the voice cannot be started") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        os.set_blocking(self._from.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._from, selectors.EVENT_READ)
        self._frames = Frames()
        self.sample_rate = 0

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait_ready(self, deadline: float) -> None:
        """Until the library is loaded."""
        for kind, payload in self._read(deadline):
            if kind == READY:
                self.sample_rate = int(json.loads(payload)["sample_rate"])
                return
            raise VoiceFailedError(payload.decode("utf-8", "replace") or "the voice is confused")

    def ask(self, request: Request) -> None:
        """Send one sentence; a few hundred characters always fit into the pipe."""
        try:
            self._to.write(request_line(request))
            self._to.flush()
        except OSError as error:
            raise VoiceFailedError("the voice ended unexpectedly") from error

    def answer(self, deadline: float) -> tuple[NDArray[np.int16], list[tuple[int, str]]]:
        """Sound and phoneme starts (sample, IPA name) of the sentence asked for."""
        sound, starts = bytearray(), list[tuple[int, str]]()
        for kind, payload in self._read(deadline):
            if kind == SOUND:
                sound += payload
                if len(sound) > 2 * LONGEST_SENTENCE_S * self.sample_rate:
                    raise VoiceFailedError("the voice does not stop")
            elif kind == PHONEMES:
                starts += _starts(payload)
            elif kind == REFUSED:
                raise VoiceFailedError(payload.decode("utf-8", "replace"))
            elif kind == DONE:
                break
        return np.frombuffer(bytes(sound[: len(sound) // 2 * 2]), "<i2"), starts

    def end(self) -> None:
        """Kill and reap."""
        kill_group(self._process.pid)
        self._process.wait()
        self._selector.close()
        with contextlib.suppress(OSError):  # unsent bytes
            self._to.close()
        self._from.close()

    def _read(self, deadline: float) -> Iterator[tuple[bytes, bytes]]:
        while True:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not self._selector.select(left_s):
                raise VoiceFailedError("the voice took too long")
            data = os.read(self._from.fileno(), 1 << 16)
            if not data:
                raise VoiceFailedError("the voice ended unexpectedly")
            try:
                yield from self._frames.feed(data)
            except ValueError as error:
                raise VoiceFailedError("the voice answers nonsense") from error


def _starts(payload: bytes) -> list[tuple[int, str]]:
    try:
        return [(int(sample), str(name)) for sample, name in json.loads(payload)]
    except (ValueError, TypeError) as error:
        raise VoiceFailedError("the voice answers nonsense") from error


def _environment() -> Mapping[str, str]:
    """The child finds this package wherever the parent found it."""
    paths = [path for path in sys.path if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
