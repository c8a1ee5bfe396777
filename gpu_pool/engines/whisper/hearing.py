"""What each picture of a task hears, piece by piece, wherever the task is cut into batches.

The encoder looks at up to 30 s at once, to both sides; on air the sound to come is not there yet.
So positions (20 ms) are encoded in blocks on a fixed grid of the task, each from the same stretch
of sound about it: a picture hears the same in every batch. The authors encode whole sounds: the
first block is as theirs but for what they hear later than ``AHEAD`` behind it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from gpu_pool.contracts import SOUND_RATE_HZ, BatchRefused, Sound
from gpu_pool.engines.whisper.encoder import WhisperEncoder
from gpu_pool.engines.whisper.mel import SEGMENT_COLUMNS, log_mel
from gpu_pool.engines.whisper.windows import (
    AROUND,
    BEFORE,
    POSITIONS_PER_S,
    SEGMENT_S,
    tokens,
)

POSITION = SOUND_RATE_HZ // POSITIONS_PER_S
"""Samples of a position."""

BLOCK, PAST, AHEAD = 20, 200, 10
"""Positions of a block (0.4 s), and how many before (4 s) and behind it (0.2 s) it is heard with:
a sentence's beginning, and what a picture's own window reaches ahead twice over."""

LOOKBACK_S = (BEFORE + BLOCK - 1 + PAST) / POSITIONS_PER_S
LOOKAHEAD_S = (AROUND - BEFORE - 1 + BLOCK + AHEAD) / POSITIONS_PER_S

_KEPT_BLOCKS = 64


class Hearing:
    """The encoder with its last blocks kept; one thread's own.

    Args:
        encoder: loaded.
        first_generation: as MuseTalk 1.0 and LatentSync 1.0 hear: the spectrogram of the sound
            alone, no final norm, the first position repeated before the sound. Else as MuseTalk
            1.5: silence up to 30 s, final norm, zeros before the sound.
    """

    def __init__(self, encoder: WhisperEncoder, first_generation: bool) -> None:
        self._encoder, self._first = encoder, first_generation
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()

    def tokens(self, sound: Sound, origin: int, first: int, count: int, fps: int) -> Tensor:
        """What pictures ``first`` to ``first + count - 1`` hear: (count, 50, 384).

        Args:
            sound: (samples,) with ``LOOKBACK_S`` and ``LOOKAHEAD_S`` of margin.
            origin: index within the task of ``sound[0]``; what lies before the task is not heard.
            first: index of a picture within the task.
            count: of pictures.
            fps: of pictures.

        Raises:
            BatchRefused: the sound holds what is no number.
        """
        if not np.isfinite(sound).all():
            raise BatchRefused("the sound holds what is no number")
        centres = [index * POSITIONS_PER_S // fps for index in range(first, first + count)]
        rows = np.asarray(centres)[:, None] - BEFORE + np.arange(AROUND)
        low = max(0, int(rows.min())) // BLOCK
        blocks = range(low, int(rows.max()) // BLOCK + 1)
        heard = self._blocks(sound, origin, blocks)
        if self._first:
            rows = np.maximum(rows, 0)
        return tokens(heard, np.where(rows < 0, -1, rows - low * BLOCK))

    def _blocks(self, sound: Sound, origin: int, blocks: Sequence[int]) -> Tensor:
        """(positions, 5, 384) of consecutive blocks."""
        pieces = [self._piece(sound, origin, block) for block in blocks]
        keys = [
            hashlib.blake2b(piece.tobytes(), digest_size=16).digest() + block.to_bytes(8, "big")
            for block, piece in zip(blocks, pieces, strict=True)
        ]
        new = [n for n, key in enumerate(keys) if key not in self._kept]
        if new:
            states = self._encoded([pieces[n] for n in new])
            for n, each in zip(new, states, strict=True):
                past = min(PAST, blocks[n] * BLOCK)
                self._kept[keys[n]] = each[past : past + BLOCK].clone()
        for key in keys:
            self._kept.move_to_end(key)
        heard = torch.cat([self._kept[key] for key in keys])
        while len(self._kept) > _KEPT_BLOCKS:
            self._kept.popitem(last=False)
        return heard

    def _piece(self, sound: Sound, origin: int, block: int) -> Sound:
        """The stretch that a block is heard with; it begins with the task at the earliest."""
        start = max(0, block * BLOCK - PAST) * POSITION - origin
        stop = (block * BLOCK + BLOCK + AHEAD) * POSITION - origin
        piece = np.zeros(stop - start, np.float32)
        low, high = max(0, start), min(len(sound), stop)
        piece[low - start : max(low, high) - start] = sound[low : max(low, high)]
        return piece

    def _encoded(self, pieces: Sequence[Sound]) -> Tensor:
        """(pieces, 1500, 5, 384)."""
        weight = self._encoder.conv1.weight
        seen = torch.stack([self._mel(torch.from_numpy(each).to(weight.device)) for each in pieces])
        return self._encoder(seen.to(weight.dtype), last_norm=not self._first)

    def _mel(self, wave: Tensor) -> Tensor:
        if not self._first:
            return log_mel(wave, padded_s=SEGMENT_S)
        mel = log_mel(wave)
        return fn.pad(mel, (0, SEGMENT_COLUMNS - mel.shape[1]))
