"""A task through an engine as the pool would give it, cut into batches of any sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_pool.contracts import Batch, BatchKey, Engine, Json, PictureFormat
from gpu_pool.engines.photo.body import load
from gpu_pool.windows import cut_sound, sound_span

FPS = 25
FIRST_TICK = 40


def rendered(
    engine: Engine[Any],
    picture: PictureFormat,
    sound: NDArray[np.float32],
    sizes: Sequence[int],
    pictures: int,
    avatar: str = "clip",
    cues: Mapping[str, Json] | None = None,
) -> NDArray[np.uint8]:
    """(pictures, height * 3 / 2, width)."""
    out = np.zeros((pictures, *picture.shape), np.uint8)
    first = 0
    for size in sizes:
        count = min(size, pictures - first)
        if not count:
            break
        window = cut_sound(sound, 0, sound_span(engine.needs, FPS, first, count))
        told = {"spoken": pictures, **(cues or {})}
        key = BatchKey("main", "a", 0, first)
        batch = Batch(key, count, avatar, FIRST_TICK + first, window, cues=told)
        heard = engine.features(window, first, count, FPS)
        engine.render(batch, heard, list(out[first : first + count]), lambda: False)
        first += count
    assert first == pictures
    return out


def idle(folder: Path, picture: PictureFormat, pictures: int) -> NDArray[np.uint8]:
    """What the idle loop shows at the same ticks."""
    body = load(folder, picture)
    return np.stack([body.picture(FIRST_TICK + n, FPS) for n in range(pictures)])
