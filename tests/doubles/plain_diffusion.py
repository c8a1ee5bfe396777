"""The UNet and the autoencoder of MuseTalk and LatentSync written the plain way, as published.

What our networks are measured against, and a second witness that they are right: written from the
architectures' description alone, nothing of ours is called. Videos are (N, C, F, H, W), as
LatentSync runs them: convolutions fold the frames away and back, group norms see all of them.
Pictures are (N, C, H, W), as MuseTalk runs them. Names are those of the published files. Eager
modules of torch, laid out channel by channel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

SCALING = 0.18215
GROUPS, HEADS, CONTEXT = 32, 8, 384


class FoldedConv(nn.Conv2d):
    """A convolution of every frame."""

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 4:
            return super().forward(x)
        n, c, f, h, w = x.shape
        y = super().forward(x.permute(0, 2, 1, 3, 4).reshape(n * f, c, h, w))
        return y.reshape(n, f, *y.shape[1:]).permute(0, 2, 1, 3, 4)


class ResnetBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, time: int | None, eps: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, inputs, eps)
        self.conv1 = FoldedConv(inputs, outputs, 3, padding=1)
        if time is not None:
            self.time_emb_proj = nn.Linear(time, outputs)
        self.norm2 = nn.GroupNorm(GROUPS, outputs, eps)
        self.conv2 = FoldedConv(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.conv_shortcut = FoldedConv(inputs, outputs, 1)

    def forward(self, x: Tensor, emb: Tensor | None = None) -> Tensor:
        y = self.conv1(fn.silu(self.norm1(x)))
        if emb is not None:
            told = self.time_emb_proj(fn.silu(emb))
            y = y + told.reshape(*told.shape, *[1] * (y.ndim - 2))
        y = self.conv2(fn.silu(self.norm2(y)))
        return (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x) + y


class CrossAttention(nn.Module):
    def __init__(self, width: int, context: int, heads: int, bias: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=bias)
        self.to_k = nn.Linear(context, width, bias=bias)
        self.to_v = nn.Linear(context, width, bias=bias)
        self.to_out = nn.ModuleList([nn.Linear(width, width), nn.Dropout(0.0)])

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        heard = x if context is None else context
        parts = self.to_q(x), self.to_k(heard), self.to_v(heard)
        q, k, v = (p.reshape(*p.shape[:2], self.heads, -1).transpose(1, 2) for p in parts)
        y = fn.scaled_dot_product_attention(q, k, v)
        return self.to_out[1](self.to_out[0](y.transpose(1, 2).reshape(x.shape)))


class GeGlu(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * fn.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        layers = GeGlu(width, 4 * width), nn.Dropout(0.0), nn.Linear(4 * width, width)
        self.net = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.net:
            x = layer(x)
        return x


class AudioAttention(nn.Module):
    """LatentSync's own module for what MuseTalk calls ``attn2`` and ``norm2``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attn = CrossAttention(width, CONTEXT, HEADS)

    def forward(self, x: Tensor, heard: Tensor) -> Tensor:
        return self.attn(self.norm(x), heard) + x


class TransformerBlock(nn.Module):
    def __init__(self, width: int, video: bool) -> None:
        super().__init__()
        self.attn1, self.norm1 = CrossAttention(width, width, HEADS), nn.LayerNorm(width)
        if video:
            self.audio_cross_attn = AudioAttention(width)
        else:
            self.attn2, self.norm2 = CrossAttention(width, CONTEXT, HEADS), nn.LayerNorm(width)
        self.ff, self.norm3 = FeedForward(width), nn.LayerNorm(width)

    def forward(self, x: Tensor, heard: Tensor) -> Tensor:
        x = self.attn1(self.norm1(x)) + x
        if hasattr(self, "audio_cross_attn"):
            x = self.audio_cross_attn(x, heard)
        else:
            x = self.attn2(self.norm2(x), heard) + x
        return self.ff(self.norm3(x)) + x


class Transformer(nn.Module):
    def __init__(self, width: int, video: bool) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width, 1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(width, video)])
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, heard: Tensor) -> Tensor:
        if x.ndim == 5:
            n, c, f, h, w = x.shape
            y = self.forward(x.permute(0, 2, 1, 3, 4).reshape(n * f, c, h, w), heard)
            return y.reshape(n, f, c, h, w).permute(0, 2, 1, 3, 4)
        n, c, h, w = x.shape
        y = self.proj_in(self.norm(x)).permute(0, 2, 3, 1).reshape(n, h * w, c)
        for block in self.transformer_blocks:
            y = block(y, heard)
        return self.proj_out(y.reshape(n, h, w, c).permute(0, 3, 1, 2).contiguous()) + x


class Down(nn.Module):
    def __init__(self, width: int, padding: int) -> None:
        super().__init__()
        self.padding = padding
        self.conv = FoldedConv(width, width, 3, 2, padding)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x if self.padding else fn.pad(x, (0, 1, 0, 1)))


class Up(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = FoldedConv(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        factor = (1.0, 2.0, 2.0) if x.ndim == 5 else (2.0, 2.0)
        return self.conv(fn.interpolate(x, scale_factor=factor, mode="nearest"))


class Stage(nn.Module):
    """Resnets, each with its transformer where the stage hears; then the way to the next size."""

    def __init__(
        self,
        resnets: Sequence[ResnetBlock],
        transformers: Sequence[Transformer],
        end: nn.Module | None,
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        if transformers:
            self.attentions = nn.ModuleList(transformers)
        if isinstance(end, Down):
            self.downsamplers = nn.ModuleList([end])
        elif isinstance(end, Up):
            self.upsamplers = nn.ModuleList([end])

    def part(self, j: int, x: Tensor, emb: Tensor, heard: Tensor) -> Tensor:
        x = self.resnets[j](x, emb)
        return self.attentions[j](x, heard) if hasattr(self, "attentions") else x


class PlainUNet(nn.Module):
    """(N, inputs, [F,] 32, 32), times (N,), (N * F, 50, 384) to (N, 4, [F,] 32, 32)."""

    def __init__(
        self, inputs: int, video: bool, widths: Sequence[int] = (320, 640, 1280, 1280)
    ) -> None:
        super().__init__()
        self.wave = widths[0]
        time, last, eps = 4 * widths[0], len(widths) - 1, 1e-5
        self.conv_in = FoldedConv(inputs, widths[0], 3, padding=1)
        self.time_embedding = nn.ModuleDict(
            {"linear_1": nn.Linear(widths[0], time), "linear_2": nn.Linear(time, time)}
        )
        downs, ups, skips, before = [], [], [widths[0]], widths[0]
        for i, width in enumerate(widths):
            resnets = [ResnetBlock(before, width, time, eps), ResnetBlock(width, width, time, eps)]
            hears = [Transformer(width, video) for _ in resnets] if i < last else []
            downs.append(Stage(resnets, hears, Down(width, 1) if i < last else None))
            skips += [width] * (3 if i < last else 2)
            before = width
        self.down_blocks = nn.ModuleList(downs)
        middle = [ResnetBlock(before, before, time, eps) for _ in range(2)]
        self.mid_block = Stage(middle, [Transformer(before, video)], None)
        for i, width in enumerate(reversed(widths)):
            resnets = []
            for _ in range(3):
                resnets.append(ResnetBlock(before + skips.pop(), width, time, eps))
                before = width
            hears = [Transformer(width, video) for _ in resnets] if i > 0 else []
            ups.append(Stage(resnets, hears, Up(width) if i < last else None))
        self.up_blocks = nn.ModuleList(ups)
        self.conv_norm_out = nn.GroupNorm(GROUPS, before, eps)
        self.conv_out = FoldedConv(before, 4, 3, padding=1)

    def forward(self, sample: Tensor, times: Tensor, heard: Tensor) -> Tensor:
        emb = self._embedded(times.expand(sample.shape[0])).to(sample.dtype)
        x = self.conv_in(sample)
        kept = [x]
        for stage in self.down_blocks:
            for j in range(len(stage.resnets)):
                x = stage.part(j, x, emb, heard)
                kept.append(x)
            if hasattr(stage, "downsamplers"):
                x = stage.downsamplers[0](x)
                kept.append(x)
        x = self.mid_block.part(0, x, emb, heard)
        x = self.mid_block.resnets[1](x, emb)
        for stage in self.up_blocks:
            for j in range(len(stage.resnets)):
                x = stage.part(j, torch.cat((x, kept.pop()), 1), emb, heard)
            if hasattr(stage, "upsamplers"):
                x = stage.upsamplers[0](x)
        return self.conv_out(fn.silu(self.conv_norm_out(x)))

    def _embedded(self, times: Tensor) -> Tensor:
        half = self.wave // 2
        rates = torch.exp(-math.log(10000) / half * torch.arange(half, device=times.device))
        angles = times.float()[:, None] * rates[None]
        wave = torch.cat((torch.cos(angles), torch.sin(angles)), -1)
        layers = self.time_embedding
        return layers["linear_2"](fn.silu(layers["linear_1"](wave)))


class PixelAttention(CrossAttention):
    def __init__(self, width: int) -> None:
        super().__init__(width, width, 1, bias=True)
        self.group_norm = nn.GroupNorm(GROUPS, width, 1e-6)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        n, c, h, w = x.shape
        tokens = self.group_norm(x.reshape(n, c, h * w)).transpose(1, 2)
        return super().forward(tokens).transpose(1, 2).reshape(n, c, h, w) + x


class Coder(nn.Module):
    """The encoder, or the decoder."""

    def __init__(self, widths: Sequence[int], inputs: int, outputs: int, decodes: bool) -> None:
        super().__init__()
        self.decodes = decodes
        order = list(reversed(widths)) if decodes else list(widths)
        before, stages = order[0], []
        self.conv_in = nn.Conv2d(inputs, before, 3, padding=1)
        for i, width in enumerate(order):
            count, step = (3, Up(width)) if decodes else (2, Down(width, 0))
            first = [before, *[width] * (count - 1)]
            resnets = [ResnetBlock(each, width, None, 1e-6) for each in first]
            stages.append(Stage(resnets, [], step if i < len(order) - 1 else None))
            before = width
        self.add_module("up_blocks" if decodes else "down_blocks", nn.ModuleList(stages))
        wide = widths[-1]
        middle = [ResnetBlock(wide, wide, None, 1e-6) for _ in range(2)]
        self.mid_block = nn.ModuleDict(
            {"attentions": nn.ModuleList([PixelAttention(wide)]), "resnets": nn.ModuleList(middle)}
        )
        self.conv_norm_out = nn.GroupNorm(GROUPS, before, 1e-6)
        self.conv_out = nn.Conv2d(before, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        if self.decodes:
            x = self._middle(x)
        for stage in self.up_blocks if self.decodes else self.down_blocks:
            for resnet in stage.resnets:
                x = resnet(x)
            for name in ("upsamplers", "downsamplers"):
                if hasattr(stage, name):
                    x = getattr(stage, name)[0](x)
        if not self.decodes:
            x = self._middle(x)
        return self.conv_out(fn.silu(self.conv_norm_out(x)))

    def _middle(self, x: Tensor) -> Tensor:
        first, second = self.mid_block["resnets"]
        return second(self.mid_block["attentions"][0](first(x)))


class PlainVae(nn.Module):
    """Both ways, a batch at once; the mean is taken where the originals draw a sample."""

    def __init__(self, widths: Sequence[int] = (128, 256, 512, 512)) -> None:
        super().__init__()
        self.encoder = Coder(widths, 3, 8, decodes=False)
        self.decoder = Coder(widths, 4, 3, decodes=True)
        self.quant_conv = nn.Conv2d(8, 8, 1)
        self.post_quant_conv = nn.Conv2d(4, 4, 1)

    def encode(self, pictures: Tensor) -> Tensor:
        """(N, 3, 256, 256), -1 to 1, to scaled latents (N, 4, 32, 32)."""
        return SCALING * self.quant_conv(self.encoder(pictures)).chunk(2, dim=1)[0]

    def decode(self, latents: Tensor) -> Tensor:
        """The way back."""
        return self.decoder(self.post_quant_conv(latents / SCALING))
