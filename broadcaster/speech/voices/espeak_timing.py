"""From what espeak-ng says to a piece of speech: phoneme times, closures, the pause behind.

Pure. Must leave every phoneme inside the piece and in order, whatever the child said.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from broadcaster.speech.text import Sentence
from broadcaster.speech.voices.voice import PhonemeTime, SpokenPiece

PAUSE_S = 0.30
PARAGRAPH_PAUSE_S = 0.65
"""Silence between sentences and between paragraphs, as newsreaders make them."""

_SILENT = 20
"""Digital silence of espeak-ng stays under this (of 32768)."""

_LEAD_IN_S = 0.01
"""Silence kept before the first sound of a sentence."""


def placed(
    sentence: Sentence,
    sound: NDArray[np.int16],
    starts: list[tuple[int, str]],
    sample_rate: int,
    start_sample: int,
) -> SpokenPiece | None:
    """The sentence as a piece, or None when nothing was audible.

    Args:
        sentence: what was spoken.
        sound: int16 mono, whatever silence around it.
        starts: sample and IPA name of each phoneme, as the child told them.
        sample_rate: in Hz.
        start_sample: where the piece begins in the whole speech.
    """
    audible = np.flatnonzero(np.abs(sound.astype(np.int32)) > _SILENT)
    if audible.size == 0:
        return None
    first = max(0, int(audible[0]) - round(_LEAD_IN_S * sample_rate))
    end = int(audible[-1]) + 1
    pause_s = PARAGRAPH_PAUSE_S if sentence.ends_paragraph else PAUSE_S
    pause = np.zeros(round(pause_s * sample_rate), np.int16)
    phonemes = _phonemes(starts, first, end, sample_rate, start_sample)
    phonemes.append(
        PhonemeTime(
            "",
            (start_sample + end - first) / sample_rate,
            (start_sample + end - first + len(pause)) / sample_rate,
        )
    )
    return SpokenPiece(
        sentence.text,
        sentence.language,
        np.concatenate([sound[first:end], pause]),
        sample_rate,
        start_sample,
        tuple(phonemes),
    )


def _phonemes(
    starts: list[tuple[int, str]], first: int, end: int, sample_rate: int, start_sample: int
) -> list[PhonemeTime]:
    """Phonemes of the audible part; switches of language, such as ``(en)``, are no phonemes."""
    told = sorted(
        ((min(max(at, first), end), name) for at, name in starts if not name.startswith("(")),
        key=lambda each: each[0],
    )
    ends = [*(at for at, _ in told[1:]), end][: len(told)]
    found = []
    for (at, name), until in zip(told, ends, strict=True):
        if until > at:
            shift = start_sample - first
            plain = name.replace("ˈ", "").replace("ˌ", "")
            found.append(
                PhonemeTime(plain, (at + shift) / sample_rate, (until + shift) / sample_rate)
            )
    return found
