"""LatentSync 1.0 written the plain way, as its authors' pipeline runs it.

Eager float32, sixteen frames at a time as one video; both encodings of every chunk anew; whisper
hears the whole sound at once; every face goes back into its whole frame: a Lanczos warp, and the
mask eroded and blurred again each time. What our engine is measured against. Frames are RGB.
The latents' mean is taken, where the authors draw a sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as fn

from tests.doubles.plain_diffusion import PlainUNet, PlainVae
from tests.doubles.plain_whisper import PlainWhisper, heard_1_0, tokens

FRAMES = 16

Rgb = NDArray[np.uint8]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class PlainLatentSync:
    """``keep`` is the fixed mask (256, 256), 1 where the picture stays; ``noise`` (4, 32, 32)."""

    unet: PlainUNet
    vae: PlainVae
    whisper: PlainWhisper
    keep: Tensor
    noise: Tensor

    def hear(self, sound: NDArray[np.float32], pictures: int, fps: int) -> Tensor:
        """(pictures, 50, 384)."""
        wave = torch.from_numpy(sound).to(self.keep.device)
        return tokens(heard_1_0(self.whisper, wave), pictures, fps, clamped=True)

    def draw(self, faces: Rgb, heard: Tensor, steps: int, guidance: float = 1.0) -> Tensor:
        """A chunk of aligned faces (16, 256, 256, 3) drawn anew, (16, 3, 256, 256), -1 to 1."""
        seen = torch.from_numpy(faces).to(self.keep.device).permute(0, 3, 1, 2)
        seen = (seen / 255.0 - 0.5) / 0.5
        latents = self.denoised(self.conditions(seen), heard, steps, guidance)
        drawn = self.vae.decode(latents[0].permute(1, 0, 2, 3))
        return drawn * (1 - self.keep) + seen * self.keep

    def conditions(self, seen: Tensor) -> Tensor:
        """(1, 9, 16, 32, 32): the mask, the masked faces' latents, the whole faces'."""
        mask = fn.interpolate(self.keep[None, None], size=(32, 32))
        masked, whole = self.vae.encode(seen * self.keep), self.vae.encode(seen)
        return torch.cat((mask.expand(len(seen), -1, -1, -1), masked, whole), 1).transpose(0, 1)[
            None
        ]

    def denoised(self, conditions: Tensor, heard: Tensor, steps: int, guidance: float) -> Tensor:
        """(1, 4, 16, 32, 32) out of noise."""
        frames = conditions.shape[2]
        x = self.noise[None, :, None].repeat(1, 1, frames, 1, 1)
        for time, now, then in schedule(steps):
            given = torch.cat((x, conditions), 1)
            step = torch.tensor([time], device=x.device)
            if guidance > 1:
                both = torch.cat((torch.zeros_like(heard), heard))
                deaf, said = self.unet(torch.cat((given, given)), step, both).chunk(2)
                error = deaf + guidance * (said - deaf)
            else:
                error = self.unet(given, step, heard)
            clean = (x - (1 - now) ** 0.5 * error) / now**0.5
            x = then**0.5 * clean + (1 - then) ** 0.5 * error
        return x


def schedule(steps: int) -> Iterator[tuple[int, float, float]]:
    """Time, and what is left of the picture then and a step later: DDIM, leading, offset 1."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    left = torch.cumprod(1 - betas, 0).tolist()
    width = 1000 // steps
    for n in reversed(range(steps)):
        time = n * width + 1
        yield time, left[time], left[max(0, time - width)]


def aligned(frame: Rgb, matrix: Matrix) -> Rgb:
    """(256, 256, 3)."""
    flags = cv2.INTER_LANCZOS4
    edge = (127, 127, 127)
    face = cv2.warpAffine(frame, matrix, (210, 280), flags=flags, borderValue=edge)
    return np.asarray(cv2.resize(face, (256, 256), interpolation=flags), np.uint8)


def put_back(frame: Rgb, face: Tensor, matrix: Matrix) -> Rgb:
    """A frame with a drawn face (3, 256, 256) in it, worked out over the whole frame."""
    size = [280, 210]
    wide = fn.interpolate(face[None], size, mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    levels = ((wide / 2 + 0.5).clamp(0, 1) * 255).to(torch.uint8).cpu().numpy()
    height, width = frame.shape[:2]
    inverse = cv2.invertAffineTransform(matrix)
    laid = cv2.warpAffine(levels, inverse, (width, height), flags=cv2.INTER_LANCZOS4)
    mask = cv2.warpAffine(np.ones((280, 210), np.float32), inverse, (width, height))
    mask = cv2.erode(mask, np.ones((2, 2), np.uint8))
    pasted = mask[:, :, None] * laid
    edge = int(np.sum(mask) ** 0.5) // 20
    inner = cv2.erode(mask, np.ones((edge * 2, edge * 2), np.uint8))
    soft = cv2.GaussianBlur(inner, (edge * 2 + 1, edge * 2 + 1), 0)[:, :, None]
    return np.asarray((soft * pasted + (1 - soft) * frame).astype(np.uint8))
