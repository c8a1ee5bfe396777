"""Tensors as plain arrays and back, bit for bit; for what is kept on the disk. Needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_AS_WHOLE_NUMBERS = {torch.bfloat16: torch.int16}
"""What numpy has no type for, and what its bits are kept as."""


def as_array(tensor: Tensor) -> NDArray[Any]:
    """The numbers of a tensor on any device."""
    plain = tensor.detach().cpu().contiguous()
    kind = _AS_WHOLE_NUMBERS.get(plain.dtype)
    return np.asarray((plain if kind is None else plain.view(kind)).numpy())


def as_tensor(
    array: NDArray[Any] | None, shape: Sequence[int], dtype: torch.dtype, device: torch.device
) -> Tensor | None:
    """What ``as_array`` gave; None where the array is of another shape or kind."""
    if array is None or array.shape != tuple(shape):
        return None
    wanted = _AS_WHOLE_NUMBERS.get(dtype, dtype)
    if array.dtype != as_array(torch.empty(0, dtype=wanted)).dtype:
        return None
    return torch.from_numpy(array).view(dtype).to(device)
