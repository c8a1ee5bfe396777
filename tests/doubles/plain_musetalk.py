"""MuseTalk 1.5 written the plain way, as its authors' realtime script runs it.

Eager float32, a batch at a time; latents, masks and boxes are prepared before; whisper hears the
whole sound at once; every face is scaled and blended into a copy of its frame. What our engine is
measured against. The latents' mean is taken, where the authors draw a sample.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.doubles.plain_diffusion import PlainUNet, PlainVae
from tests.doubles.plain_whisper import PlainWhisper, heard_1_5, tokens

Bgr = NDArray[np.uint8]

Corners = tuple[int, int, int, int]
"""x1, y1, x2, y2."""


@dataclass(frozen=True)
class Material:
    """A frame (rows, columns, 3) BGR as the script keeps it; ``mask`` covers ``around``."""

    frame: Bgr
    box: Corners
    around: Corners
    mask: NDArray[np.uint8]
    latents: Tensor


@dataclass(frozen=True)
class PlainMuseTalk:
    unet: PlainUNet
    vae: PlainVae
    whisper: PlainWhisper

    def latents_of(self, frame: Bgr, box: Corners) -> Tensor:
        """(1, 8, 32, 32): of the face with its lower half black, and of the whole."""
        x1, y1, x2, y2 = box
        crop = cv2.resize(frame[y1:y2, x1:x2], (256, 256), interpolation=cv2.INTER_LANCZOS4)
        rgb = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB).transpose(2, 0, 1)[None] / 255.0
        device = self.vae.quant_conv.weight.device
        whole = torch.from_numpy(rgb.astype(np.float32)).to(device)
        dark = whole.clone()
        dark[:, :, 128:] = 0
        return torch.cat([self.vae.encode((each - 0.5) / 0.5) for each in (dark, whole)], dim=1)

    def hear(self, sound: NDArray[np.float32], pictures: int, fps: int) -> Tensor:
        """(pictures, 50, 384), with the places of the tokens added."""
        wave = torch.from_numpy(sound).to(self.vae.quant_conv.weight.device)
        heard = tokens(heard_1_5(self.whisper, wave), pictures, fps, clamped=False)
        return heard + places().to(heard.device)

    def draw(self, latents: Sequence[Tensor], heard: Tensor) -> Tensor:
        """Faces (n, 3, 256, 256), RGB, about -1 to 1."""
        step = torch.tensor([0], device=heard.device)
        return self.vae.decode(self.unet(torch.cat(list(latents)), step, heard))


def places() -> Tensor:
    """Sines and cosines of the token's place, (1, 50, 384)."""
    made = torch.zeros(50, 384)
    at = torch.arange(0, 50, dtype=torch.float).unsqueeze(1)
    rates = torch.exp(torch.arange(0, 384, 2).float() * (-math.log(10000.0) / 384))
    made[:, 0::2] = torch.sin(at * rates)
    made[:, 1::2] = torch.cos(at * rates)
    return made[None]


def to_frames(faces: Tensor) -> Bgr:
    """(n, 256, 256, 3) BGR, as numpy rounds them."""
    shown = (faces / 2 + 0.5).clamp(0, 1).detach().cpu().permute(0, 2, 3, 1).float().numpy()
    return np.asarray((shown * 255).round().astype("uint8")[..., ::-1])


def blended(material: Material, face: Bgr) -> Bgr:
    """A copy of the frame with the face in it, in Pillow's integer arithmetic."""
    frame, (x1, y1, x2, y2) = copy.deepcopy(material.frame), material.box
    left, top, right, bottom = material.around
    sized = cv2.resize(face.astype(np.uint8), (x2 - x1, y2 - y1))
    square = np.zeros((bottom - top, right - left, 3), np.uint8)
    rows = slice(max(0, top), min(frame.shape[0], bottom))
    columns = slice(max(0, left), min(frame.shape[1], right))
    within = np.s_[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    square[within] = frame[rows, columns]
    square[y1 - top : y2 - top, x1 - left : x2 - left] = sized
    share = material.mask[within][..., None].astype(np.uint32)
    mixed = square[within] * share + frame[rows, columns] * (255 - share) + 128
    frame[rows, columns] = ((mixed >> 8) + mixed) >> 8
    return frame
