"""What the UNet and the autoencoder are made of.

Tensors are (N, C, H, W); ``N`` holds the frames of a chunk one after another.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

GROUPS = 32


class Norm(nn.GroupNorm):
    """Group normalisation; over ``frames`` pictures at once, their statistics are pooled.

    LatentSync 1.0 normalises (C, F, H, W) as one: the frames of a chunk influence each other. With
    one frame this is the usual group normalisation.
    """

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__(GROUPS, channels, eps)

    def forward(self, x: Tensor, frames: int = 1) -> Tensor:
        """(N, C, H, W), where ``frames`` divides N."""
        if frames == 1:
            return super().forward(x)
        n, c, h, w = x.shape
        if x.is_contiguous(memory_format=torch.channels_last):  # then a chunk is one tall picture
            tall = x.permute(0, 2, 3, 1).view(n // frames, frames * h, w, c).permute(0, 3, 1, 2)
            normal = super().forward(tall).contiguous(memory_format=torch.channels_last)
            return normal.permute(0, 2, 3, 1).view(n, h, w, c).permute(0, 3, 1, 2)
        pooled = x.view(n // frames, frames, c, h, w).transpose(1, 2).reshape(-1, c, frames * h, w)
        normal = super().forward(pooled).view(n // frames, c, frames, h, w)
        return normal.transpose(1, 2).reshape(n, c, h, w)


class Resnet(nn.Module):
    """Two convolutions around a residual.

    With ``time`` channels the time shifts what lies between them.
    """

    def __init__(self, inputs: int, outputs: int, time: int | None, eps: float) -> None:
        super().__init__()
        self.norm1 = Norm(inputs, eps)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time_emb_proj = None if time is None else nn.Linear(time, outputs)
        self.norm2 = Norm(outputs, eps)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = None if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def shift(self, time: Tensor) -> Tensor:
        """What the time's vector (1, channels) adds to every pixel: (1, outputs)."""
        assert self.time_emb_proj is not None, "the autoencoder knows no time"
        return self.time_emb_proj(fn.silu(time))

    def forward(self, x: Tensor, shift: Tensor | None = None, frames: int = 1) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        y = self.conv1(fn.silu(self.norm1(x, frames), inplace=True))
        if shift is not None:
            y += shift[:, :, None, None]
        y = self.conv2(fn.silu(self.norm2(y, frames), inplace=True))
        y += x if self.conv_shortcut is None else self.conv_shortcut(x)
        return y


class Attention(nn.Module):
    """Multi-head attention of tokens to themselves, or to a ``context``."""

    def __init__(self, channels: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context, channels, bias=False)
        self.to_v = nn.Linear(context, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def heard(self, context: Tensor) -> Tensor:
        """What is attended to in a context (N, tokens, context): (N, tokens, 2 channels)."""
        return torch.cat((self.to_k(context), self.to_v(context)), dim=-1)

    def forward(self, x: Tensor, heard: Tensor | None = None) -> Tensor:
        """(N, tokens, channels); attends to itself where nothing is ``heard``."""
        keys, values = (self.heard(x) if heard is None else heard).chunk(2, dim=-1)
        split = self._split(self.to_q(x)), self._split(keys), self._split(values)
        seen = fn.scaled_dot_product_attention(*split)
        return self.to_out[0](seen.transpose(1, 2).reshape(x.shape))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class Gate(nn.Module):
    """A linear layer whose first half is scaled by the GELU of its second."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, channels) to (N, tokens, hidden)."""
        value, gate = self.proj(x).chunk(2, dim=-1)
        return fn.gelu(gate).mul_(value)


class FeedForward(nn.Module):
    """Four times as wide inside."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = 4 * channels
        # The name "net.2" of the checkpoints counts a dropout in between.
        self.net = nn.ModuleList(
            [Gate(channels, hidden), nn.Identity(), nn.Linear(hidden, channels)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, channels)."""
        return self.net[2](self.net[0](x))


class TransformerBlock(nn.Module):
    """Attention within the picture, then to the sound, then a feed-forward layer."""

    def __init__(self, channels: int, context: int, heads: int) -> None:
        super().__init__()
        self.attn1 = Attention(channels, channels, heads)
        self.norm1 = nn.LayerNorm(channels)
        self.attn2 = Attention(channels, context, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)
        self.norm3 = nn.LayerNorm(channels)

    def forward(self, x: Tensor, heard: Tensor) -> Tensor:
        """(N, tokens, channels); ``heard`` as ``attn2`` gives it."""
        x = x + self.attn1(self.norm1(x))
        x += self.attn2(self.norm2(x), heard)
        x += self.ff(self.norm3(x))
        return x


class Transformer(nn.Module):
    """One block over the pixels of a feature map; its own norm never pools frames."""

    def __init__(self, channels: int, context: int, heads: int) -> None:
        super().__init__()
        self.norm = Norm(channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(channels, context, heads)])
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def heard(self, sound: Tensor) -> Tensor:
        """What is attended to in (N, tokens, context): (N, tokens, 2 channels)."""
        return self.transformer_blocks[0].attn2.heard(sound)

    def forward(self, x: Tensor, heard: Tensor) -> Tensor:
        """(N, channels, H, W); ``heard`` as the method gives it."""
        n, c, h, w = x.shape
        tokens = self.proj_in(self.norm(x)).permute(0, 2, 3, 1).reshape(n, h * w, c)
        tokens = self.transformer_blocks[0](tokens, heard)
        return x + self.proj_out(tokens.view(n, h, w, c).permute(0, 3, 1, 2))


class Downsample(nn.Module):
    """Half the size. The UNet pads all sides, the autoencoder right and bottom only."""

    def __init__(self, channels: int, padding: int) -> None:
        super().__init__()
        self.padding = padding
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H / 2, W / 2)."""
        return self.conv(x if self.padding else fn.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Twice the size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, 2 H, 2 W)."""
        return self.conv(fn.interpolate(x, scale_factor=2.0, mode="nearest"))


def sinusoid(time: float, channels: int) -> Tensor:
    """Cosines, then sines, of a time at falling frequencies: (1, channels) float32 on the CPU."""
    half = channels // 2
    rates = torch.exp(torch.arange(half) * (-torch.log(torch.tensor(10_000.0)) / half))
    angles = time * rates[None]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
