"""A recording of one task judged against the avatar's own loop: where, when and in which order.

Every picture is explained by the loop: one of its pictures, or two blended where the task fades in
or out. What differs inside the avatar's box is what the engine drew; outside nothing may differ but
what the codec left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.photo.box import Box
from gpu_pool.engines.photo.looped import LoopedPictures

I420 = NDArray[np.uint8]
"""(height * 3 / 2, width)."""

STEP_PX = 8
"""Every so many rows and columns are enough to tell the loop's pictures from each other."""

RIM_PX = 8
"""The deblocking filter reaches so far beyond what was drawn."""

BLOCK_PX = 16


@dataclass(frozen=True, slots=True)
class Explained:
    """One picture of the recording.

    Attributes:
        at_s: when it is shown, by the stream's own time.
        place: of the loop's picture that is most like it.
        inside: mean difference of luma in the box, in levels.
        outside: of the worst block of 16 pixels outside it.
        drawn: what the box has more than the loop, luma, every other pixel.
    """

    at_s: float
    place: int
    inside: float
    outside: float
    drawn: NDArray[np.int16]


class Loop:
    """An avatar's loop as references.

    Args:
        looped: its pictures.
        boxes: where the engine may draw, by stored picture.
    """

    def __init__(self, looped: LoopedPictures, boxes: Sequence[Box]) -> None:
        self.looped = looped
        self.places = sorted({looped.place(tick) for tick in range(looped.loop_ticks)})
        self.pictures = [looped.picture(place) for place in self.places]
        self.height = self.pictures[0].shape[0] * 2 // 3
        found = [boxes[looped.number(place)] for place in self.places]
        self.box = Box(
            min(each.top for each in found),
            max(each.bottom for each in found),
            min(each.left for each in found),
            max(each.right for each in found),
        )
        thin = [self._thin(picture) for picture in self.pictures]
        self._thinned = np.stack(thin)
        self._gram = self._thinned @ self._thinned.T

    def _thin(self, picture: I420) -> NDArray[np.float64]:
        luma = picture[: self.height].astype(np.float64)
        box = self.box
        luma[box.top : box.bottom, box.left : box.right] = 0
        return luma[::STEP_PX, ::STEP_PX].ravel()

    def explained(self, picture: I420, at_s: float) -> Explained:
        """What the loop has to do with a picture."""
        seen = self._thin(picture)
        onto, size = self._thinned @ seen, np.diag(self._gram)
        alone = seen @ seen - 2 * onto + size
        toward = (onto[None, :] - onto[:, None]) - (self._gram - size[:, None])
        apart = size[:, None] + size[None, :] - 2 * self._gram
        share = np.clip(toward / np.maximum(apart, 1e-9), 0, 1)
        left = alone[:, None] - 2 * share * toward + share**2 * apart
        i, j = np.unravel_index(int(np.argmin(left)), left.shape)
        mixed = self.pictures[i] + share[i, j] * (
            self.pictures[j].astype(np.float32) - self.pictures[i]
        )
        more = picture[: self.height] - mixed[: self.height]
        inside, off = self._inside(more), np.abs(more)
        nearest = self.places[int(np.argmin(alone))]
        mean = float(np.abs(inside).mean())
        return Explained(at_s, nearest, mean, self._outside(off), inside[::2, ::2].astype(np.int16))

    def drawn(self, picture: I420, tick: int) -> NDArray[np.int16]:
        """What a picture that was drawn for a tick has more than the loop's; as ``Explained``."""
        idle = self.looped.picture(self.looped.place(tick))[: self.height]
        return self._inside(picture[: self.height].astype(np.int16) - idle)[::2, ::2]

    def _inside(self, luma: NDArray[Any]) -> NDArray[Any]:
        box = self.box
        return luma[box.top : box.bottom, box.left : box.right]

    def _outside(self, off: NDArray[np.float32]) -> float:
        box, (height, width) = self.box, off.shape
        off = off.copy()
        rows = slice(max(0, box.top - RIM_PX), box.bottom + RIM_PX)
        off[rows, max(0, box.left - RIM_PX) : box.right + RIM_PX] = 0
        rows_n, columns_n = height // BLOCK_PX, width // BLOCK_PX
        cut = off[: rows_n * BLOCK_PX, : columns_n * BLOCK_PX]
        blocks = cut.reshape(rows_n, BLOCK_PX, columns_n, BLOCK_PX).mean(axis=(1, 3))
        return float(blocks.max())


def explain(file: Path, loop: Loop) -> list[Explained]:
    """Every picture of a recording."""
    found = []
    with av.open(str(file)) as source:
        for frame in source.decode(video=0):
            assert frame.time is not None
            picture = np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8)
            found.append(loop.explained(picture, frame.time))
    return found


def begin_tick(loop: LoopedPictures, seen: Sequence[tuple[int, int]]) -> int:
    """The tick of the loop at which picture 0 stands, from (index, place) of some pictures."""

    def misses(tick: int) -> int:
        return sum(loop.place(tick + index) != place for index, place in seen)

    return min(range(loop.loop_ticks), key=misses)


def alike(seen: NDArray[np.int16], drawn: Sequence[NDArray[np.int16]]) -> NDArray[np.float64]:
    """How much a captured picture is like each drawn one, 0 to 1, however faintly blended in."""
    wanted = seen.astype(np.float64).ravel()
    others = np.stack([each.astype(np.float64).ravel() for each in drawn])
    size = np.linalg.norm(others, axis=1) * np.linalg.norm(wanted)
    found: NDArray[np.float64] = others @ wanted / np.maximum(size, 1e-9)
    return found
