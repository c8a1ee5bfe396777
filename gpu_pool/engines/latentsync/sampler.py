"""Chunks of sixteen faces out of noise: the loop of LatentSync 1.0.

The frames of a chunk influence each other (their norms are pooled), so a chunk is always sixteen
frames long. Every chunk of every task begins with the same noise, as the original repeats one frame
of it over a whole video: what is drawn depends on picture and sound alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from gpu_pool.engines.diffusion.ddim import step_back, steps
from gpu_pool.engines.diffusion.unet import UNet
from gpu_pool.engines.latentsync.mask import kept_latents

FRAMES = 16

_SEED = 1247
"""The published default; the numbers themselves are this program's own."""


@cache
def noise() -> Tensor:
    """(4, 32, 32) normal numbers, float32."""
    made = np.random.Generator(np.random.PCG64(_SEED)).standard_normal((4, 32, 32))
    return torch.from_numpy(made.astype(np.float32))


def painted(
    unet: UNet,
    latents: Tensor,
    heard: Tensor,
    count: int,
    guidance: float,
    abandoned: Callable[[], bool] = lambda: False,
) -> Tensor | None:
    """The latents of chunks of faces.

    Args:
        unet: with 13 input channels.
        latents: (n * 16, 8, 32, 32) of masked and whole faces, chunk after chunk.
        heard: (n * 16, 50, 384).
        count: steps, 1 to 200.
        guidance: above 1 the sound is followed more closely, at twice the cost.
        abandoned: asked before each step.

    Returns:
        (n * 16, 4, 32, 32), or None once nobody wants them.
    """
    frames, device, dtype = latents.shape[0], latents.device, latents.dtype
    keep = torch.from_numpy(np.array(kept_latents())).to(device, dtype)
    keep = keep.expand(frames, 1, -1, -1)
    sample = noise().to(device).expand(frames, -1, -1, -1)
    for step in steps(count):
        if abandoned():
            return None
        seen = torch.cat([sample.to(dtype), keep, latents], dim=1)
        time = torch.tensor([float(step.time)], device=device)
        if guidance > 1:
            silence = torch.zeros_like(heard)
            both = torch.cat([seen, seen]), torch.cat([silence, heard])
            deaf, said = unet(both[0], time, both[1], FRAMES).float().chunk(2)
            error = deaf + guidance * (said - deaf)
        else:
            error = unet(seen, time, heard, FRAMES).float()
        sample = step_back(step, sample, error)
    return sample
