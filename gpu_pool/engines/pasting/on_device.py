"""Faces into pictures where the network has drawn them; only the finished planes leave the device.

The same steps as ``Patch.paste`` of the photo avatar, for many pictures at once: resized or warped,
BT.709 limited range, blended with the idle picture by weight and share, rounded. About twenty
kernels (with Lanczos two hundred) for all pictures of one shape, one copy for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as fn

from gpu_pool.contracts import Picture
from gpu_pool.engines.pasting.laid import Laid
from gpu_pool.engines.pasting.sampling import How, sampled
from gpu_pool.engines.pasting.started import Finish
from gpu_pool.engines.photo.paste import planes_of
from gpu_pool.engines.presenter import colour
from gpu_pool.engines.transfer import Coming, chosen, uploaded


class LaidOut(Protocol):
    """A picture of the idle loop that was laid out on the device."""

    @property
    def laid(self) -> Laid | None:
        """None where faces are pasted on the host."""
        ...


class DevicePaste:
    """Follows the protocol ``Paste``."""

    def start(self, levels: Tensor, shown: Sequence[LaidOut], shares: Sequence[float]) -> Finish:
        """As ``Paste``."""
        parts = [_laid(each) for each in shown]
        groups: dict[tuple[How, tuple[int, int]], list[int]] = {}
        for number, part in enumerate(parts):
            groups.setdefault((part.how, part.shape), []).append(number)
        made = [
            _pasted(
                chosen(levels, members), [parts[n] for n in members], [shares[n] for n in members]
            )
            for members in groups.values()
        ]
        coming = Coming(torch.cat([each.reshape(-1) for each in made]))
        order = [number for members in groups.values() for number in members]

        def finish(out: Sequence[Picture | None]) -> None:
            _write(coming.arrived(), [parts[n] for n in order], [out[n] for n in order])

        return finish


def _laid(shown: LaidOut) -> Laid:
    assert shown.laid is not None, "the avatar was prepared for this device"
    return shown.laid


def _pasted(faces: Tensor, parts: Sequence[Laid], shares: Sequence[float]) -> Tensor:
    """Finished planes (n, Y + U + V) ``uint8`` of pictures of one shape."""
    rows, columns = parts[0].shape
    numbers = torch.stack([each.numbers for each in parts])
    lengths = [columns, columns, rows, rows, rows * columns * 3 // 2]
    column_x, column_y, row_x, row_y, weights = numbers.split(lengths, dim=1)
    x = column_x[:, None, :] + row_x[:, :, None]
    y = column_y[:, None, :] + row_y[:, :, None]
    fresh = _planes(sampled(faces, x, y, parts[0].how))
    if min(shares) < 1:
        weights = weights * uploaded(np.array(shares, np.float32)[:, None], faces.device)
    idle = torch.stack([each.idle for each in parts]).float()
    return torch.addcmul(idle, fresh - idle, weights).add_(0.5).to(torch.uint8)


def _planes(bgr: Tensor) -> Tensor:
    """(n, 3, rows, columns) to Y, U and V flat, (n, Y + U + V) float32."""
    matrix, shift = _matrix(bgr.device)
    luma = _weighed(bgr, matrix[:1]) + shift[0]
    chroma = _weighed(fn.avg_pool2d(bgr, 2), matrix[1:]) + shift[1]
    return torch.cat((luma.flatten(1), chroma.flatten(1)), 1)


def _weighed(bgr: Tensor, matrix: Tensor) -> Tensor:
    """As sums, not by a matrix product: that may be allowed to round to ten bits."""
    return (bgr[:, None] * matrix[None, :, :, None, None]).sum(2)


@cache
def _matrix(device: torch.device) -> tuple[Tensor, tuple[float, float]]:
    """(3, 3) to Y, U and V, and what is added to Y and to both others."""
    made = colour.TO_YUV
    return torch.from_numpy(made[:, :3].copy()).to(device), (float(made[0, 3]), float(made[1, 3]))


def _write(planes: NDArray[np.uint8], parts: Sequence[Laid], out: Sequence[Picture | None]) -> None:
    """Finished planes, one picture after the other, to where they belong."""
    ends = np.cumsum([0, *(each.shape[0] * each.shape[1] * 3 // 2 for each in parts)]).tolist()
    for laid, picture, (first, end) in zip(parts, out, pairwise(ends), strict=True):
        if picture is None:
            continue
        own = colour.unpack(planes[first:end], *laid.shape)
        for plane, fresh in zip(planes_of(picture, laid.part), own, strict=True):
            rows, columns = plane.shape
            plane[:] = fresh[:rows, :columns]
