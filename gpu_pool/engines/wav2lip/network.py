"""The Wav2Lip network, 96 and 256, for inference: batch norm folded into the convolutions.

In a worker, between mel windows and faces and the drawn faces. Shape for shape the network of
Prajwal et al., "A Lip Sync Expert Is All You Need" (2020), and of LiveTalking's 256-pixel variant;
it takes its widths from the weights, whose layout the checkpoint reader has already checked.
Must never run in training mode: there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gpu_pool.engines.checkpoint import Checkpoint, identify
from gpu_pool.engines.graphs import Replayed

SIZES: Mapping[str, int] = {"wav2lip96": 96, "wav2lip256": 256}
"""Variant -> side of the square face, pixels."""

_EPSILON = 1e-5
"""Of batch norm: torch's default, which the authors left."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one convolution is laid: what its weights do not tell."""

    stride: int | tuple[int, int] = 1
    padding: int = 1
    residual: bool = False
    up: bool = False
    """Transposed."""

    @property
    def spare(self) -> int:
        """Rows and columns more, so that 3x3 at stride 2 doubles exactly."""
        return 1 if self.up and self.stride == 2 else 0


_SAME = Plan(residual=True)
_POINT = Plan(padding=0)
_HALF = Plan(stride=2)
_DOUBLE = Plan(stride=2, up=True)
_OPEN = Plan(padding=0, up=True)
"""From one pixel to 3x3 or 4x4, the size of its kernel."""

_AUDIO: Sequence[Plan] = (
    *(Plan(), _SAME, _SAME, Plan(stride=(3, 1)), _SAME, _SAME, Plan(stride=3), _SAME, _SAME),
    *(Plan(stride=(3, 2)), _SAME, _POINT, _POINT),
)

_FACE_HEAD: Sequence[Sequence[Plan]] = (
    (Plan(padding=3),),
    (_HALF, _SAME, _SAME),
    (_HALF, _SAME, _SAME, _SAME),
    (_HALF, _SAME, _SAME),
    (_HALF, _SAME, _SAME),
    (_HALF, _SAME),
)
_FACE: Mapping[int, Sequence[Sequence[Plan]]] = {
    96: (*_FACE_HEAD, (_POINT, _POINT)),
    256: (*_FACE_HEAD, (_HALF, _SAME), (_POINT, _POINT)),
}

_SEEN: Mapping[int, Sequence[tuple[int, int]]] = {
    96: ((16, 96), (32, 48), (64, 24), (128, 12), (256, 6), (512, 3), (512, 1)),
    256: (
        *((16, 256), (32, 128), (64, 64), (128, 32), (256, 16)),
        *((512, 8), (512, 4), (512, 1)),
    ),
}
"""Channels and side of what the encoder sees, scale by scale."""

_RISE = (_DOUBLE, _SAME, _SAME)
_DECODER: Mapping[int, Sequence[Sequence[Plan]]] = {
    96: ((_POINT,), (_OPEN, _SAME), *(_RISE,) * 5),
    256: ((_POINT,), (_OPEN, _SAME), (_DOUBLE, _SAME), *(_RISE,) * 5),
}


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution with what follows it: the input added if residual, then ReLU."""

    weight: Tensor
    bias: Tensor
    plan: Plan

    def __call__(self, x: Tensor) -> Tensor:
        """(n, channels, rows, columns) to the same with other sizes."""
        plan = self.plan
        if plan.up:
            y = functional.conv_transpose2d(
                x, self.weight, self.bias, plan.stride, plan.padding, output_padding=plan.spare
            )
        else:
            y = functional.conv2d(x, self.weight, self.bias, plan.stride, plan.padding)
        if plan.residual:
            y += x
        return functional.relu(y, inplace=True)


class PackedLayer:
    """The same on a CPU: weights in oneDNN's own order once, not by every call; all in one pass.

    The operators are those that torch's own compiler emits. In float32 that saves 5 %, in bfloat16,
    where a layer takes less than its weights' reordering, 30 to 40 %.
    """

    def __init__(self, layer: Layer) -> None:
        self._weight, self._bias, self._plan = layer.weight, layer.bias, layer.plan
        self._packed: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """As ``Layer``."""
        plan, ops = self._plan, torch.ops.mkldnn
        steps = _pair(plan.padding), _pair(plan.stride), [1, 1], 1
        x = x.contiguous(memory_format=torch.channels_last)
        packed = self._packed if self._packed is not None else self._pack(x)
        after: tuple[str, list[float], str] = ("relu", [], "")
        if plan.up:
            shape = steps[0], _pair(plan.spare), *steps[1:]
            return ops._convolution_transpose_pointwise(x, packed, self._bias, *shape, *after)
        if plan.residual:
            added = "add", 1.0
            return ops._convolution_pointwise.binary(
                x, x, packed, self._bias, *steps, *added, *after
            )
        return ops._convolution_pointwise(x, packed, self._bias, *steps, *after)

    def _pack(self, x: Tensor) -> Tensor:
        """The best order depends on the input's size; see ``PassSizes``."""
        plan, ops = self._plan, torch.ops.mkldnn
        steps = _pair(plan.stride), [1, 1], 1, list(x.shape)
        if plan.up:
            spare = _pair(plan.spare)
            self._packed = ops._reorder_convolution_transpose_weight(
                self._weight, _pair(plan.padding), spare, *steps
            )
        else:
            self._packed = ops._reorder_convolution_weight(
                self._weight, _pair(plan.padding), *steps
            )
        del self._weight
        return self._packed


AnyLayer = Layer | PackedLayer


def can_pack(device: torch.device) -> bool:
    """Whether this torch has oneDNN's operators for this device."""
    wanted = ("_convolution_pointwise", "_convolution_transpose_pointwise")
    there = all(hasattr(torch.ops.mkldnn, name) for name in wanted)
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and there


def _pair(value: int | tuple[int, int]) -> list[int]:
    return list(value) if isinstance(value, tuple) else [value, value]


class Wav2Lip:
    """A loaded network.

    Args:
        checkpoint: a file of one of the two variants.
        device: ``cpu`` or ``cuda:0``.
        dtype: of weights and activations.

    Raises:
        CheckpointRefused: it is no Wav2Lip.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self.variant = identify(checkpoint, SIZES)
        self.size = SIZES[self.variant.name]
        self.device, self.dtype = torch.device(device), dtype
        layers = _Folding(checkpoint, self.device, dtype)
        self._audio = layers.block("audio_encoder", _AUDIO)
        self._face = layers.blocks("face_encoder_blocks", _FACE[self.size])
        self._decoder = layers.blocks("face_decoder_blocks", _DECODER[self.size])
        self._output = layers.layer("output_block.0", Plan())
        self._colour = layers.plain("output_block.1")
        self.hear = Replayed(self._hear)
        """Mel windows (n, 1, 80, 16) to embeddings (n, 512, 1, 1)."""
        self._drawing = Replayed(self._drawn)
        self.replayed = (self.hear, self._drawing)

    @property
    def seen_shapes(self) -> list[tuple[int, int, int, int]]:
        """What ``see`` gives of one face, scale by scale."""
        return [(1, channels, side, side) for channels, side in _SEEN[self.size]]

    def _hear(self, mel: Tensor) -> Tensor:
        return _through(self._audio, mel)

    def see(self, faces: Tensor) -> list[Tensor]:
        """Faces (n, 6, size, size), 0 to 1, to what the encoder sees at every scale.

        Channels 0 to 2 are the face with its lower half black, 3 to 5 the whole face, both BGR. The
        sound has no part in it: it can be kept for every picture of an avatar.
        """
        seen = []
        x = faces
        for block in self._face:
            x = _through(block, x)
            seen.append(x)
        return seen

    def draw(self, heard: Tensor, seen: Sequence[Tensor]) -> Tensor:
        """Embeddings and the encoder's scales to faces (n, 3, size, size), BGR, 0 to 1."""
        return self._drawing(heard, *seen)

    def _drawn(self, heard: Tensor, *seen: Tensor) -> Tensor:
        x = heard
        for block, kept in zip(self._decoder, reversed(seen), strict=True):
            x = torch.cat((_through(block, x), kept), 1)
        weight, bias = self._colour
        return torch.sigmoid(functional.conv2d(self._output(x), weight, bias))


def _through(layers: Iterable[AnyLayer], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


class _Folding:
    """Makes layers of a checkpoint's tensors, batch norm folded in float64."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        self._checkpoint, self._device, self._dtype = checkpoint, device, dtype
        self._packs = dtype is not torch.float16 and can_pack(device)

    def blocks(self, name: str, plans: Sequence[Sequence[Plan]]) -> list[list[AnyLayer]]:
        return [self.block(f"{name}.{index}", each) for index, each in enumerate(plans)]

    def block(self, name: str, plans: Sequence[Plan]) -> list[AnyLayer]:
        return [self.layer(f"{name}.{index}", plan) for index, plan in enumerate(plans)]

    def layer(self, name: str, plan: Plan) -> AnyLayer:
        head = f"{name}.conv_block"
        weight, bias = self._read(f"{head}.0.weight"), self._read(f"{head}.0.bias")
        slope, shift = self._read(f"{head}.1.weight"), self._read(f"{head}.1.bias")
        mean, spread = self._read(f"{head}.1.running_mean"), self._read(f"{head}.1.running_var")
        factor = slope / np.sqrt(spread + _EPSILON)
        weight = weight * (factor[:, None, None] if plan.up else factor[:, None, None, None])
        layer = Layer(*self._placed(weight, (bias - mean) * factor + shift), plan)
        return PackedLayer(layer) if self._packs else layer

    def plain(self, name: str) -> tuple[Tensor, Tensor]:
        return self._placed(self._read(f"{name}.weight"), self._read(f"{name}.bias"))

    def _read(self, name: str) -> NDArray[np.float64]:
        return self._checkpoint.array(name).astype(np.float64)

    def _placed(self, weight: NDArray[Any], bias: NDArray[Any]) -> tuple[Tensor, Tensor]:
        weights, biases = (
            torch.from_numpy(each.astype(np.float32)).to(self._device, self._dtype)
            for each in (weight, bias)
        )
        return weights.contiguous(memory_format=torch.channels_last), biases
