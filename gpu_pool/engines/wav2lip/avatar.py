"""An avatar as Wav2Lip needs it: the loop's pictures, where the face is, what the network sees.

Between the photo avatar's folder and the engine. What does not depend on the sound is made once for
every picture of the loop and kept, within a bound of memory. The body is the idle loop's at the
picture's tick, so nothing jumps where a task begins or ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_pool.contracts import Picture, PictureFormat
from gpu_pool.engines.photo.box import Box
from gpu_pool.engines.photo.looped import Kept, LoopedPictures, Sized
from gpu_pool.engines.photo.paste import Patch, bgr_of
from gpu_pool.engines.wav2lip.boxes import boxes_in
from gpu_pool.engines.wav2lip.face import cut, network_faces
from gpu_pool.engines.wav2lip.network import Wav2Lip, portions


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of the loop: ``picture`` I420, ``patch`` where the face goes."""

    picture: Picture
    patch: Patch
    seen: Sequence[Tensor]
    """What the network's encoder sees of the face, each (1, channels, rows, columns)."""


class LoopedFace:
    """An avatar at one picture format, with one network.

    Args:
        folder: of a photo avatar, a picture or a clip.
        picture: the channel's format.
        network: whose encoder looks at the faces.
        batch: how many faces it looks at together.
        keep_bytes: so much may be kept of pictures and of what the network sees in them.

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
    ) -> None:
        self._loop = LoopedPictures(folder, picture)
        self._network, self._batch = network, batch
        self._boxes = boxes_in(self._loop)
        self._kept: Kept[Shown] = Kept(self._look_at, keep_bytes)

    def shown(self, ticks: Sequence[int]) -> list[Shown]:
        """What stands in the idle loop at these ticks; the encoder looks at new faces together."""
        return self._kept.of([self._loop.place(tick) for tick in ticks])

    def _look_at(self, places: Sequence[int]) -> list[Sized[Shown]]:
        pictures = [self._loop.picture(place) for place in places]
        boxes = [self._boxes[self._loop.number(place)] for place in places]
        faces = np.stack(
            [self._face(picture, box) for picture, box in zip(pictures, boxes, strict=True)]
        )
        seen: list[list[Tensor]] = []
        for entries, real in portions(len(places), self._batch, self._network.dtype):
            scales = self._network.see(self.tensor(network_faces(faces[entries])))
            seen += [[scale[n : n + 1].clone() for scale in scales] for n in range(real)]
        made = []
        for picture, box, own in zip(pictures, boxes, seen, strict=True):
            size = picture.nbytes + sum(each.nbytes for each in own)
            made.append(Sized(Shown(picture, Patch.of(box), own), size))
        return made

    def _face(self, picture: Picture, box: Box) -> NDArray[np.uint8]:
        whole = Box(0, box.height, 0, box.width)
        return cut(bgr_of(picture, box), whole, self._network.size)

    def tensor(self, faces: NDArray[np.uint8]) -> Tensor:
        """Bytes (n, 6, size, size) as the network wants them: 0 to 1."""
        network = self._network
        made = torch.from_numpy(np.ascontiguousarray(faces)).to(network.device, torch.float32)
        made = (made / 255).to(network.dtype)
        return made.contiguous(memory_format=torch.channels_last)
