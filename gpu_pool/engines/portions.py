"""How many pictures go through a network at once: what waits, cut into passes of few sizes.

Beside the signal path, for every engine with a network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

TOGETHER_ON_CUDA = 4
"""Batches that one pass draws unless told: a GPU of the Hopper class is not filled by one."""


def batches_together(wish: int, device: torch.device) -> int:
    """How many batches one pass draws; 0 leaves it to the device: a CPU is filled by one."""
    return wish or (TOGETHER_ON_CUDA if device.type == "cuda" else 1)


@dataclass(frozen=True, slots=True)
class PassSizes:
    """The passes of one network.

    Attributes:
        size: pictures of one batch.
        together: batches in the largest pass.
        fixed: a pass has ``size`` pictures or a multiple of it, the last one filling up; else
            whatever waits goes in one pass.
    """

    size: int
    together: int = 1
    fixed: bool = False

    @classmethod
    def of(cls, size: int, together: int, device: torch.device, dtype: torch.dtype) -> PassSizes:
        """What suits a device.

        On a GPU sizes are few in every precision: work is captured once per shape. On a CPU in half
        precision there is one size only: weights packed for eight pictures were measured 20 times
        slower with one or two, those packed for one 5 times slower with eight. In float32 on a CPU
        any number costs the same.
        """
        on_cpu = device.type == "cpu"
        return cls(size, 1 if on_cpu else together, not on_cpu or dtype is not torch.float32)

    def next(self, waiting: int) -> tuple[int, int]:
        """How many of those that wait go next, and how many pictures that pass has."""
        if not self.fixed:
            return waiting, waiting
        whole = self.size * min(self.together, -(-waiting // self.size))
        return min(waiting, whole), whole

    def portions(self, count: int) -> Iterator[tuple[list[int], int]]:
        """All passes of so many pictures: which of them, and how many of those count."""
        first = 0
        while first < count:
            real, whole = self.next(count - first)
            yield filled(range(first, first + real), whole), real
            first += real


def filled(entries: range, whole: int) -> list[int]:
    """The entries, the last one again and again until there are ``whole``."""
    return [entries[min(index, len(entries) - 1)] for index in range(whole)]
