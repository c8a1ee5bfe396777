"""What MuseTalk and LatentSync hear, the plain way: whisper's encoder over a whole sound.

Beside ``plain_diffusion``; only the table of mel filters is ours (it is held by golden files).
Weights go by the openai file's names without ``encoder.``.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as fn

from gpu_pool.engines.whisper.mel import filters

WIDTH, HEADS = 384, 6
RATE_HZ, COLUMNS = 16_000, 3000


class Attention(nn.Module):
    """As openai wrote it: a product, a softmax, a product."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = (each(x).view(n, t, HEADS, -1) for each in (self.query, self.key, self.value))
        scale = (WIDTH // HEADS) ** -0.25
        seen = (q.permute(0, 2, 1, 3) * scale) @ (k.permute(0, 2, 3, 1) * scale)
        mixed = fn.softmax(seen.float(), dim=-1).to(q.dtype) @ v.permute(0, 2, 1, 3)
        return self.out(mixed.permute(0, 2, 1, 3).flatten(2))


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn, self.attn_ln = Attention(), nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )
        self.mlp_ln = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.attn_ln(x))
        return x + self.mlp(self.mlp_ln(x))


class PlainWhisper(nn.Module):
    """(1, 80, 3000) to the five inner states (1, 1500, 5, 384)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(80, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.register_buffer("positional_embedding", torch.zeros(1500, WIDTH))
        self.blocks = nn.ModuleList(Layer() for _ in range(4))
        self.ln_post = nn.LayerNorm(WIDTH)

    def forward(self, mel: Tensor, last_norm: bool) -> Tensor:
        x = fn.gelu(self.conv2(fn.gelu(self.conv1(mel)))).permute(0, 2, 1)
        states = [x + self.positional_embedding]
        for block in self.blocks:
            states.append(block(states[-1]))
        if last_norm:
            states[-1] = self.ln_post(states[-1])
        return torch.stack(states, 2)


def spectrogram(sound: Tensor) -> Tensor:
    """(80, columns), scaled to its own loudest column."""
    window = torch.hann_window(400, device=sound.device)
    waves = torch.stft(sound, 400, 160, window=window, return_complex=True)
    mel = torch.from_numpy(filters()).to(sound.device) @ waves[:, :-1].abs() ** 2
    loud = mel.clamp(min=1e-10).log10()
    return (torch.maximum(loud, loud.max() - 8) + 4) / 4


def heard_1_5(whisper: PlainWhisper, sound: Tensor) -> Tensor:
    """A whole sound as MuseTalk 1.5 hears it, (positions, 5, 384): silence up to 30 s each."""
    found = []
    for piece in sound.split(30 * RATE_HZ):
        mel = spectrogram(fn.pad(piece, (0, 30 * RATE_HZ - len(piece))))
        found.append(whisper(mel[None], last_norm=True)[0])
    return torch.cat(found)[: len(sound) * 50 // RATE_HZ]


def heard_1_0(whisper: PlainWhisper, sound: Tensor) -> Tensor:
    """A whole sound as LatentSync 1.0 hears it: its spectrogram is cut and filled with zeros."""
    found = []
    for piece in spectrogram(sound).split(COLUMNS, dim=1):
        filled = fn.pad(piece, (0, COLUMNS - piece.shape[1]))
        found.append(whisper(filled[None], last_norm=False)[0, : piece.shape[1] // 2])
    return torch.cat(found)


def tokens(heard: Tensor, pictures: int, fps: int, clamped: bool) -> Tensor:
    """(pictures, 50, 384): ten positions about each picture; at the ends zeros, or repeated."""
    rows = [[i * 50 // fps - 4 + n for n in range(10)] for i in range(pictures)]
    around: NDArray[np.intp] = np.asarray(rows)
    last = len(heard) - 1
    if clamped:
        return heard[around.clip(0, last)].flatten(1, 2)
    found = heard[around.clip(0, last)]
    found[torch.from_numpy((around < 0) | (around > last))] = 0
    return found.flatten(1, 2)
