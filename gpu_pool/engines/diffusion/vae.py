"""The autoencoder of Stable Diffusion 1 (``sd-vae-ft-mse``): pictures to latents and back.

Of the latent's distribution the mean is taken: the originals draw a sample, which differs from run
to run and serves nobody on air.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from gpu_pool.engines.diffusion.blocks import Downsample, Norm, Resnet, Upsample
from gpu_pool.engines.graphs import Replayed

SCALE = 0.18215
"""Latents are stored times this; the class default of the originals, not in their files."""

EPS = 1e-6
WIDTHS = (128, 256, 512, 512)
GPU_PICTURES = 8

_OLD_NAMES = (
    (".query.", ".to_q."),
    (".key.", ".to_k."),
    (".value.", ".to_v."),
    (".proj_attn.", ".to_out.0."),
)
"""The published file was written before the attention's layers were renamed."""


class PixelAttention(nn.Module):
    """One head over all pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.group_norm = Norm(channels, EPS)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W)."""
        n, c, h, w = x.shape
        tokens = self.group_norm(x).view(n, 1, c, h * w).transpose(2, 3)
        seen = fn.scaled_dot_product_attention(
            self.to_q(tokens), self.to_k(tokens), self.to_v(tokens)
        )
        return x + self.to_out[0](seen).transpose(2, 3).reshape(n, c, h, w)


class VaeMiddle(nn.Module):
    """Resnet, attention, resnet."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([PixelAttention(width)])
        self.resnets = nn.ModuleList(Resnet(width, width, None, EPS) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W)."""
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class VaeLevel(nn.Module):
    """The resnets of one resolution, and the way to the next."""

    def __init__(self, before: int, width: int, resnets: int, sampler: nn.Module | None) -> None:
        super().__init__()
        inputs = [before] + [width] * (resnets - 1)
        self.resnets = nn.ModuleList(Resnet(each, width, None, EPS) for each in inputs)
        self.sampler_name = ""
        if isinstance(sampler, Downsample):
            self.downsamplers = nn.ModuleList([sampler])
        elif sampler is not None:
            self.upsamplers = nn.ModuleList([sampler])

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, H, W) to (N, width, H', W')."""
        for resnet in self.resnets:
            x = resnet(x)
        for name in ("downsamplers", "upsamplers"):
            if hasattr(self, name):
                x = getattr(self, name)[0](x)
        return x


class Encoder(nn.Module):
    """Pictures to the mean and spread of their latents."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList()
        before = widths[0]
        for i, width in enumerate(widths):
            sampler = Downsample(width, padding=0) if i < last else None
            self.down_blocks.append(VaeLevel(before, width, 2, sampler))
            before = width
        self.mid_block = VaeMiddle(before)
        self.conv_norm_out = Norm(before, EPS)
        self.conv_out = nn.Conv2d(before, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 8, H / 8, W / 8)."""
        x = self.conv_in(x)
        for level in self.down_blocks:
            x = level(x)
        return self.conv_out(fn.silu(self.conv_norm_out(self.mid_block(x)), inplace=True))


class Decoder(nn.Module):
    """Latents to pictures."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        last, before = len(widths) - 1, widths[-1]
        self.conv_in = nn.Conv2d(4, before, 3, padding=1)
        self.mid_block = VaeMiddle(before)
        self.up_blocks = nn.ModuleList()
        for i, width in enumerate(reversed(widths)):
            self.up_blocks.append(VaeLevel(before, width, 3, Upsample(width) if i < last else None))
            before = width
        self.conv_norm_out = Norm(before, EPS)
        self.conv_out = nn.Conv2d(before, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, h, w) to (N, 3, 8 h, 8 w)."""
        x = self.mid_block(self.conv_in(x))
        for level in self.up_blocks:
            x = level(x)
        return self.conv_out(fn.silu(self.conv_norm_out(x), inplace=True))


class Vae(nn.Module):
    """Both ways.

    Args:
        widths: channels of each resolution; the published file has ``WIDTHS``.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.encoder = Encoder(widths)
        self.decoder = Decoder(widths)
        self.quant_conv = nn.Conv2d(8, 8, 1)
        self.post_quant_conv = nn.Conv2d(4, 4, 1)
        self.replayed = Replayed(self._decode)

    def portions(self, x: Tensor) -> tuple[Tensor, ...]:
        """How much of (N, C, H, W) goes through at a time: on a GPU eight pictures.

        On a CPU one: a map of 256 x 256 pixels and 256 channels fills the caches by itself, and
        eight of them are paid for in page faults (0.93 against 1.24 CPU seconds a picture). On a
        GPU eight such maps are 0.3 GB, and memory does not grow with the batch.
        """
        return tuple(x.split(1 if x.device.type == "cpu" else GPU_PICTURES))

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) in -1 to 1: mean and log-variance, (N, 4, H / 8, W / 8) each, not scaled."""
        mean, spread = self.quant_conv(self.encoder(pictures)).chunk(2, dim=1)
        return mean, spread.clamp(-30.0, 20.0)

    def latents(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) in -1 to 1 to the scaled latents (N, 4, H / 8, W / 8)."""
        return torch.cat([SCALE * self.encode(part)[0] for part in self.portions(pictures)])

    def pictures(self, latents: Tensor) -> Tensor:
        """Scaled latents (N, 4, h, w) to (N, 3, 8 h, 8 w), about -1 to 1."""
        parts = self.portions(latents / SCALE)
        return torch.cat([self.replayed(part) for part in parts])

    def _decode(self, latents: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(latents))


def vae_widths(tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """What a checkpoint's shapes say.

    Raises:
        KeyError: a tensor that decides is not there.
    """
    key = "encoder.down_blocks.{}.resnets.1.conv2.weight"
    return tuple(tensors[key.format(i)].shape[0] for i in range(len(WIDTHS)))


def vae_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint under the names of this module, whichever of the two namings it has."""
    renamed = {}
    for key, tensor in tensors.items():
        name = key
        for old, new in _OLD_NAMES:
            name = name.replace(old, new) if ".attentions." in key else name
        renamed[name] = tensor
    return renamed


def to_unit(pictures: Tensor) -> Tensor:
    """(N, 3, H, W) ``uint8`` to float -1 to 1."""
    return pictures.to(torch.float32) / 127.5 - 1.0
