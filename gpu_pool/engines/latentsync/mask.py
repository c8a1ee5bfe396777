"""Which part of the aligned face LatentSync 1.0 repaints: one fixed shape for all faces.

``mask.json`` holds its geometry (from the published picture, Apache-2.0): from each named row on,
the half-open spans of columns that are repainted, until the next named row.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LATENT_STEP = 8
"""A latent pixel stands for eight by eight; of the mask it takes their first."""


@cache
def kept() -> NDArray[np.float32]:
    """(256, 256): 1 where the picture stays, 0 where it is repainted."""
    document = json.loads(Path(__file__).with_name("mask.json").read_text())
    size: int = document["size"]
    mask = np.ones((size, size), np.float32)
    for row, spans in document["repainted"]:
        mask[row:] = 1.0
        for start, stop in spans:
            mask[row:, start:stop] = 0.0
    mask.setflags(write=False)
    return mask


def kept_latents() -> NDArray[np.float32]:
    """(32, 32): the mask as the network sees it."""
    return kept()[::LATENT_STEP, ::LATENT_STEP]
