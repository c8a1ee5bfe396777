"""Between the host's memory and the network's device, without waiting for what is computed there.

Around a pass. On a GPU copies go through pinned memory in the stream's order; on a CPU nothing is
copied. Must never wait but in ``Coming.arrived``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def uploaded(array: NDArray[Any], device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """An array on a device; on a CPU it may share the array's memory."""
    made = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cuda":
        made = made.pin_memory()
    return made.to(device, non_blocking=True).to(dtype or made.dtype)


def chosen(tensor: Tensor, entries: Sequence[int]) -> Tensor:
    """Some entries of a tensor's first axis; those that follow each other are not copied."""
    if not entries:
        return tensor[:0]
    first, after = entries[0], entries[0] + len(entries)
    if list(entries) == list(range(first, after)):
        return tensor[first:after]
    return tensor.index_select(0, uploaded(np.asarray(entries, np.int64), tensor.device))


class Coming:
    """A tensor of bytes on its way to the host, from the moment it is made."""

    def __init__(self, tensor: Tensor) -> None:
        self._host, self._event = tensor, None
        if tensor.device.type == "cuda":
            host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._host = host.copy_(tensor, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    def arrived(self) -> NDArray[np.uint8]:
        """Waits until it is here."""
        if self._event is not None:
            self._event.synchronize()
        return np.asarray(self._host.numpy(), np.uint8)
