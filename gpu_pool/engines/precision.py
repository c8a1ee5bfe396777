"""In which numbers a network computes; for every engine that runs on torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gpu_pool.engines.options import OptionsRefused

PRECISIONS: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def dtype_of(precision: str, device: str) -> torch.dtype:
    """The numbers of this name; ``auto`` is what is fastest on the device without harm.

    Raises:
        OptionsRefused: there is no such precision.
    """
    if precision == "auto":
        return fast_dtype(torch.device(device))
    if precision not in PRECISIONS:
        raise OptionsRefused(f"precision {precision!r} is none of auto, {', '.join(PRECISIONS)}")
    return PRECISIONS[precision]


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device has matrix units for it."""
    if device.type == "cpu" and not torch.cpu._is_amx_tile_supported():
        return torch.float32
    return torch.bfloat16
