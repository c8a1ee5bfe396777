"""Which of whisper's positions (50 a second) a picture listens to: ten, about its own time.

Two generations of code differ at the ends of a sound and in the padding, see each function. Tokens
are ordered position by position, level by level.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_pool.engines.whisper.encoder import LEVELS, WIDTH, WhisperEncoder
from gpu_pool.engines.whisper.mel import HOP, RATE_HZ, SEGMENT_COLUMNS, log_mel

POSITIONS_PER_S = 50
BEFORE, AROUND = 4, 10
TOKENS = AROUND * LEVELS

SEGMENT_S = 30.0


def features_1_0(encoder: WhisperEncoder, sound: Tensor) -> Tensor:
    """A whole sound as MuseTalk 1.0 and LatentSync 1.0 hear it: (positions, 5, 384).

    The spectrogram is that of the sound alone; only the last piece of 30 s is filled up, with zeros
    of the logarithm. The last level goes without the final norm.
    """
    mel = log_mel(sound)
    heard = []
    for start in range(0, mel.shape[1], SEGMENT_COLUMNS):
        piece = mel[:, start : start + SEGMENT_COLUMNS]
        filled = torch.nn.functional.pad(piece, (0, SEGMENT_COLUMNS - piece.shape[1]))
        states = encoder(filled[None], last_norm=False)[0]
        heard.append(states[: piece.shape[1] // 2])
    return torch.cat(heard)


def features_1_5(encoder: WhisperEncoder, sound: Tensor) -> Tensor:
    """A whole sound as MuseTalk 1.5 hears it: (positions, 5, 384).

    Each piece of 30 s is filled up with silence before its spectrogram; the last level goes through
    the final norm.
    """
    length = int(SEGMENT_S * RATE_HZ)
    heard = []
    for start in range(0, sound.shape[0], length):
        mel = log_mel(sound[start : start + length], padded_s=SEGMENT_S)
        heard.append(encoder(mel[None], last_norm=True)[0])
    return torch.cat(heard)[: sound.shape[0] * POSITIONS_PER_S // RATE_HZ]


def count_1_0(positions: int, fps: float) -> int:
    """Pictures of a sound in the 1.0 code, which makes one or two more than there is sound for."""
    count = 0
    while int(count * POSITIONS_PER_S / fps) <= positions:
        count += 1
    return count + 1


def windows_1_0(first: int, count: int, fps: float, positions: int) -> NDArray[np.intp]:
    """Rows of the features for pictures from ``first`` on, (count, 10); the ends are repeated."""
    centres = [int(i * POSITIONS_PER_S / fps) for i in range(first, first + count)]
    rows = np.asarray(centres)[:, None] - BEFORE + np.arange(AROUND)
    return np.clip(rows, 0, positions - 1)


def count_1_5(samples: int, fps: int) -> int:
    """Pictures of a sound in the 1.5 code."""
    return int(samples / RATE_HZ * fps)


def windows_1_5(first: int, count: int, fps: int, positions: int) -> NDArray[np.intp]:
    """Rows of the features for pictures from ``first`` on, (count, 10); -1 is a row of zeros."""
    left = 2 * -(-POSITIONS_PER_S // fps)
    starts = [int(i * POSITIONS_PER_S / fps) - left for i in range(first, first + count)]
    rows = np.asarray(starts)[:, None] + np.arange(AROUND)
    return np.where((rows >= 0) & (rows < positions), rows, -1)


def tokens(features: Tensor, rows: NDArray[np.intp]) -> Tensor:
    """What the pictures hear, (count, 50, 384); row -1 is silence."""
    padded = torch.cat([features, features.new_zeros(1, LEVELS, WIDTH)])
    chosen = torch.from_numpy(np.where(rows < 0, features.shape[0], rows)).to(features.device)
    return padded[chosen].reshape(len(rows), TOKENS, WIDTH)


@cache
def place_encoding(device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """What MuseTalk adds to the tokens: sines and cosines of their place, (50, 384).

    Always the same tensor: it is not to be written to.
    """
    place = torch.arange(TOKENS, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, WIDTH, 2) * (-np.log(10_000.0) / WIDTH))
    encoding = torch.zeros(TOKENS, WIDTH)
    encoding[:, 0::2], encoding[:, 1::2] = (place * rates).sin(), (place * rates).cos()
    return encoding.to(device, dtype)


def columns(samples: int) -> int:
    """Columns of the spectrogram of so many samples."""
    return samples // HOP
