"""An avatar as LatentSync 1.0 needs it: aligned faces, their latents, where they go back to.

Between the photo avatar's folder and the engine. Nothing here depends on the sound. The alignment
remembers the pictures before, so it is worked out for the whole clip in its order, once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    Resampling,
    Rgb,
    Seat,
    aligned,
    seat,
)
from gpu_pool.engines.latentsync.picture import masked, pixels
from gpu_pool.engines.pasting import How, Laid, Warp, laid
from gpu_pool.engines.photo.box import Box
from gpu_pool.engines.photo.looped import Kept, LoopedPictures, Sized, whole_loop
from gpu_pool.engines.photo.paste import Patch, bgr_of
from gpu_pool.engines.prepared import Arrays, Keeping, Prepared, Work
from gpu_pool.engines.tensors import as_array, as_tensor

_LATENT_SHAPE = (8, 32, 32)
_NOWHERE = Keeping()
_WARPED = {Resampling.LANCZOS: How.LANCZOS, Resampling.BILINEAR: How.BILINEAR}


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of the loop.

    Attributes:
        picture: I420.
        patch: what of it may change, with the seat's weights.
        seat: from the aligned face to the patch's pixels.
        seen: the aligned face, (3, 256, 256), -1 to 1.
        latents: (8, 32, 32): of the masked face, and of the whole one.
        laid: on the device, where faces are pasted there.
    """

    picture: Picture
    patch: Patch
    seat: Seat
    seen: Tensor
    latents: Tensor
    laid: Laid | None = None


class AlignedFace:
    """An avatar at one picture format, with one autoencoder.

    Args:
        folder: of a photo avatar, a picture or a clip.
        picture: the channel's format.
        vae: whose encoder looks at the faces.
        keep_bytes: so much may be kept of pictures, faces and latents.
        keeping: what may be kept on the disk.
        how: faces are resampled.
        pasted_on: the device on which faces are pasted; None: on the host.

    Raises:
        AvatarRefused: the folder is no avatar, or its face too small.
    """

    def __init__(
        self,
        folder: Path,
        picture: PictureFormat,
        vae: Vae,
        keep_bytes: int,
        keeping: Keeping = _NOWHERE,
        how: Resampling = Resampling.LANCZOS,
        pasted_on: torch.device | None = None,
    ) -> None:
        self._loop, self._pasted_on = LoopedPictures(folder, picture), pasted_on
        self._vae, self._how = vae, how
        self._matrices = matrices_in(self._loop)
        self._boxes = boxes_in(self._loop, self._matrices)
        alignment = [matrix.tolist() for matrix in self._matrices]
        kind = str(vae.quant_conv.weight.dtype)
        laid = (self._boxes, alignment, how.value)
        parts = keeping.parts(folder, "latentsync", picture, *laid, kind)
        work = Work(self._latents, _packed, self._unpacked)
        self._prepared: Prepared[Tensor] = Prepared(work, parts)
        self._kept: Kept[Shown] = Kept(self._made, keep_bytes)

    def shown(self, ticks: Sequence[int]) -> list[Shown]:
        """What stands in the idle loop at these ticks."""
        return self._kept.of([self._loop.place(tick) for tick in ticks])

    def work_out(self, at_once: int) -> Iterator[tuple[int, int, int]]:
        """See ``looped.whole_loop``."""
        return whole_loop(self._loop, self._prepared, at_once)

    def _made(self, places: Sequence[int]) -> list[Sized[Shown]]:
        made = []
        for place, latents in zip(places, self._prepared.of(places), strict=True):
            picture, box, matrix = self._loop.picture(place), *self._laid(place)
            where = seat(matrix, box.width, box.height, self._how)
            face = aligned(_rgb(picture, box), matrix, self._how)
            seen = faces_seen(self._vae, face[None])[0]
            patch, part, device = weighed(box, where), None, self._pasted_on
            if device is not None:
                way = Warp(box, where.inverse, _WARPED[self._how])
                part = laid(picture, patch, way, device)
            shown = Shown(picture, patch, where, seen, latents, part)
            tensors = seen.nbytes + latents.nbytes + (0 if part is None else part.size_bytes)
            arrays = where.weight.nbytes * 2 + shown.patch.luma.nbytes * 3 // 2
            made.append(Sized(shown, picture.nbytes + tensors + arrays))
        return made

    def _latents(self, places: Sequence[int]) -> list[Tensor]:
        faces = []
        for place in places:
            box, matrix = self._laid(place)
            faces.append(aligned(_rgb(self._loop.picture(place), box), matrix, self._how))
        return list(face_latents(self._vae, faces_seen(self._vae, np.stack(faces))))

    def _laid(self, place: int) -> tuple[Box, Matrix]:
        """What may change of a picture, and the face's alignment from its pixels."""
        number = self._loop.number(place)
        box = self._boxes[number]
        return box, moved(self._matrices[number], box)

    def _unpacked(self, place: int, arrays: Arrays) -> Tensor | None:
        weight = self._vae.quant_conv.weight
        return as_tensor(arrays.get("latents"), _LATENT_SHAPE, weight.dtype, weight.device)


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


def faces_seen(vae: Vae, faces: Rgb) -> Tensor:
    """Aligned faces (n, 256, 256, 3) as pixels where the autoencoder is."""
    return pixels(torch.from_numpy(faces).to(vae.quant_conv.weight.device))


def face_latents(vae: Vae, seen: Tensor) -> Tensor:
    """Pixels of faces to (n, 8, 32, 32) latents: of the masked ones, and of the whole ones."""
    kind = vae.quant_conv.weight.dtype
    with torch.inference_mode():
        both = (masked(seen).to(kind), seen.to(kind))
        return torch.cat([vae.latents(each) for each in both], dim=1)


def _packed(latents: Tensor) -> Arrays:
    return {"latents": as_array(latents)}


def _rgb(picture: Picture, box: Box) -> Rgb:
    return np.ascontiguousarray(bgr_of(picture, box)[..., ::-1])
