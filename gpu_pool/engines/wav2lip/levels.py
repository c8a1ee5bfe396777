"""Wav2Lip's drawn faces as levels, on the network's device."""

from __future__ import annotations

import torch
from torch import Tensor


def levels(drawn: Tensor) -> Tensor:
    """Faces (n, 3, size, size) of 0 to 1 to whole levels, float32: cut off and not rounded."""
    return (drawn.to(torch.float32) * 255).floor_()
