"""Faces into pictures by OpenCV, one after the other: on a CPU, and in the authors' arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from gpu_pool.contracts import Picture
from gpu_pool.engines.pasting.started import Finish
from gpu_pool.engines.photo.box import Bgr
from gpu_pool.engines.transfer import Coming

S = TypeVar("S")


class HostPaste(Generic[S]):
    """Follows the protocol ``Paste``.

    Args:
        paste: puts one face (rows, columns, 3), shown by a share, into a picture.
    """

    def __init__(self, paste: Callable[[Picture, S, Bgr, float], None]) -> None:
        self._paste = paste

    def start(self, levels: Tensor, shown: Sequence[S], shares: Sequence[float]) -> Finish:
        """As ``Paste``."""
        coming = Coming(levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous())

        def finish(out: Sequence[Picture | None]) -> None:
            drawn = zip(out, shown, coming.arrived(), shares, strict=True)
            for picture, idle, face, share in drawn:
                if picture is not None:
                    self._paste(picture, idle, face, share)

        return finish
