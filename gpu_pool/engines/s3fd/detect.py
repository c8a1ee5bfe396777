"""The face of a picture, as the lip-sync networks' authors had it found.

Between a picture and the box that is cut out of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_pool.engines.s3fd.network import MEAN, S3fd

_LOOKED_AT, _BELIEVED = 0.05, 0.5
"""Scores from which a cell is looked at, and a face believed."""

_SAME = 0.3
"""Overlap from which two boxes are of one face."""

_CENTRE_STEP, _SIZE_STEP = 0.1, 0.2
_FINEST, _ANCHOR = 4, 4
"""Pixels of the finest cell; an anchor's side in cells."""


@dataclass(frozen=True, slots=True)
class Found:
    """A face: pixels of the picture, which it may leave, and how sure."""

    left: float
    top: float
    right: float
    bottom: float
    score: float


def best_face(network: S3fd, bgr: NDArray[np.uint8]) -> Found | None:
    """The surest face of a picture (rows, columns, 3), if there is one."""
    rgb = np.ascontiguousarray(bgr[..., ::-1]).astype(np.float32) - np.array(MEAN, np.float32)
    with torch.inference_mode():
        seen = network(torch.from_numpy(rgb.transpose(2, 0, 1)[None]).to(network.device))
    believed = [each for each in apart(decoded(seen)) if each.score > _BELIEVED]
    return believed[0] if believed else None


def decoded(seen: Sequence[tuple[Tensor, Tensor]]) -> list[Found]:
    """Every box of one picture that is worth looking at; ``seen`` as the network gives it."""
    found = []
    for level, (scores, boxes) in enumerate(seen):
        step = _FINEST << level
        sure = torch.softmax(scores[0], 0)[1].cpu().numpy()
        shape = boxes[0].cpu().numpy()
        for row, column in np.argwhere(sure > _LOOKED_AT):
            across, down, wide, high = (float(each) for each in shape[:, row, column])
            side = float(_ANCHOR * step)
            x = (column + 0.5) * step + across * _CENTRE_STEP * side
            y = (row + 0.5) * step + down * _CENTRE_STEP * side
            half_w, half_h = (side * np.exp(each * _SIZE_STEP) / 2 for each in (wide, high))
            score = float(sure[row, column])
            found.append(Found(x - half_w, y - half_h, x + half_w, y + half_h, score))
    return found


def apart(found: Sequence[Found]) -> list[Found]:
    """One box per face, the surest first."""
    kept: list[Found] = []
    for each in sorted(found, key=lambda one: -one.score):
        if all(_overlap(each, other) <= _SAME for other in kept):
            kept.append(each)
    return kept


def _overlap(one: Found, other: Found) -> float:
    """Of what both cover together; sides count their last pixel, as the authors count."""
    wide = min(one.right, other.right) - max(one.left, other.left) + 1
    high = min(one.bottom, other.bottom) - max(one.top, other.top) + 1
    both = max(0.0, wide) * max(0.0, high)
    areas = [(f.right - f.left + 1) * (f.bottom - f.top + 1) for f in (one, other)]
    return both / (sum(areas) - both)
