"""An avatar as MuseTalk needs it: where the face is, its latents, and how it goes back.

Between the photo avatar's folder and the engine. Nothing here depends on the sound; every picture
of the loop is worked on once, and what the networks saw in it is kept on the disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_pool.contracts import Picture, PictureFormat
from gpu_pool.engines.diffusion.vae import Vae, to_unit
from gpu_pool.engines.musetalk import blend
from gpu_pool.engines.musetalk.boxes import MARGIN_PX, boxes_in
from gpu_pool.engines.musetalk.parser import FaceParser
from gpu_pool.engines.pasting import Laid, Stretch, laid
from gpu_pool.engines.photo.box import Bgr, Box
from gpu_pool.engines.photo.looped import FaceMask, Kept, LoopedPictures, Sized, whole_loop
from gpu_pool.engines.photo.paste import Patch, bgr_of, repaint
from gpu_pool.engines.prepared import Arrays, Keeping, Prepared, Work
from gpu_pool.engines.tensors import as_array, as_tensor

SIZE = 256
"""Of the face that the network sees and draws."""

_LATENT_SHAPE = (8, SIZE // 8, SIZE // 8)
_NOWHERE = Keeping()


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of the loop: ``picture`` I420, ``patch`` where the face goes."""

    picture: Picture
    patch: Patch
    latents: Tensor
    """(8, 32, 32): of the face with its lower half black, and of the whole face."""
    mask: FaceMask | None = None
    """Of the square about the box, brought along or by the parser."""
    laid: Laid | None = None
    """On the device, where faces are pasted there."""

    def paste_as_published(self, picture: Picture, face: Bgr, first_version: bool) -> None:
        """Put a drawn face in with the arithmetic of the authors' programs; needs the mask."""
        assert self.mask is not None, "the engine asks for a parser"
        box, outer = self.patch.box, self.patch.outer
        corners = _moved(_corners(box), outer)
        around, mask = _moved(self.mask.around, outer), self.mask.mask
        sized = np.asarray(cv2.resize(face, (box.width, box.height)), np.uint8)
        paste = blend.paste_1_0 if first_version else blend.paste

        def change(area: Bgr) -> Bgr:
            paste(area, sized, corners, around, mask)
            return area

        repaint(picture, outer, change)


@dataclass(frozen=True, slots=True)
class Worked:
    """What the networks saw in one picture: (8, 32, 32), and the square's mask with a parser."""

    latents: Tensor
    mask: NDArray[np.uint8] | None


class MuseFace:
    """An avatar at one picture format, with one autoencoder.

    Args:
        folder: of a photo avatar, a picture or a clip.
        picture: the channel's format.
        vae: whose encoder looks at the faces.
        parser: tells skin from hair; None pastes the lower half of the box with soft edges. Masks
            that the avatar brought along come before both.
        first_version: 1.0: no margin below the chin, smaller squares, other parts kept.
        keep_bytes: so much may be kept of pictures and latents.
        keeping: what may be kept on the disk.
        pasted_on: the device on which faces are pasted; None: on the host.

    Raises:
        AvatarRefused: the folder is no avatar, or its face too small.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - an avatar is where all of these meet
        self,
        folder: Path,
        picture: PictureFormat,
        vae: Vae,
        parser: FaceParser | None,
        first_version: bool,
        keep_bytes: int,
        keeping: Keeping = _NOWHERE,
        pasted_on: torch.device | None = None,
    ) -> None:
        self._loop, self._pasted_on = LoopedPictures(folder, picture), pasted_on
        self._vae, self._first_version = vae, first_version
        brought = self._loop.mask_for("musetalk", 0)
        self._parser = parser if brought is None else None
        self._boxes = boxes_in(self._loop, 0 if first_version else MARGIN_PX)
        self._frame = Box(0, picture.height, 0, picture.width)
        kind = vae.quant_conv.weight.dtype
        parts = keeping.parts(
            folder, "musetalk", picture, self._boxes, first_version, self._parser is None, str(kind)
        )
        work = Work(self._looked_at, _packed, self._unpacked)
        self._prepared: Prepared[Worked] = Prepared(work, parts)
        self._kept: Kept[Shown] = Kept(self._made, keep_bytes)

    def shown(self, ticks: Sequence[int]) -> list[Shown]:
        """What stands in the idle loop at these ticks."""
        return self._kept.of([self._loop.place(tick) for tick in ticks])

    def work_out(self, at_once: int) -> Iterator[tuple[int, int, int]]:
        """See ``looped.whole_loop``."""
        return whole_loop(self._loop, self._prepared, at_once)

    def _made(self, places: Sequence[int]) -> list[Sized[Shown]]:
        made = []
        for place, worked in zip(places, self._prepared.of(places), strict=True):
            picture, box = self._loop.picture(place), self._box(place)
            mask = self._loop.mask_for("musetalk", self._loop.number(place))
            if worked.mask is not None:
                mask = FaceMask(self._square(box), worked.mask)
            patch = Patch.of(box) if mask is None else masked_patch(box, mask, self._frame)
            size = picture.nbytes + worked.latents.nbytes + patch.luma.nbytes * 3 // 2
            part, device = None, self._pasted_on
            if device is not None:
                part = laid(picture, patch, Stretch(box, SIZE), device)
                size += part.size_bytes
            made.append(Sized(Shown(picture, patch, worked.latents, mask, part), size))
        return made

    def _looked_at(self, places: Sequence[int]) -> list[Worked]:
        pictures = [self._loop.picture(place) for place in places]
        boxes = [self._box(place) for place in places]
        faces = [_seen(bgr_of(p, box)) for p, box in zip(pictures, boxes, strict=True)]
        latents = face_latents(self._vae, np.stack(faces))
        masks = [self._mask(p, box) for p, box in zip(pictures, boxes, strict=True)]
        return [Worked(*each) for each in zip(latents, masks, strict=True)]

    def _mask(self, picture: Picture, box: Box) -> NDArray[np.uint8] | None:
        if self._parser is None:
            return None
        blur = blend.BLUR_1_0 if self._first_version else blend.BLUR_PREPARED
        kept = blend.Kept.ALL_1_0 if self._first_version else blend.Kept.JAW
        around = self._square(box)
        labels = self._parser.labels(_square_rgb(picture, around, self._frame))
        return blend.soft_mask(blend.parts(labels, kept), _corners(box), around, blur)

    def _unpacked(self, place: int, arrays: Arrays) -> Worked | None:
        weight = self._vae.quant_conv.weight
        latents = as_tensor(arrays.get("latents"), _LATENT_SHAPE, weight.dtype, weight.device)
        mask = arrays.get("mask")
        if latents is None or (mask is None) is not (self._parser is None):
            return None
        left, top, right, bottom = self._square(self._box(place))
        expected = bottom - top, right - left
        if mask is not None and (mask.shape != expected or mask.dtype != np.uint8):
            return None
        return Worked(latents, mask)

    def _box(self, place: int) -> Box:
        return self._boxes[self._loop.number(place)]

    def _square(self, box: Box) -> blend.Box:
        expand = blend.EXPAND_1_0 if self._first_version else blend.EXPAND
        return blend.square(_corners(box), expand)


def face_latents(vae: Vae, faces: Bgr) -> Tensor:
    """Faces (n, 256, 256, 3) BGR to (n, 8, 32, 32): masked ones first, then whole ones.

    Rows from the middle on are black before the scale goes to -1 to 1.
    """
    weight = vae.quant_conv.weight
    rgb = torch.from_numpy(np.ascontiguousarray(faces[..., ::-1])).permute(0, 3, 1, 2)
    dark = rgb.clone()
    dark[:, :, SIZE // 2 :] = 0
    both = (to_unit(each).to(weight.device, weight.dtype) for each in (dark, rgb))
    with torch.inference_mode():
        return torch.cat([vae.latents(each) for each in both], dim=1)


def masked_patch(box: Box, drawn: FaceMask, frame: Box) -> Patch:
    """The patch of a face box whose weights are a mask over the square about it."""
    around, mask = drawn.around, drawn.mask
    left, top = max(0, around[0]) & ~1, max(0, around[1]) & ~1
    right, bottom = min(frame.right, around[2] + 1) & ~1, min(frame.bottom, around[3] + 1) & ~1
    outer = Box(top, bottom, left, right)
    luma = np.zeros((outer.height, outer.width), np.float32)
    x1, y1 = max(left, around[0]), max(top, around[1])
    x2, y2 = min(right, around[2]), min(bottom, around[3])
    part = mask[y1 - around[1] : y2 - around[1], x1 - around[0] : x2 - around[0]]
    luma[y1 - top : y2 - top, x1 - left : x2 - left] = part.astype(np.float32) / 255
    half = (outer.width // 2, outer.height // 2)
    chroma = np.asarray(cv2.resize(luma, half, interpolation=cv2.INTER_AREA), np.float32)
    return Patch(box, outer, luma, chroma)


def _corners(box: Box) -> blend.Box:
    return box.left, box.top, box.right, box.bottom


def _moved(corners: blend.Box, origin: Box) -> blend.Box:
    """The same corners from an area's own."""
    x1, y1, x2, y2 = corners
    left, top = origin.left, origin.top
    return x1 - left, y1 - top, x2 - left, y2 - top


def _packed(worked: Worked) -> Arrays:
    arrays = {"latents": as_array(worked.latents)}
    return arrays if worked.mask is None else {**arrays, "mask": worked.mask}


def _seen(face: Bgr) -> Bgr:
    resized = cv2.resize(face, (SIZE, SIZE), interpolation=cv2.INTER_LANCZOS4)
    return np.asarray(resized, np.uint8)


def _square_rgb(picture: Picture, around: blend.Box, frame: Box) -> NDArray[np.uint8]:
    """The square as the parser sees it, (512, 512, 3) RGB; black outside the picture."""
    inside = Box(
        max(0, around[1]),
        min(frame.bottom, around[3]),
        max(0, around[0]),
        min(frame.right, around[2]),
    )
    square = np.zeros((around[3] - around[1], around[2] - around[0], 3), np.uint8)
    down, across = inside.top - around[1], inside.left - around[0]
    found = bgr_of(picture, inside)[..., ::-1]
    square[down : down + inside.height, across : across + inside.width] = found
    size = (blend.LABELS_SIZE, blend.LABELS_SIZE)
    return np.asarray(cv2.resize(square, size, interpolation=cv2.INTER_LINEAR), np.uint8)
