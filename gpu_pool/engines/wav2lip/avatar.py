"""An avatar as Wav2Lip needs it: the loop's pictures, where the face is, what the network sees.

Between the photo avatar's folder and the engine. What does not depend on the sound is made once for
every picture of the loop and kept, within a bound of memory. The body is the idle loop's at the
picture's tick, so nothing jumps where a task begins or ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_pool.contracts import Picture, PictureFormat
from gpu_pool.engines.pasting import Laid, Stretch, laid
from gpu_pool.engines.photo.box import Box
from gpu_pool.engines.photo.looped import Kept, LoopedPictures, Sized, whole_loop
from gpu_pool.engines.photo.paste import Patch, bgr_of
from gpu_pool.engines.portions import PassSizes
from gpu_pool.engines.prepared import Arrays, Keeping, Prepared, Work
from gpu_pool.engines.tensors import as_array, as_tensor
from gpu_pool.engines.transfer import uploaded
from gpu_pool.engines.wav2lip.boxes import boxes_in
from gpu_pool.engines.wav2lip.face import cut, network_faces
from gpu_pool.engines.wav2lip.network import Wav2Lip


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of the loop: ``picture`` I420, ``patch`` where the face goes."""

    picture: Picture
    patch: Patch
    seen: Sequence[Tensor]
    """What the network's encoder sees of the face, each (1, channels, rows, columns)."""
    laid: Laid | None = None
    """On the device, where faces are pasted there."""


_NOWHERE = Keeping()


class LoopedFace:
    """An avatar at one picture format, with one network.

    Args:
        folder: of a photo avatar, a picture or a clip.
        picture: the channel's format.
        network: whose encoder looks at the faces.
        batch: how many faces it looks at together.
        keep_bytes: so much may be kept of pictures and of what the network sees in them.
        keeping: what may be kept on the disk.
        pasted_on: the device on which faces are pasted; None: on the host.

    Raises:
        AvatarRefused: the folder is no avatar, or its face too small.
    """

    def __init__(
        self,
        folder: Path,
        picture: PictureFormat,
        network: Wav2Lip,
        *,
        batch: int,
        keep_bytes: int,
        keeping: Keeping = _NOWHERE,
        pasted_on: torch.device | None = None,
    ) -> None:
        self._loop = LoopedPictures(folder, picture)
        self._network, self._pasted_on = network, pasted_on
        self._sizes = PassSizes.of(batch, 1, network.device, network.dtype)
        self._boxes = boxes_in(self._loop)
        kind = str(network.dtype)
        parts = keeping.parts(folder, "wav2lip", picture, self._boxes, network.size, kind)
        work = Work(self._look_at, _packed, self._unpacked)
        self._prepared: Prepared[Sequence[Tensor]] = Prepared(work, parts)
        self._kept: Kept[Shown] = Kept(self._made, keep_bytes)

    def shown(self, ticks: Sequence[int]) -> list[Shown]:
        """What stands in the idle loop at these ticks; the encoder looks at new faces together."""
        return self._kept.of([self._loop.place(tick) for tick in ticks])

    def work_out(self, at_once: int) -> Iterator[tuple[int, int, int]]:
        """See ``looped.whole_loop``."""
        return whole_loop(self._loop, self._prepared, at_once)

    def _made(self, places: Sequence[int]) -> list[Sized[Shown]]:
        made = []
        for place, seen in zip(places, self._prepared.of(places), strict=True):
            picture, box, device = self._loop.picture(place), self._box(place), self._pasted_on
            patch = Patch.of(box)
            size = picture.nbytes + sum(each.nbytes for each in seen)
            part = None
            if device is not None:
                part = laid(picture, patch, Stretch(box, self._network.size), device)
                size += part.size_bytes
            made.append(Sized(Shown(picture, patch, seen, part), size))
        return made

    def _look_at(self, places: Sequence[int]) -> list[Sequence[Tensor]]:
        faces = np.stack([self._face(self._loop.picture(p), self._box(p)) for p in places])
        seen: list[Sequence[Tensor]] = []
        for entries, real in self._sizes.portions(len(places)):
            scales = self._network.see(self.tensor(network_faces(faces[entries])))
            seen += [[scale[n : n + 1].clone() for scale in scales] for n in range(real)]
        return seen

    def _unpacked(self, place: int, arrays: Arrays) -> Sequence[Tensor] | None:
        network = self._network
        found = [
            as_tensor(arrays.get(f"scale{index}"), shape, network.dtype, network.device)
            for index, shape in enumerate(network.seen_shapes)
        ]
        kept = torch.channels_last
        seen = [each.contiguous(memory_format=kept) for each in found if each is not None]
        return seen if len(seen) == len(found) else None

    def _box(self, place: int) -> Box:
        return self._boxes[self._loop.number(place)]

    def _face(self, picture: Picture, box: Box) -> NDArray[np.uint8]:
        whole = Box(0, box.height, 0, box.width)
        return cut(bgr_of(picture, box), whole, self._network.size)

    def tensor(self, faces: NDArray[np.uint8]) -> Tensor:
        """Bytes (n, 6, size, size) as the network wants them: 0 to 1."""
        network = self._network
        made = uploaded(faces, network.device, torch.float32)
        made = (made / 255).to(network.dtype)
        return made.contiguous(memory_format=torch.channels_last)


def _packed(seen: Sequence[Tensor]) -> Arrays:
    return {f"scale{index}": as_array(each) for index, each in enumerate(seen)}
