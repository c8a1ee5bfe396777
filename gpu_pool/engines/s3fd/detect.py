"""The face of a picture, as the lip-sync networks' authors had it found.

Between a picture and the box that is cut out of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

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


Rows = NDArray[np.float64]
"""(faces, 5): left, top, right, bottom, score."""


@dataclass(frozen=True, slots=True)
class Found:
    """A face: pixels of the picture, which it may leave, and how sure."""

    left: float
    top: float
    right: float
    bottom: float
    score: float

    def scaled(self, scale: float) -> Found:
        """The same face in a picture so many times as large."""
        left, top, right, bottom, score = astuple(self)
        return Found(scale * left, scale * top, scale * right, scale * bottom, score)


def faces_in(network: S3fd, bgr: NDArray[np.uint8]) -> list[Found]:
    """The faces of a picture (rows, columns, 3), the surest first."""
    rgb = np.ascontiguousarray(bgr[..., ::-1]).astype(np.float32) - np.array(MEAN, np.float32)
    with torch.inference_mode():
        seen = network(torch.from_numpy(rgb).permute(2, 0, 1)[None].to(network.device))
    found = _decoded(seen)
    sure = found[found[:, 4] > _BELIEVED]  # no other box can put one of these aside
    return [Found(*each) for each in _apart(sure).tolist()]


def decoded(seen: Sequence[tuple[Tensor, Tensor]]) -> list[Found]:
    """Every box of one picture that is worth looking at; ``seen`` as the network gives it."""
    return [Found(*each) for each in _decoded(seen).tolist()]


def apart(found: Sequence[Found]) -> list[Found]:
    """One box per face, the surest first."""
    rows = np.array([astuple(each) for each in found], np.float64).reshape(-1, 5)
    return [Found(*each) for each in _apart(rows).tolist()]


def _decoded(seen: Sequence[tuple[Tensor, Tensor]]) -> Rows:
    found = [np.empty((0, 5))]
    for level, (scores, boxes) in enumerate(seen):
        side = float(_ANCHOR * (_FINEST << level))
        sure = torch.softmax(scores[0], 0)[1].cpu().numpy().astype(np.float64)
        rows, columns = np.nonzero(sure > _LOOKED_AT)
        shape = boxes[0].cpu().numpy()[:, rows, columns].astype(np.float64)
        middle = (np.stack([columns, rows]) + 0.5) * side / _ANCHOR
        middle += shape[:2] * _CENTRE_STEP * side
        half = side * np.exp(shape[2:] * _SIZE_STEP) / 2
        corners = np.concatenate([middle - half, middle + half])
        found.append(np.column_stack([corners.T, sure[rows, columns]]))
    return np.concatenate(found)


def _apart(found: Rows) -> Rows:
    """Sides count their last pixel, as the authors count."""
    lows, highs = found[:, :2], found[:, 2:4]
    areas = (highs - lows + 1).prod(axis=1)
    left, kept = np.argsort(-found[:, 4], kind="stable"), []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(first)
        sides = np.minimum(highs[first], highs[left]) - np.maximum(lows[first], lows[left]) + 1
        both = np.clip(sides, 0, None).prod(axis=1)
        left = left[both / (areas[first] + areas[left] - both) <= _SAME]
    return found[kept]
