"""How much of a drawn face a picture shows: none where nothing is said, all in between.

A task's first and last picture are the idle loop's own; the face eases in and out beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from gpu_pool.contracts import Batch

_EASE_PICTURES = 2
"""So soon the drawn face is all there."""


def shares(batch: Batch, hard: bool = False) -> list[float]:
    """One share, 0 to 1, per picture of a batch.

    Args:
        batch: its cue ``spoken`` is how many pictures of the task carry sound.
        hard: all of it from the first picture to the last, as the authors' programs do.
    """
    spoken = int(cast(float, batch.cues.get("spoken", batch.key.first + batch.count)))
    found = []
    for index in range(batch.key.first, batch.key.first + batch.count):
        if hard:
            found.append(1.0 if index < spoken else 0.0)
        else:
            found.append(min(1.0, max(0.0, min(index, spoken - 1 - index) / _EASE_PICTURES)))
    return found


def speaking(shares: Sequence[float]) -> list[int]:
    """The pictures of a batch in which anything is drawn."""
    return [index for index, share in enumerate(shares) if share > 0]
