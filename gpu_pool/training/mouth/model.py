"""The mouth network in torch, for training only; ``gpu_pool.engines.mouth.net`` runs it in numpy.

Must stay causal: the look-ahead comes from shifted labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gpu_pool.engines.mouth import features
from gpu_pool.engines.mouth.visemes import VISEMES

WIDTH = 96
"""Channels; with seven blocks 217 k parameters, 0.42 MB in fp16."""
DILATIONS = (1, 2, 4, 8, 1, 2, 4)
OUTPUTS = len(VISEMES) + 3


class LogMel(nn.Module):  # type: ignore[misc]
    """``features.MelStream`` for a batch: (batch, samples) to (batch, frames, 40)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", torch.from_numpy(features.mel_filters()))
        self.register_buffer("window", torch.from_numpy(features.window()))

    def forward(self, sound: Tensor) -> Tensor:
        """Frames of whole sounds, silence before them."""
        padded = functional.pad(sound, (features.WINDOW - features.HOP, 0))
        frames = padded.unfold(1, features.WINDOW, features.HOP) * self.window
        power = torch.fft.rfft(frames, features.FFT_SIZE).abs() ** 2
        return (torch.log(power @ self.filters + features.FLOOR) + 5) / 4


class Block(nn.Module):  # type: ignore[misc]
    """Causal depthwise convolution, gated pointwise layers, residual."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.reach = 2 * dilation
        self.depthwise = nn.Conv1d(width, width, 3, dilation=dilation, groups=width)
        self.norm = nn.BatchNorm1d(width)
        self.spread = nn.Conv1d(width, 2 * width, 1)
        self.merge = nn.Conv1d(width, width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """(batch, width, frames) to the same."""
        seen = self.norm(self.depthwise(functional.pad(hidden, (self.reach, 0))))
        value, gate = self.spread(seen).chunk(2, 1)
        merged = self.merge(functional.gelu(value, approximate="tanh") * torch.sigmoid(gate))
        return hidden + self.dropout(merged)


class MouthModel(nn.Module):  # type: ignore[misc]
    """(batch, mel frames, 40) to (batch, 18, frames / 2): viseme logits, then three curves."""

    def __init__(self, dropout: float = 0.05) -> None:
        super().__init__()
        self.stem = nn.Conv1d(features.BANDS, WIDTH, 4, stride=2)
        self.blocks = nn.ModuleList(Block(WIDTH, dilation, dropout) for dilation in DILATIONS)
        self.norm = nn.BatchNorm1d(WIDTH)
        self.head = nn.Conv1d(WIDTH, OUTPUTS, 1)

    def forward(self, mel: Tensor) -> Tensor:
        """Frame ``j`` of the answer has heard (j + 1) * 20 ms."""
        hidden = self.stem(functional.pad(mel.transpose(1, 2), (2, 0)))
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(functional.gelu(self.norm(hidden), approximate="tanh"))
