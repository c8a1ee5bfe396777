"""The labelled speech under tests/fixtures, read and compared with what a mouth does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from gpu_pool.engines.mouth.phonemes import Segment, segment_track, spoken_closures
from gpu_pool.engines.mouth.visemes import INDEX, SIL

FIXTURES = Path(__file__).parents[1] / "fixtures"

Track = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LabelledSpeech:
    """float32 mono sound and the visemes in it, as the synthesizer timed them."""

    sound: NDArray[np.float32]
    sample_rate: int
    spoken: tuple[Segment, ...]

    def reference(self, pictures: int, fps: int) -> Track:
        """The mouth as it should be."""
        return segment_track(self.spoken, pictures, fps)

    def closures(self, track: Track, fps: int, near_s: float = 0.03, closed: float = 0.22) -> float:
        """Share of p, b and m at which the mouth closes."""
        found = []
        for start_s, end_s in spoken_closures(self.spoken):
            first, last = max(0, int((start_s - near_s) * fps)), int((end_s + near_s) * fps) + 1
            found.append(track[first:last, 0].min() < closed)
        return float(np.mean(found))

    def in_pauses(self, track: Track, fps: int) -> Track:
        """Rows of pictures well inside pauses of over a quarter of a second."""
        middle_s = (np.arange(len(track)) + 0.5) / fps
        inside = np.zeros(len(track), np.bool_)
        for each in self.spoken:
            if each.viseme == SIL and each.end_s - each.start_s > 0.25:
                inside |= (middle_s > each.start_s + 0.08) & (middle_s < each.end_s - 0.08)
        return track[inside]


def slt() -> LabelledSpeech:
    """23 s of flite's speaker slt, whom the network has never heard in training."""
    sound, rate = soundfile.read(FIXTURES / "slt.opus", dtype="float32")
    rows = json.loads((FIXTURES / "slt.json").read_text(encoding="utf-8"))["visemes"]
    spoken = tuple(Segment(start, end, INDEX[name]) for start, end, name in rows)
    return LabelledSpeech(np.asarray(sound, np.float32), int(rate), spoken)


def opening_corr(one: Track, other: Track) -> float:
    """Correlation of two mouths' openings."""
    return float(np.corrcoef(one[:, 0], other[:, 0])[0, 1])
