"""Aligned faces as LatentSync's networks see them, and what they paint as pixels again.

Between ``face`` (pictures) and the autoencoder (tensors), on the network's device. Faces are RGB.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
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


def unsqueezed(faces: Tensor) -> NDArray[np.uint8]:
    """(n, 3, 256, 256), -1 to 1, to (n, 280, 210, 3): the proportions of a face, as bytes."""
    size = (FACE_HEIGHT, FACE_WIDTH)
    wide = fn.interpolate(faces, size=size, mode="bilinear", antialias=True, align_corners=False)
    levels = ((wide / 2 + 0.5).clamp(0, 1) * 255).to(torch.uint8)
    return np.asarray(levels.permute(0, 2, 3, 1).cpu().numpy(), np.uint8)


def _kept(like: Tensor) -> Tensor:
    return torch.from_numpy(np.array(kept())).to(like)
