"""The sound-to-mouth network in pure numpy, as a stream with kept state.

Log-mel frames go in, for every 20 ms of sound come viseme shares and three curves, 80 ms late.
Must need neither torch nor anything else than numpy, and must never keep a whole sound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.mouth.features import BANDS, HOP, MelStream
from gpu_pool.engines.mouth.visemes import VISEMES

FRAME = 2 * HOP
"""Samples per frame of the network: 20 ms."""

LOOKAHEAD_FRAMES = 4
"""The answer for a frame needs 80 ms of sound after it: at 0 ms closures come late, more than
80 ms brings nothing (measured on smaller networks)."""

DILATIONS = (1, 2, 4, 8, 1, 2, 4)

SETTLING_FRAMES = 2 * sum(DILATIONS) + 4
"""Frames that an answer depends on: 44 through the blocks, the rest through the stem and mel."""

AT_ONCE = 10 * FRAME
"""Samples heard in one go: with 0.2 s every matrix stays under the size from which on OpenBLAS
wakes threads, which would spin for longer than they work (14 instead of 6 ms per second)."""

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BlockWeights:
    """One block, prepared: every constant factor of its activations lies in its matrices."""

    reach: int
    taps: Array
    spread: Array
    spread_bias: Array
    merge: Array
    merge_bias: Array


@dataclass(frozen=True, slots=True)
class Weights:
    """The whole network as float32, prepared for ``NetStream``."""

    stem: Array
    stem_bias: Array
    blocks: tuple[BlockWeights, ...]
    scale: Array
    shift: Array
    head: Array
    head_bias: Array

    @classmethod
    def read(cls, path: str | None = None) -> Weights:
        """The network that ships, or the one in ``path`` (npz).

        Raises:
            OSError, ValueError, KeyError: the file is missing or is no such network.
        """
        if path is None:
            shipped = resources.files("gpu_pool.engines.mouth").joinpath("mouthnet.npz")
            with resources.as_file(shipped) as file:
                return cls.read(str(file))
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name].astype(np.float32) for name in held.files}
        return cls(
            arrays["stem_w"],
            arrays["stem_b"],
            tuple(_block_weights(arrays, index) for index in range(len(DILATIONS))),
            arrays["norm_scale"],
            arrays["norm_shift"],
            arrays["head_w"] * np.float32(0.5),
            arrays["head_b"],
        )


def _block_weights(arrays: Mapping[str, Array], index: int) -> BlockWeights:
    """One block of a file.

    sigmoid(g) is (1 + tanh(g / 2)) / 2, and gelu(a) is a (1 + tanh(...)) / 2: the halves go into
    the matrices before and after.
    """
    spread, bias = arrays[f"spread_w{index}"].copy(), arrays[f"spread_b{index}"].copy()
    width = spread.shape[0]
    spread[:, width:] *= 0.5
    bias[width:] *= 0.5
    return BlockWeights(
        2 * DILATIONS[index],
        arrays[f"taps{index}"],
        spread,
        bias,
        arrays[f"merge_w{index}"] * np.float32(0.25),
        arrays[f"merge_b{index}"],
    )


class NetStream:
    """One sound on its way through the network; before its first sample there was silence."""

    def __init__(self, weights: Weights, *, settled: bool = True) -> None:
        self._weights = weights
        self._mel = MelStream()
        self._frames = np.zeros((0, BANDS), np.float32)
        width = len(weights.stem_bias)
        self._kept = [np.zeros((block.reach, width), np.float32) for block in weights.blocks]
        if settled:
            # Until the state no longer changes; then two mel frames wait for their pair.
            self.feed(np.zeros(SETTLING_FRAMES * FRAME, np.float32))

    def feed(self, sound: Array) -> Array:
        """Answers that are complete now.

        Args:
            sound: float32 mono at 16 kHz, of any length.

        Returns:
            float32 (frames, 18): fifteen viseme shares, then open, wide and round. The first
            ``LOOKAHEAD_FRAMES`` answers of a stream tell of the silence before it.
        """
        pieces = [self._hear(sound[at : at + AT_ONCE]) for at in range(0, len(sound), AT_ONCE)]
        return np.concatenate([np.zeros((0, len(VISEMES) + 3), np.float32), *pieces])

    def _hear(self, sound: Array) -> Array:
        self._frames = np.concatenate([self._frames, self._mel.feed(sound)])
        count = max(0, (len(self._frames) - 2) // 2)
        if count == 0:
            return np.zeros((0, len(VISEMES) + 3), np.float32)
        weights = self._weights
        rows = np.concatenate([self._frames[k : k + 2 * count : 2] for k in range(4)], axis=1)
        self._frames = self._frames[2 * count :].copy()
        hidden = rows @ weights.stem
        hidden += weights.stem_bias
        for index, block in enumerate(weights.blocks):
            hidden = self._block(hidden, index, block)
        hidden *= weights.scale
        hidden += weights.shift
        inner = _gelu_inner(hidden)
        np.tanh(inner, out=inner)
        inner += 1
        inner *= hidden
        told = inner @ weights.head
        told += weights.head_bias
        told[:, : len(VISEMES)] = _softmax(told[:, : len(VISEMES)])
        return told

    def _block(self, hidden: Array, index: int, block: BlockWeights) -> Array:
        seen = np.concatenate([self._kept[index], hidden])
        count, width = hidden.shape
        self._kept[index] = seen[count:].copy()
        middle = block.reach // 2
        mixed = block.taps[0] * seen[:count]
        mixed += block.taps[1] * seen[middle : middle + count]
        mixed += block.taps[2] * hidden
        spread = mixed @ block.spread
        spread += block.spread_bias
        value = spread[:, :width].copy()
        spread[:, :width] = _gelu_inner(value)
        np.tanh(spread, out=spread)
        spread += 1
        value *= spread[:, :width]
        value *= spread[:, width:]
        merged: Array = value @ block.merge
        merged += block.merge_bias
        merged += hidden
        return merged

    @property
    def state(self) -> tuple[Array, list[Array]]:
        """Waiting mel frames and what each block remembers; to copy a settled stream."""
        return self._frames, self._kept

    @state.setter
    def state(self, state: tuple[Array, list[Array]]) -> None:
        self._frames, self._kept = state[0].copy(), [kept.copy() for kept in state[1]]


def _gelu_inner(value: Array) -> Array:
    """What the tanh form of GELU takes the tanh of."""
    inner = value * value
    inner *= np.float32(0.044715 * 0.7978845608)
    inner += np.float32(0.7978845608)
    inner *= value
    return inner


def _softmax(logits: Array) -> Array:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    total: Array = shares / shares.sum(axis=1, keepdims=True)
    return total
