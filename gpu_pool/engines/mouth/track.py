"""From the network's answers at 50 per second to mouth parameters at the picture rate.

Last step before an engine draws. Must keep closures: plain averaging loses half of them, and a
mouth that stays open on p, b and m is what a viewer notices first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.mouth.features import SAMPLE_RATE
from gpu_pool.engines.mouth.net import FRAME
from gpu_pool.engines.mouth.phonemes import SHUT, tongue_weight
from gpu_pool.engines.mouth.visemes import FF, PP, VISEMES

COLUMNS = ("open", "wide", "round", "press", "tuck", "tongue")
"""Lip gap, spread lips, pursed lips, lips pressed (p b m), lower lip under the teeth (f v),
tongue at the teeth; each 0 to 1."""

MouthTrack = NDArray[np.float32]
"""float32 (pictures, 6): a row of ``COLUMNS`` per picture."""

FRAMES_PER_S = SAMPLE_RATE // FRAME
PRESSED = 0.5
"""Share of PP in any frame of a picture from which on the picture shows closed lips."""

SEALED = 0.55
"""Share of PP from which on a frame itself shows closed lips. An unseen speaker's closures and the
correlation of the opening: 87 % and .8778 with 2/3, 91 % and .8772 with 0.55, 96 % and .8761 with
0.45; drawing and coding then lose a few of the closures."""

MAX_FPS = 60


def picture_count(samples: int, fps: int) -> int:
    """Pictures that a sound of so many samples at 16 kHz covers, the last perhaps in part."""
    return -(-samples * fps // SAMPLE_RATE)


class Decimator:
    """Frames in, pictures out; keeps only frames that a later picture needs.

    Time is counted in units of 1 / (100 fps) s, in which frames, pictures and half frames are
    whole numbers: nothing drifts in a stream of days.

    Args:
        fps: pictures per second, 1 to 60.
        frame: number of the first frame that will come, -1 for the one before the sound.
        picture: number of the first picture wanted.

    Raises:
        ValueError: the rate is out of range.
    """

    def __init__(self, fps: int, frame: int = -1, picture: int = 0) -> None:
        if not 1 <= fps <= MAX_FPS:
            raise ValueError(f"{fps} pictures per second; 1 to {MAX_FPS} can be made")
        self._fps = fps
        self._first = frame
        self._next = picture
        self._columns = np.zeros((0, len(COLUMNS)), np.float32)

    def feed(self, told: NDArray[np.float32]) -> MouthTrack:
        """Pictures that are complete now; ``told`` as ``NetStream.feed`` answers."""
        self._columns = np.concatenate([self._columns, _columns(told)])
        rows = []
        frame_units = 2 * self._fps
        while -(-100 * (self._next + 1) // frame_units) <= self._first + len(self._columns):
            rows.append(self._picture())
            self._next += 1
        done = (100 * self._next - self._fps) // frame_units - self._first
        if done > 0:
            self._columns = self._columns[done:].copy()
            self._first += done
        return np.stack(rows) if rows else np.zeros((0, len(COLUMNS)), np.float32)

    def _picture(self) -> NDArray[np.float32]:
        """The mean over the picture and the 10 ms before it; nothing after its end is needed."""
        start, end = 100 * self._next, 100 * (self._next + 1)
        edges = 2 * self._fps * (self._first + np.arange(len(self._columns) + 1))
        overlap = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start - self._fps)
        weights = np.maximum(overlap, 0).astype(np.float32)
        row: NDArray[np.float32] = weights @ self._columns / weights.sum()
        middles = edges[:-1] + self._fps
        inside = (middles >= start) & (middles < end)
        if self._columns[inside, 3].max(initial=0) > PRESSED:
            row[0] = min(row[0], SHUT)
        return row


def _columns(told: NDArray[np.float32]) -> NDArray[np.float32]:
    shares, curves = told[:, : len(VISEMES)], np.clip(told[:, len(VISEMES) :], 0, 1)
    press, tuck = shares[:, PP], shares[:, FF]
    opening = curves[:, 0] * (1 - np.minimum(press / np.float32(SEALED), 1))
    return np.stack(
        [opening, curves[:, 1], curves[:, 2], press, tuck, tongue_weight(shares)], axis=1
    )
