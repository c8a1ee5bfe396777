"""The UNet of MuseTalk and LatentSync 1.0: Stable Diffusion 1's, whose text is the sound.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022), with a
context of 384 channels from whisper-tiny. One class for both: LatentSync 1.0 has more input
channels, pools the norms of its resnets over the frames of a chunk, and names two modules
differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from gpu_pool.engines.diffusion.blocks import (
    Downsample,
    Norm,
    Resnet,
    Transformer,
    Upsample,
    sinusoid,
)
from gpu_pool.engines.graphs import Replayed

HEADS = 8
CONTEXT = 384
EPS = 1e-5

_AUDIO_NAMES = ((".audio_cross_attn.attn.", ".attn2."), (".audio_cross_attn.norm.", ".norm2."))


@dataclass(frozen=True, slots=True)
class UNetShape:
    """What differs between checkpoints; all of it shows in the shapes of their tensors."""

    inputs: int
    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    outputs: int = 4


@dataclass(frozen=True, slots=True)
class Given:
    """What every resnet and transformer is given besides pixels, in the order of their turns.

    Attributes:
        shifts: (1, channels) each, of the time.
        heard: (N, tokens, 2 channels) each, of the sound.
        frames: over how many pictures norms are pooled.
    """

    shifts: Iterator[Tensor]
    heard: Iterator[Tensor]
    frames: int


class Level(nn.Module):
    """One resolution on the way down or up; ``attends`` when it hears the sound."""

    def __init__(
        self, resnets: Sequence[Resnet], width: int, attends: bool, sampler: nn.Module | None
    ) -> None:
        super().__init__()
        if attends:
            self.attentions = nn.ModuleList(Transformer(width, CONTEXT, HEADS) for _ in resnets)
        self.resnets = nn.ModuleList(resnets)
        if isinstance(sampler, Downsample):
            self.downsamplers = nn.ModuleList([sampler])
        elif sampler is not None:
            self.upsamplers = nn.ModuleList([sampler])
        self.attends = attends

    def step(self, j: int, x: Tensor, given: Given) -> Tensor:
        """The ``j``-th resnet, and the transformer behind it."""
        x = self.resnets[j](x, next(given.shifts), given.frames)
        return self.attentions[j](x, next(given.heard)) if self.attends else x


class Middle(nn.Module):
    """The lowest resolution."""

    def __init__(self, width: int, time: int) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([Transformer(width, CONTEXT, HEADS)])
        self.resnets = nn.ModuleList(Resnet(width, width, time, EPS) for _ in range(2))

    def forward(self, x: Tensor, given: Given) -> Tensor:
        """(N, width, H, W)."""
        x = self.resnets[0](x, next(given.shifts), given.frames)
        x = self.attentions[0](x, next(given.heard))
        return self.resnets[1](x, next(given.shifts), given.frames)


class TimeEmbedding(nn.Module):
    """Two linear layers on the sinusoid."""

    def __init__(self, width: int, time: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, time)
        self.linear_2 = nn.Linear(time, time)

    def forward(self, x: Tensor) -> Tensor:
        """(1, width) to (1, time)."""
        return self.linear_2(fn.silu(self.linear_1(x)))


class UNet(nn.Module):
    """See the module.

    Args:
        shape: input channels and widths.
    """

    def __init__(self, shape: UNetShape) -> None:
        super().__init__()
        self.shape = shape
        widths, time = shape.widths, 4 * shape.widths[0]
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(shape.inputs, widths[0], 3, padding=1)
        self.time_embedding = TimeEmbedding(widths[0], time)
        self.down_blocks = nn.ModuleList()
        skips, before = [widths[0]], widths[0]
        for i, width in enumerate(widths):
            resnets = [Resnet(before, width, time, EPS), Resnet(width, width, time, EPS)]
            sampler = Downsample(width, padding=1) if i < last else None
            self.down_blocks.append(Level(resnets, width, i < last, sampler))
            skips += [width, width] + ([width] if i < last else [])
            before = width
        self.mid_block = Middle(before, time)
        self.up_blocks = nn.ModuleList()
        for i, width in enumerate(reversed(widths)):
            resnets = []
            for _ in range(3):
                resnets.append(Resnet(before + skips.pop(), width, time, EPS))
                before = width
            sampler = Upsample(width) if i < last else None
            self.up_blocks.append(Level(resnets, width, i > 0, sampler))
        self.conv_norm_out = Norm(before, EPS)
        self.conv_out = nn.Conv2d(before, shape.outputs, 3, padding=1)
        self._times: dict[float, Tensor] = {}
        self.replayed = Replayed(self._paint)

    def forward(self, sample: Tensor, step: float, sound: Tensor, frames: int = 1) -> Tensor:
        """Predict the noise (LatentSync) or the picture (MuseTalk).

        Args:
            sample: (N, inputs, H, W) latents, H and W multiples of 8.
            step: time of the whole batch.
            sound: (N, 50, 384) what each frame hears.
            frames: over how many consecutive ones the norms are pooled; it divides N.

        Returns:
            (N, 4, H, W).
        """
        return self.paint(sample, self.at(step), self.listen(sound), frames)

    def at(self, step: float) -> Tensor:
        """What a time adds to every resnet's pixels, one after the other: (1, channels of all).

        Worked out once per time: neither pictures nor sound have a part in it.
        """
        weight = self.conv_in.weight
        if step not in self._times:
            time = self.time_embedding(sinusoid(step, self.shape.widths[0]).to(weight))
            self._times[step] = torch.cat([each.shift(time) for each in self._resnets()], dim=1)
        return self._times[step]

    def listen(self, sound: Tensor) -> Tensor:
        """What the transformers attend to in a sound, one after the other.

        Args:
            sound: (N, 50, 384).

        Returns:
            (N, 50, channels of all): the same for every step with this sound.
        """
        return torch.cat([each.heard(sound) for each in self._transformers()], dim=2)

    def paint(self, sample: Tensor, shifts: Tensor, heard: Tensor, frames: int = 1) -> Tensor:
        """As ``forward``, where ``at`` and ``listen`` have been asked before."""
        last = self.conv_out.weight.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        return self.replayed(sample.contiguous(memory_format=layout), shifts, heard, frames)

    def _paint(self, sample: Tensor, shifts: Tensor, heard: Tensor, frames: int) -> Tensor:
        widths = [each.conv1.out_channels for each in self._resnets()]
        ears = [2 * each.proj_in.in_channels for each in self._transformers()]
        given = Given(iter(shifts.split(widths, 1)), iter(heard.split(ears, 2)), frames)
        x = self.conv_in(sample)
        skips = [x]
        for level in self.down_blocks:
            for j in range(len(level.resnets)):
                x = level.step(j, x, given)
                skips.append(x)
            if hasattr(level, "downsamplers"):
                x = level.downsamplers[0](x)
                skips.append(x)
        x = self.mid_block(x, given)
        for level in self.up_blocks:
            for j in range(len(level.resnets)):
                x = torch.cat([x, skips.pop()], dim=1)
                x = level.step(j, x, given)
            if hasattr(level, "upsamplers"):
                x = level.upsamplers[0](x)
        return self.conv_out(fn.silu(self.conv_norm_out(x, frames), inplace=True))

    def _resnets(self) -> list[Resnet]:
        """In the order of their turns."""
        levels = (*self.down_blocks, self.mid_block, *self.up_blocks)
        return [each for level in levels for each in level.resnets]

    def _transformers(self) -> list[Transformer]:
        levels = (*self.down_blocks, self.mid_block, *self.up_blocks)
        return [each for level in levels for each in getattr(level, "attentions", ())]


def shape_of(tensors: Mapping[str, Tensor]) -> UNetShape:
    """What a checkpoint's shapes say; it must hold ``conv_in`` and the last resnet of each level.

    Raises:
        KeyError: a tensor that decides is not there.
    """
    levels = {int(found[1]) for key in tensors if (found := re.match(r"down_blocks\.(\d+)\.", key))}
    widths = [tensors[f"down_blocks.{i}.resnets.1.conv2.weight"].shape[0] for i in sorted(levels)]
    inputs, outputs = tensors["conv_in.weight"].shape[1], tensors["conv_out.weight"].shape[0]
    return UNetShape(inputs, tuple(widths), outputs)


def our_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint under the names of this module; LatentSync's differ in two places."""
    renamed = {}
    for key, tensor in tensors.items():
        for theirs, ours in _AUDIO_NAMES:
            key = key.replace(theirs, ours)  # noqa: PLW2901 (one name after the other)
        renamed[key] = tensor
    return renamed
