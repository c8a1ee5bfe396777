"""How open a mouth is in captured pictures, and whether that is what its phonemes ask for.

Nothing here knows what a mouth is: in each picture it is compared with the most alike shut one, one
of the pauses, or one that is given. "template" is the mean difference of its pixels, "extent" how
many of its rows differ. Both are correlated with the opening that the phonemes ask for; the shift
that fits best is how late the mouth is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.capture import Captured, Luma, Sound
from benchmarks.rig import SOUND_RATE
from gpu_pool.engines.mouth.phonemes import Segment, spoken_closures, target_curves
from gpu_pool.engines.mouth.visemes import SIL

REACH_S, STEP_S = 0.6, 0.005
CLOSED = 0.25
"""Share of the way from the 5th to the 95th percentile of the opening that still counts as shut."""

LONG_PAUSE_S, PAUSE_EDGE_S = 0.25, 0.08
DIFFERS = 12
"""Levels of luma by which a row of the mouth must differ, on average, to count as open."""


@dataclass(frozen=True, slots=True)
class Speech:
    """Sound at 48 kHz, and the visemes in it."""

    sound: Sound
    spoken: list[Segment]


@dataclass(frozen=True, slots=True)
class Mouth:
    """The captured mouth while one speech is heard.

    ``at_s`` is the middle of each picture, counted from the speech's first sample; ``opening`` 0
    and 1 are the 5th and the 95th percentile.
    """

    at_s: NDArray[np.float64]
    opening: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``late_s`` is how much the mouth comes after the sound."""

    corr: float
    late_s: float
    closures: float
    pauses: float


def fit(mouth: Mouth, spoken: list[Segment]) -> tuple[float, float]:
    """The best correlation with the opening that was asked for, and how late the mouth is there."""
    best = (-1.0, 0.0)
    for late_s in np.arange(-REACH_S, REACH_S + STEP_S / 2, STEP_S):
        wanted = target_curves(spoken, np.append(mouth.at_s - late_s, spoken[-1].end_s))[:-1, 0]
        best = max(best, (float(np.corrcoef(mouth.opening, wanted)[0, 1]), float(late_s)))
    return best


def judge(mouth: Mouth, spoken: list[Segment], picture_s: float) -> Verdict:
    """All figures of one speech."""
    corr, late_s = fit(mouth, spoken)
    at_s = mouth.at_s - late_s
    closed = []
    for start_s, end_s in spoken_closures(spoken):
        near = (at_s > start_s - picture_s) & (at_s < end_s + picture_s)
        closed.append(mouth.opening[near].min(initial=1.0) < CLOSED)
    paused = mouth.opening[pause_of(at_s, spoken) > 0] < CLOSED
    return Verdict(corr, late_s, float(np.mean(closed)), float(paused.mean()))


def pause_of(at_s: NDArray[np.float64], spoken: list[Segment]) -> NDArray[np.intp]:
    """The number of the long pause that a moment lies well inside, from 1 on; 0 for none."""
    found = np.zeros(len(at_s), np.intp)
    for number, each in enumerate(joined_pauses(spoken), 1):
        if each.end_s - each.start_s > LONG_PAUSE_S:
            inside = (at_s > each.start_s + PAUSE_EDGE_S) & (at_s < each.end_s - PAUSE_EDGE_S)
            found[inside] = number
    return found


def joined_pauses(spoken: list[Segment]) -> list[Segment]:
    """Pauses, those that follow each other as one."""
    found: list[Segment] = []
    for each in spoken:
        if each.viseme != SIL:
            continue
        if found and each.start_s - found[-1].end_s < STEP_S:
            found[-1] = Segment(found[-1].start_s, each.end_s, SIL)
        else:
            found.append(each)
    return found


class Closed:
    """What the mouth looks like when it is shut.

    Args:
        pictures: of the mouth while a speech is heard; those of its long pauses count.
        paused: number of the pause that each picture lies in, 0 for none.
        pressed: more shut mouths.
    """

    def __init__(self, pictures: Luma, paused: NDArray[np.intp], pressed: Luma) -> None:
        looks = np.concatenate([pictures[paused > 0], pressed])
        self._looks = np.ascontiguousarray(looks)
        self._pause = np.append(paused[paused > 0], np.full(len(pressed), -1))

    def nearest(self, picture: Luma, pause: int) -> NDArray[np.float32]:
        """Differences from the most alike shut mouth, not of the same pause; as ``picture``."""
        far = [
            cv2.norm(look, picture, cv2.NORM_L1) if its != pause else np.inf
            for look, its in zip(self._looks, self._pause, strict=True)
        ]
        return cv2.absdiff(self._looks[int(np.argmin(far))], picture).astype(np.float32)


def template(differences: NDArray[np.float32]) -> float:
    """How much the mouth differs from a closed one."""
    return float(differences.mean())


def extent(differences: NDArray[np.float32]) -> float:
    """In how many rows it does."""
    return float((differences.mean(axis=1) > DIFFERS).sum())


Measure = Callable[[NDArray[np.float32]], float]
MEASURES: dict[str, Measure] = {"template": template, "extent": extent}


def mouths(
    captured: Captured, pressed: Luma, speech: Speech, sounds: list[Sound], fps: int
) -> dict[str, list[Mouth]]:
    """The mouth during each sound, on one scale: that of the speech, which is the first."""
    spans = []
    for sound in sounds:
        middle_s = captured.at_s + 0.5 / fps - captured.heard_at_s(sound)
        inside = (middle_s > 0) & (middle_s < len(sound) / SOUND_RATE)
        spans.append((middle_s[inside], captured.pictures[inside]))
    at_s, pictures = spans[0]
    paused = pause_of(at_s, speech.spoken)
    closed = Closed(pictures, paused, pressed)
    known = [paused, *(np.zeros(len(at), np.intp) for at, _ in spans[1:])]
    differences = [
        [closed.nearest(each, pause) for each, pause in zip(seen, pauses, strict=True)]
        for (_, seen), pauses in zip(spans, known, strict=True)
    ]
    found = {}
    for name, measure in MEASURES.items():
        openings = [np.array([measure(each) for each in seen]) for seen in differences]
        found[name] = [
            Mouth(at, scaled(opening, openings[0]))
            for (at, _), opening in zip(spans, openings, strict=True)
        ]
    return found


def scaled(opening: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 at the 5th percentile of ``by``, 1 at the 95th."""
    low, high = np.percentile(by, [5, 95])
    found: NDArray[np.float64] = (opening - low) / (high - low)
    return found
