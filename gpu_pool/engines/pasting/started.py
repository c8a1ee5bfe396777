"""What the engines ask of a way to paste: begin now, be finished when somebody waits for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from torch import Tensor

from gpu_pool.contracts import Picture

S_contra = TypeVar("S_contra", contravariant=True)

Finish = Callable[[Sequence[Picture | None]], None]
"""Waits for what was started and writes into these pictures, which hold the idle loop's; ``None``
for one that nobody wants any more."""


class Paste(Protocol[S_contra]):
    """A way to put faces into pictures."""

    def start(self, levels: Tensor, shown: Sequence[S_contra], shares: Sequence[float]) -> Finish:
        """Begin with faces that may not be drawn yet; does not wait for them.

        Args:
            levels: (n, 3, rows, columns) BGR, whole numbers 0 to 255 as float32.
            shown: what stands in the idle loop where each goes.
            shares: how much of each is shown, 0 to 1.
        """
        ...
