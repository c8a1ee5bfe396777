"""The S3FD network: a picture to face scores and boxes at six resolutions.

Zhang et al., "S3FD: Single Shot Scale-Invariant Face Detector" (2017), shape for shape as in
face-alignment's ``s3fd-619a316812.pth``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gpu_pool.engines.checkpoint import Checkpoint, identify

MEAN = (104.0, 117.0, 123.0)

_GROUPS: Sequence[Sequence[str]] = (
    ("conv1_1", "conv1_2"),
    ("conv2_1", "conv2_2"),
    ("conv3_1", "conv3_2", "conv3_3"),
    ("conv4_1", "conv4_2", "conv4_3"),
    ("conv5_1", "conv5_2", "conv5_3"),
)
_NORMED = ("conv3_3", "conv4_3", "conv5_3")
_HALVED = frozenset({"conv6_2", "conv7_2"})
_WIDE = 3
"""Padding of fc6, which makes the map larger."""

_EPSILON = 1e-10


class S3fd:
    """A loaded network.

    Args:
        checkpoint: of the published layout.
        device: ``cpu`` or ``cuda:0``.

    Raises:
        CheckpointRefused: it is no S3FD.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "cpu") -> None:
        identify(checkpoint, ("s3fd",))
        self.device = torch.device(device)
        self._tensors = {name: self._placed(checkpoint.array(name)) for name in checkpoint.tensors}

    def __call__(self, pictures: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Scores and boxes of every resolution, the finest first.

        Args:
            pictures: (n, 3, rows, columns), 0 to 255 less ``MEAN``.

        Returns:
            Six pairs: (n, 2, r, c) scores of background and face, before the softmax, and
            (n, 4, r, c) of the box; a cell stands for 4, 8 .. 128 pixels.
        """
        seen, x = [], pictures.contiguous(memory_format=torch.channels_last)
        for group in _GROUPS:
            for name in group:
                x = self._conv(name, x)
            if name in _NORMED:
                seen.append((f"{name}_norm", self._normed(f"{name}_norm", x)))
            x = functional.max_pool2d(x, 2)
        x = self._conv("fc7", self._conv("fc6", x, _WIDE))
        seen.append(("fc7", x))
        for name in ("conv6", "conv7"):
            x = self._conv(f"{name}_2", self._conv(f"{name}_1", x))
            seen.append((f"{name}_2", x))
        return [self._head(name, each) for name, each in seen]

    def _placed(self, array: NDArray[Any]) -> Tensor:
        made = torch.from_numpy(array.astype(np.float32)).to(self.device)
        return made.contiguous(memory_format=torch.channels_last) if made.dim() == 4 else made

    def _conv(self, name: str, x: Tensor, padding: int | None = None) -> Tensor:
        weight = self._tensors[f"{name}.weight"]
        pad = weight.shape[2] // 2 if padding is None else padding
        stride = 2 if name in _HALVED else 1
        made = functional.conv2d(x, weight, self._tensors[f"{name}.bias"], stride, pad)
        return functional.relu(made, inplace=True)

    def _normed(self, name: str, x: Tensor) -> Tensor:
        length = x.pow(2).sum(dim=1, keepdim=True).sqrt() + _EPSILON
        return x / length * self._tensors[f"{name}.weight"].view(1, -1, 1, 1)

    def _head(self, name: str, x: Tensor) -> tuple[Tensor, Tensor]:
        scores, boxes = (
            functional.conv2d(
                x, self._tensors[f"{name}_mbox_{kind}.weight"],
                self._tensors[f"{name}_mbox_{kind}.bias"], padding=1,
            )
            for kind in ("conf", "loc")
        )  # fmt: skip
        if scores.shape[1] > 2:  # the finest has three kinds of background
            scores = torch.cat((scores[:, :3].amax(dim=1, keepdim=True), scores[:, 3:]), 1)
        return scores, boxes
