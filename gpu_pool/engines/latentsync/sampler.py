"""Chunks of sixteen faces out of noise: the loop of LatentSync 1.0.

The frames of a chunk influence each other (their norms are pooled), so a chunk is always sixteen
frames long. Every chunk of every task begins with the same noise, as the original repeats one frame
of it over a whole video: what is drawn depends on picture and sound alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from gpu_pool.engines.diffusion.ddim import Step, step_back, steps
from gpu_pool.engines.diffusion.unet import UNet
from gpu_pool.engines.latentsync.mask import kept_latents

FRAMES = 16

_SEED = 1247
"""The published default; the numbers themselves are this program's own."""


@cache
def noise(device: torch.device) -> Tensor:
    """(4, 32, 32) normal numbers, float32; the same for every chunk."""
    made = np.random.Generator(np.random.PCG64(_SEED)).standard_normal((4, 32, 32))
    return torch.from_numpy(made.astype(np.float32)).to(device)


@cache
def _kept_on(device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(kept_latents())).to(device)


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
    start, keep = noise(latents.device), _kept_on(latents.device)
    sample = None
    for step in steps_of(unet, latents, heard, Wanted(count, guidance, FRAMES), start, keep):
        if abandoned():
            return None
        sample = step()
    return sample


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many steps, how closely the sound is followed, and how many pictures a chunk has."""

    count: int
    guidance: float
    frames: int


def steps_of(
    unet: UNet, latents: Tensor, heard: Tensor, wanted: Wanted, start: Tensor, keep: Tensor
) -> Iterator[Callable[[], Tensor]]:
    """The steps from noise to faces, each to be called once, in order; it gives the sample then.

    Args:
        unet: as for ``painted``; latents and heard as well.
        latents: in whole chunks of ``wanted.frames``.
        heard: what each picture hears.
        wanted: see there.
        start: (4, rows, columns) noise, the same for every picture.
        keep: (rows, columns): 1 where the picture stays.
    """
    pictures, device, dtype = latents.shape[0], latents.device, latents.dtype
    fixed = torch.cat([keep.to(device, dtype).expand(pictures, 1, -1, -1), latents], dim=1)
    sample = start.to(device).expand(pictures, -1, -1, -1)
    guided, said = wanted.guidance > 1, unet.listen(heard)
    if guided:  # to silence the network hears nothing: its ears have no bias
        said = torch.cat([torch.zeros_like(said), said])

    def taken(step: Step) -> Tensor:
        nonlocal sample
        seen = torch.cat([sample.to(dtype), fixed], dim=1)
        seen = torch.cat([seen, seen]) if guided else seen
        error = unet.paint(seen, unet.at(float(step.time)), said, wanted.frames).float()
        if guided:
            deaf, error = error.chunk(2)
            error = deaf + wanted.guidance * (error - deaf)
        sample = step_back(step, sample, error)
        return sample

    for step in steps(wanted.count):
        yield partial(taken, step)
