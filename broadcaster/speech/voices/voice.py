"""The seam between the studio and whatever can speak: values and the ``Voice`` protocol.

Must know no engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from broadcaster.errors import SpeechError


class VoiceFailedError(SpeechError):
    """The voice broke or is missing: nothing the client could mend."""


@dataclass(frozen=True, slots=True)
class PhonemeTime:
    """One phoneme: IPA name ("" for a pause), start and end in seconds of the whole speech."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class SpokenPiece:
    """A piece of speech, ready for air; pieces follow each other without a gap.

    Attributes:
        text: the sentence that is spoken here.
        language: of the sentence, as detected or told.
        sound: int16 mono, the pause behind the sentence included.
        sample_rate: of ``sound``, in Hz.
        start_sample: where the piece begins in the whole speech.
        phonemes: in order, covering the piece; None where the voice does not tell.
    """

    text: str
    language: str
    sound: NDArray[np.int16]
    sample_rate: int
    start_sample: int
    phonemes: tuple[PhonemeTime, ...] | None


class Voice(Protocol):
    """Something that speaks. One speech at a time; any thread."""

    @property
    def name(self) -> str:
        """As in requests and settings, such as ``espeak:en-us+f3``."""

    @property
    def languages(self) -> frozenset[str]:
        """Languages that it speaks."""

    def speak(self, text: str) -> Iterator[SpokenPiece]:
        """Pieces in order, the first one as soon as it is there.

        Raises:
            UnspeakableTextError: nothing in the text can be spoken, or it is too long.
            VoiceFailedError: the voice broke, hung or is missing.
        """

    def close(self) -> None:
        """End what runs for this voice; a voice may be closed twice."""
