"""Aligned faces as LatentSync's networks see them, and what they paint as pixels again.

Between ``face`` (pictures) and the autoencoder (tensors), on the network's device. Faces are RGB.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from gpu_pool.engines.latentsync.face import FACE_HEIGHT, FACE_WIDTH
from gpu_pool.engines.latentsync.mask import kept


def pixels(faces: Tensor) -> Tensor:
    """Aligned faces (n, 256, 256, 3) ``uint8`` to (n, 3, 256, 256), -1 to 1."""
    return (faces.permute(0, 3, 1, 2).to(torch.float32) / 255 - 0.5) / 0.5


def masked(seen: Tensor) -> Tensor:
    """``pixels`` with what is repainted as mid-grey."""
    return seen * _kept(seen)


def combined(painted: Tensor, seen: Tensor) -> Tensor:
    """What the decoder painted where it may, ``pixels`` elsewhere; a hard edge."""
    keep = _kept(seen)
    return painted * (1 - keep) + seen * keep


def levels(faces: Tensor) -> Tensor:
    """(n, 3, 256, 256) RGB, -1 to 1, to (n, 3, 280, 210) BGR: the proportions of a face.

    Whole levels 0 to 255 as float32, cut off and not rounded.
    """
    size = (FACE_HEIGHT, FACE_WIDTH)
    wide = fn.interpolate(faces, size=size, mode="bilinear", antialias=True, align_corners=False)
    return ((wide / 2 + 0.5).clamp_(0, 1) * 255).floor_().flip(1)


def _kept(like: Tensor) -> Tensor:
    return _kept_on(like.device, like.dtype)


@cache
def _kept_on(device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(np.array(kept())).to(device, dtype)
