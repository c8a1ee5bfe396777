"""From phoneme times to mouth curves: training labels, and mouth tracks of voices that tell them.

A voice that knows its own phoneme times needs no network: the same recipe that makes the
network's targets makes its mouth track. Must stay a pure function of its arguments.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.mouth.visemes import (
    DD,
    FF,
    NN,
    PP,
    SHAPES,
    SIL,
    TH,
    VISEMES,
    ipa_visemes,
    is_stop,
)

Phoneme = tuple[str, float, float]
"""IPA name ("" for a pause), start and end in seconds."""

BREAK_S = 0.06
"""A nameless phoneme shorter than this is a break inside a word: the mouth does not close."""

CLOSURE_S = 0.12
"""Longest silence before a burst that is taken for the closure of a stop (p90 is 53 ms)."""

SILENT = 20.0 / 32768.0
"""Digital silence of a synthesizer: its closures hold nothing above this."""

_STEP_S = 0.005
_SMOOTH_S = 0.035
"""Neighbouring shapes melt together over this time (standard deviation)."""
_SEAL_S = 0.015
"""How softly the lips meet and part around p, b and m."""
_HOLD_S = 0.03
"""Lips stay shut at least this long on both sides of the middle of p, b and m."""
_MARK_S = 0.02
"""Softness of press, tuck and tongue."""
SHUT = 0.04
"""Largest opening of a picture in which the lips meet."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One viseme held from ``start_s`` to ``end_s``."""

    start_s: float
    end_s: float
    viseme: int


def mouth_track(
    phonemes: Sequence[Phoneme],
    duration_s: float,
    fps: int,
    sound: NDArray[np.float32] | None = None,
    sample_rate: int = 16_000,
) -> NDArray[np.float32]:
    """The mouth of a voice that tells its phoneme times.

    Args:
        phonemes: in order, with IPA names; times count from the start of the sound.
        duration_s: length of the sound.
        fps: pictures per second.
        sound: the sound itself, mono; where given, silent closures before stops are given to
            the stops, without which lips close too late.
        sample_rate: of ``sound``, in Hz.

    Returns:
        float32 (pictures, 6): open, wide, round, press, tuck, tongue, each 0 to 1. The last
        picture may reach past the end of the sound.
    """
    if sound is not None:
        phonemes = closures_to_stops(phonemes, sound, sample_rate)
    return segment_track(segments(phonemes), int(np.ceil(duration_s * fps - 1e-6)), fps)


def segment_track(spoken: Sequence[Segment], pictures: int, fps: int) -> NDArray[np.float32]:
    """``mouth_track`` for visemes instead of phonemes."""
    centres_s = (np.arange(pictures) + 0.5) / fps
    curves = target_curves(spoken, centres_s)
    marks = _marks(spoken, centres_s)
    track = np.concatenate([curves, marks], axis=1)
    for each in spoken:
        picture = int((each.start_s + each.end_s) / 2 * fps)
        if each.viseme == PP and 0 <= picture < pictures:
            track[picture, 0] = min(track[picture, 0], SHUT)
    return track.clip(0, 1)


def segments(phonemes: Iterable[Phoneme]) -> list[Segment]:
    """Visemes of phonemes; a diphthong's parts share its time, a break keeps what was before."""
    found: list[Segment] = []
    for name, start_s, end_s in phonemes:
        if end_s <= start_s:
            continue
        visemes = ipa_visemes(name)
        if not visemes or (visemes == (SIL,) and end_s - start_s < BREAK_S and found):
            visemes = (found[-1].viseme,) if found else (SIL,)
        edges = np.linspace(start_s, end_s, len(visemes) + 1)
        found += [
            Segment(float(a), float(b), viseme)
            for a, b, viseme in zip(edges, edges[1:], visemes, strict=False)
        ]
    return found


def closures_to_stops(
    phonemes: Sequence[Phoneme], sound: NDArray[np.float32], sample_rate: int
) -> list[Phoneme]:
    """Move the start of each stop back over the silence before its burst.

    A synthesizer reports the first *audible* sample; the closed lips before it would else count
    to the phoneme before.
    """
    found = list(phonemes)
    for index in range(1, len(found)):
        name, start_s, end_s = found[index]
        if not is_stop(name):
            continue
        before, before_s, _ = found[index - 1]
        first = max(round(before_s * sample_rate), round((start_s - CLOSURE_S) * sample_rate), 0)
        last = round(start_s * sample_rate)
        loud = np.flatnonzero(np.abs(sound[first:last]) >= SILENT)
        closed_s = (first + int(loud[-1]) + 1) / sample_rate if loud.size else start_s
        if start_s - closed_s > 0.008:
            found[index - 1] = (before, before_s, closed_s)
            found[index] = (name, closed_s, end_s)
    return found


def target_curves(spoken: Sequence[Segment], at_s: NDArray[np.float64]) -> NDArray[np.float32]:
    """Open, wide and round at given times; float32 (times, 3).

    Shapes of neighbours melt together, but p, b and m always reach zero opening.
    """
    size = _steps(at_s)
    shapes = np.zeros((size, 3), np.float32)
    sealed = np.zeros((size, 1), np.float32)
    for each in spoken:
        first, last = _span(each.start_s, each.end_s)
        shapes[first:last] = SHAPES[each.viseme]
        if each.viseme == PP:
            middle_s = (each.start_s + each.end_s) / 2
            first, last = _span(
                min(middle_s - _HOLD_S, each.start_s + _SEAL_S),
                max(middle_s + _HOLD_S, each.end_s - _SEAL_S),
            )
            sealed[first:last] = 1
    curves = _smoothed(shapes, _SMOOTH_S)
    curves[:, :1] *= 1 - _smoothed(sealed, _SEAL_S)
    taken: NDArray[np.float32] = curves[_steps_at(at_s, size)]
    return taken


def viseme_labels(spoken: Sequence[Segment], at_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """The viseme at given times."""
    labels: NDArray[np.int64] = np.full(_steps(at_s), SIL, np.int64)
    for each in spoken:
        first, last = _span(each.start_s, each.end_s)
        labels[first:last] = each.viseme
    return labels[_steps_at(at_s, len(labels))]


def tongue_weight(shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much of the tongue shows, from shares of visemes (..., 15)."""
    shown: NDArray[np.float32] = shares[..., TH] + np.float32(0.6) * shares[..., NN]
    shown += np.float32(0.5) * shares[..., DD]
    return np.clip(shown, 0, 1)


def _marks(spoken: Sequence[Segment], at_s: NDArray[np.float64]) -> NDArray[np.float32]:
    """Press, tuck and tongue at given times."""
    size = _steps(at_s)
    held = np.zeros((size, len(VISEMES)), np.float32)
    for each in spoken:
        first, last = _span(each.start_s, each.end_s)
        held[first:last, each.viseme] = 1
    soft = _smoothed(held, _MARK_S)[_steps_at(at_s, size)]
    return np.stack([soft[:, PP], soft[:, FF], tongue_weight(soft)], axis=1)


def _span(start_s: float, end_s: float) -> tuple[int, int]:
    first = max(0, int(start_s / _STEP_S))
    return first, max(first + 1, int(end_s / _STEP_S))


def _steps(at_s: NDArray[np.float64]) -> int:
    return int(at_s[-1] / _STEP_S) + 2 if at_s.size else 1


def _steps_at(at_s: NDArray[np.float64], size: int) -> NDArray[np.intp]:
    return (at_s / _STEP_S).astype(np.intp).clip(0, size - 1)


def _smoothed(curves: NDArray[np.float32], deviation_s: float) -> NDArray[np.float32]:
    """Every column under a Gaussian; the first and last values go on past the ends."""
    reach = int(np.ceil(3 * deviation_s / _STEP_S))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * _STEP_S / deviation_s) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(curves, ((reach, reach), (0, 0)), "edge")
    columns = (np.convolve(column, kernel, "valid") for column in padded.T)
    return np.stack(list(columns), axis=1).astype(np.float32)


def spoken_closures(spoken: Sequence[Segment]) -> list[tuple[float, float]]:
    """Start and end of every p, b and m; those that follow each other directly count once."""
    found = []
    for _, group in itertools.groupby(spoken, key=lambda each: each.viseme == PP):
        members = list(group)
        if members[0].viseme == PP:
            found.append((members[0].start_s, members[-1].end_s))
    return found
