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

from gpu_pool.contracts import AvatarRefused, Picture, PictureFormat
from gpu_pool.engines.face.points import CHIN, FOREHEAD, LEFT_CHEEK, RIGHT_CHEEK
from gpu_pool.engines.face.values import Points
from gpu_pool.engines.photo.body import Body, ClipBody, load
from gpu_pool.engines.photo.folder import read_avatar
from gpu_pool.engines.photo.framing import shown_cut
from gpu_pool.engines.wav2lip.face import Box, cut, network_faces
from gpu_pool.engines.wav2lip.network import Wav2Lip
from gpu_pool.engines.wav2lip.paste import Patch, bgr_of

_ABOVE, _BELOW, _BESIDE = 0.02, 0.05, 0.02
"""Parts of the face's height by which the box is larger than its landmarks: what the authors'
detector gives plus their pads, which let the chin drop."""

_SMALLEST_PX = 32
"""Of a box's height: below it there is no mouth to speak of."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of the loop: ``picture`` I420, ``patch`` where the face goes."""

    picture: Picture
    patch: Patch
    seen: Sequence[Tensor]
    """What the network's encoder sees of the face, each (1, channels, rows, columns)."""


def face_boxes(points: Points, width: int, height: int) -> list[Box]:
    """The box of each picture's face.

    Args:
        points: (pictures, POINTS, 2), in pixels of the picture.
        width: of the picture; boxes stay inside.
        height: likewise.

    Raises:
        AvatarRefused: a face is too small, or outside.
    """
    top, bottom = points[:, FOREHEAD, 1], points[:, CHIN, 1]
    left, right = points[:, LEFT_CHEEK, 0], points[:, RIGHT_CHEEK, 0]
    tall = bottom - top
    edges = np.stack(
        [top - _ABOVE * tall, bottom + _BELOW * tall, left - _BESIDE * tall, right + _BESIDE * tall]
    )
    limits = np.array([[height], [height], [width], [width]])
    rounded = np.clip(np.rint(edges), 0, limits).astype(int).T
    boxes = [Box(*(int(edge) for edge in row)) for row in rounded]
    if min(min(box.width, box.height) for box in boxes) < _SMALLEST_PX:
        raise AvatarRefused(f"the face is smaller than {_SMALLEST_PX} pixels in the picture")
    return boxes


class LoopedFace:
    """An avatar at one picture format, with one network.

    Args:
        folder: of a photo avatar, a picture or a clip.
        picture: the channel's format.
        network: whose encoder looks at the faces.
        keep_bytes: so much may be kept of pictures and of what the network sees in them.

    Raises:
        AvatarRefused: the folder is no avatar, or its face too small.
    """

    def __init__(
        self, folder: Path, picture: PictureFormat, network: Wav2Lip, keep_bytes: int
    ) -> None:
        self._body: Body = load(folder, picture)
        self._network, self._fps = network, picture.fps
        avatar = read_avatar(folder)
        stored = avatar.summary
        shown, place = shown_cut(
            stored.width, stored.height, avatar.points, picture.width, picture.height
        )
        left, top, width, height = place or (0, 0, picture.width, picture.height)
        points = shown.points(avatar.points)
        self._boxes = [
            Box(box.top + top, box.bottom + top, box.left + left, box.right + left)
            for box in face_boxes(points, width, height)
        ]
        self.loop_ticks = self._body.loop_ticks(picture.fps)
        self._kept: dict[int, Shown] = {}
        self._room = keep_bytes

    def shown(self, ticks: Sequence[int]) -> list[Shown]:
        """What stands in the idle loop at these ticks; the encoder looks at new faces together."""
        places = [tick % self.loop_ticks for tick in ticks]
        fresh = [place for place in dict.fromkeys(places) if place not in self._kept]
        found = dict(zip(fresh, self._look_at(fresh), strict=True)) if fresh else {}
        for place, each in found.items():
            size = each.picture.nbytes + sum(t.nbytes for t in each.seen)
            if size <= self._room:
                self._room -= size
                self._kept[place] = each
        return [self._kept[place] if place in self._kept else found[place] for place in places]

    def _look_at(self, places: Sequence[int]) -> list[Shown]:
        pictures = [self._body.picture(place, self._fps) for place in places]
        boxes = [self._box(place) for place in places]
        faces = np.stack(
            [self._face(picture, box) for picture, box in zip(pictures, boxes, strict=True)]
        )
        seen = self._network.see(self.tensor(network_faces(faces)))
        return [
            Shown(picture, Patch.of(box), [scale[index : index + 1] for scale in seen])
            for index, (picture, box) in enumerate(zip(pictures, boxes, strict=True))
        ]

    def _face(self, picture: Picture, box: Box) -> NDArray[np.uint8]:
        whole = Box(0, box.height, 0, box.width)
        return cut(bgr_of(picture, box), whole, self._network.size)

    def tensor(self, faces: NDArray[np.uint8]) -> Tensor:
        """Bytes (n, 6, size, size) as the network wants them: 0 to 1."""
        network = self._network
        made = torch.from_numpy(np.ascontiguousarray(faces)).to(network.device, torch.float32)
        made = (made / 255).to(network.dtype)
        return made.contiguous(memory_format=torch.channels_last)

    def _box(self, place: int) -> Box:
        if isinstance(self._body, ClipBody):
            return self._boxes[self._body.number_at(place, self._fps)]
        return self._boxes[0]
