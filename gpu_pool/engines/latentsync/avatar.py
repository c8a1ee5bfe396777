"""An avatar as LatentSync 1.0 needs it: aligned faces, their latents, where they go back to.

Between the photo avatar's folder and the engine. Nothing here depends on the sound. The alignment
remembers the pictures before, so it is worked out for the whole clip in its order, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from gpu_pool.contracts import Picture, PictureFormat
from gpu_pool.engines.diffusion.vae import Vae
from gpu_pool.engines.latentsync.boxes import boxes_in, matrices_in
from gpu_pool.engines.latentsync.face import (
    Matrix,
    Rgb,
    Seat,
    aligned,
    seat,
)
from gpu_pool.engines.latentsync.picture import masked, pixels
from gpu_pool.engines.photo.box import Box
from gpu_pool.engines.photo.looped import Kept, LoopedPictures, Sized
from gpu_pool.engines.photo.paste import Patch, bgr_of


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of the loop.

    Attributes:
        picture: I420.
        patch: what of it may change, with the seat's weights.
        seat: from the aligned face to the patch's pixels.
        seen: the aligned face, (3, 256, 256), -1 to 1.
        latents: (8, 32, 32): of the masked face, and of the whole one.
    """

    picture: Picture
    patch: Patch
    seat: Seat
    seen: Tensor
    latents: Tensor


class AlignedFace:
    """An avatar at one picture format, with one autoencoder.

    Args:
        folder: of a photo avatar, a picture or a clip.
        picture: the channel's format.
        vae: whose encoder looks at the faces.
        keep_bytes: so much may be kept of pictures, faces and latents.

    Raises:
        AvatarRefused: the folder is no avatar, or its face too small.
    """

    def __init__(self, folder: Path, picture: PictureFormat, vae: Vae, keep_bytes: int) -> None:
        self._loop = LoopedPictures(folder, picture)
        self._vae = vae
        self._matrices = matrices_in(self._loop)
        self._boxes = boxes_in(self._loop, self._matrices)
        self._kept: Kept[Shown] = Kept(self._made, keep_bytes)

    def shown(self, ticks: Sequence[int]) -> list[Shown]:
        """What stands in the idle loop at these ticks."""
        return self._kept.of([self._loop.place(tick) for tick in ticks])

    def _made(self, places: Sequence[int]) -> list[Sized[Shown]]:
        pictures = [self._loop.picture(place) for place in places]
        numbers = [self._loop.number(place) for place in places]
        boxes = [self._boxes[number] for number in numbers]
        local = [
            moved(self._matrices[number], box) for number, box in zip(numbers, boxes, strict=True)
        ]
        crops = [_rgb(picture, box) for picture, box in zip(pictures, boxes, strict=True)]
        faces = [aligned(crop, matrix) for crop, matrix in zip(crops, local, strict=True)]
        seen, latents = face_latents(self._vae, np.stack(faces))
        made = []
        for index, (picture, box, matrix) in enumerate(zip(pictures, boxes, local, strict=True)):
            where = seat(matrix, box.width, box.height)
            shown = Shown(picture, weighed(box, where), where, seen[index], latents[index])
            tensors = shown.seen.nbytes + shown.latents.nbytes
            arrays = where.weight.nbytes * 2 + shown.patch.luma.nbytes * 3 // 2
            made.append(Sized(shown, picture.nbytes + tensors + arrays))
        return made


def moved(matrix: Matrix, box: Box) -> Matrix:
    """The same alignment, from pixels of a box."""
    own = matrix.copy()
    own[:, 2] += matrix[:, :2] @ np.array([box.left, box.top], np.float64)
    return own


def weighed(box: Box, where: Seat) -> Patch:
    """The patch of a seat in a box of even edges."""
    luma = np.ascontiguousarray(where.weight * where.mask)
    half = (box.width // 2, box.height // 2)
    chroma = np.asarray(cv2.resize(luma, half, interpolation=cv2.INTER_AREA), np.float32)
    return Patch(box, box, luma, chroma)


def face_latents(vae: Vae, faces: Rgb) -> tuple[Tensor, Tensor]:
    """Aligned faces (n, 256, 256, 3) to what is seen of them and (n, 8, 32, 32) latents."""
    weight = vae.quant_conv.weight
    with torch.inference_mode():
        seen = pixels(torch.from_numpy(faces).to(weight.device))
        both = (masked(seen).to(weight.dtype), seen.to(weight.dtype))
        return seen, torch.cat([vae.latents(each) for each in both], dim=1)


def _rgb(picture: Picture, box: Box) -> Rgb:
    return np.ascontiguousarray(bgr_of(picture, box)[..., ::-1])
