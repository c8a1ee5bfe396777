"""The encoder of whisper-tiny, and the inner states that lip-sync networks listen to.

Parameter names are those of the published openai file without ``encoder.``; ``encoder_tensors``
takes that file or Hugging Face's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from gpu_pool.engines.whisper.mel import BINS

WIDTH, HEADS, LAYERS, POSITIONS = 384, 6, 4, 1500
LEVELS = LAYERS + 1
"""Inner states told of: what enters the first layer, and what leaves each."""

_HF_PREFIX = "model.encoder."
_HF_NAMES = (
    ("embed_positions.weight", "positional_embedding"),
    ("self_attn_layer_norm", "attn_ln"),
    ("final_layer_norm", "mlp_ln"),
    ("self_attn.q_proj", "attn.query"),
    ("self_attn.k_proj", "attn.key"),
    ("self_attn.v_proj", "attn.value"),
    ("self_attn.out_proj", "attn.out"),
    ("fc1", "mlp.0"),
    ("fc2", "mlp.2"),
    ("layers.", "blocks."),
)


class SelfAttention(nn.Module):
    """Six heads; the key has no bias."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(N, positions, 384)."""
        parts = (each(x).unflatten(2, (HEADS, -1)) for each in (self.query, self.key, self.value))
        q, k, v = (part.transpose(1, 2) for part in parts)
        seen = fn.scaled_dot_product_attention(q, k, v)
        return self.out(seen.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """One layer, norms first."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = SelfAttention()
        self.attn_ln = nn.LayerNorm(WIDTH)
        layers = (nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))
        self.mlp = nn.Sequential(*layers)
        self.mlp_ln = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(N, positions, 384)."""
        x = x + self.attn(self.attn_ln(x))
        return x + self.mlp(self.mlp_ln(x))


class WhisperEncoder(nn.Module):
    """See the module."""

    positional_embedding: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(BINS, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.register_buffer("positional_embedding", torch.zeros(POSITIONS, WIDTH))
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln_post = nn.LayerNorm(WIDTH)

    def forward(self, mel: Tensor, last_norm: bool) -> Tensor:
        """The inner states of 30 s.

        Args:
            mel: (N, 80, 3000), as ``mel.log_mel`` gives it.
            last_norm: whether the last level goes through the final norm (as Hugging Face's model
                gives it) or leaves the last layer as it is (as the openai model was read).

        Returns:
            (N, 1500, 5, 384), positions of 20 ms and levels.
        """
        x = fn.gelu(self.conv2(fn.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.positional_embedding
        levels = [x]
        for block in self.blocks:
            x = block(x)
            levels.append(x)
        if last_norm:
            levels[-1] = self.ln_post(x)
        return torch.stack(levels, dim=2)


def encoder_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's part of a checkpoint, under the names of this module."""
    found = {}
    for key, tensor in tensors.items():
        if key.startswith("encoder."):
            found[key.removeprefix("encoder.")] = tensor
        elif key.startswith(_HF_PREFIX):
            name = key.removeprefix(_HF_PREFIX)
            for theirs, ours in _HF_NAMES:
                name = name.replace(theirs, ours)
            found[name.replace("layer_norm.", "ln_post.", 1)] = tensor
    return found
