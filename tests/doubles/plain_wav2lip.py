"""Wav2Lip written the plain way, as its authors run it: eager float32 modules.

What our engine is measured against, and what makes files in every form that torch writes. Names and
shapes of its state dict are those of the published files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gpu_pool.engines.checkpoint import layout
from tests.oracles import recipe

Box = tuple[int, int, int, int]
"""y1, y2, x1, x2."""


class Block(nn.Module):
    def __init__(self, conv: nn.Module, width: int, residual: bool = False) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(conv, nn.BatchNorm2d(width))
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_block(x)
        if self.residual:
            y = y + x
        return torch.relu(y)


def down(before: int, after: int, kernel: int, stride: Any = 1, padding: int = 1) -> Block:
    return Block(nn.Conv2d(before, after, kernel, stride, padding), after)


def same(width: int) -> Block:
    return Block(nn.Conv2d(width, width, 3, 1, 1), width, residual=True)


def up(before: int, after: int) -> Block:
    return Block(nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1), after)


def opened(before: int, after: int, kernel: int) -> Block:
    return Block(nn.ConvTranspose2d(before, after, kernel, 1, 0), after)


def run(*blocks: Block) -> nn.Sequential:
    return nn.Sequential(*blocks)


class PlainWav2Lip(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        wide = size == 256
        self.audio_encoder = run(
            *(down(1, 32, 3), same(32), same(32), down(32, 64, 3, (3, 1)), same(64), same(64)),
            *(down(64, 128, 3, 3), same(128), same(128), down(128, 256, 3, (3, 2)), same(256)),
            *(down(256, 512, 3, 1, 0), down(512, 512, 1, 1, 0)),
        )
        head = [run(down(6, 16, 7, 1, 3))]
        for before, after, more in ((16, 32, 2), (32, 64, 3), (64, 128, 2), (128, 256, 2)):
            head.append(run(down(before, after, 3, 2), *(same(after) for _ in range(more))))
        head.append(run(down(256, 512, 3, 2), same(512)))
        if wide:
            head.append(run(down(512, 512, 3, 2), same(512)))
        head.append(run(down(512, 512, 4 if wide else 3, 1, 0), down(512, 512, 1, 1, 0)))
        self.face_encoder_blocks = nn.ModuleList(head)
        tail = [run(down(512, 512, 1, 1, 0)), run(opened(1024, 512, 4 if wide else 3), same(512))]
        if wide:
            tail.append(run(up(1024, 512), same(512)))
        for before, after in ((1024, 512), (768, 384), (512, 256), (320, 128), (160, 64)):
            tail.append(run(up(before, after), same(after), same(after)))
        self.face_decoder_blocks = nn.ModuleList(tail)
        self.output_block = nn.Sequential(down(80, 32, 3), nn.Conv2d(32, 3, 1), nn.Sigmoid())

    def forward(self, mel: Tensor, faces: Tensor) -> Tensor:
        x = self.audio_encoder(mel)
        kept = []
        seen = faces
        for block in self.face_encoder_blocks:
            seen = block(seen)
            kept.append(seen)
        for block in self.face_decoder_blocks:
            x = torch.cat((block(x), kept.pop()), 1)
        return self.output_block(x)


def weights(variant: str) -> dict[str, Tensor]:
    """Random weights of true size, the same everywhere."""
    return {
        key: torch.from_numpy(recipe.param(variant, key, shape))
        for key, shape in layout(variant).items()
    }


def plain_network(variant: str) -> PlainWav2Lip:
    network = PlainWav2Lip({"wav2lip96": 96, "wav2lip256": 256}[variant])
    missing, unexpected = network.load_state_dict(weights(variant), strict=False)
    assert not unexpected
    assert all(key.endswith("num_batches_tracked") for key in missing)
    return network.eval()


def plain_inputs(
    frames: Sequence[NDArray[np.uint8]], boxes: Sequence[Box], size: int
) -> NDArray[np.float64]:
    """(n, 6, size, size): as the authors build a batch, every time anew."""
    crops = [
        cv2.resize(frame[y1:y2, x1:x2], (size, size))
        for frame, (y1, y2, x1, x2) in zip(frames, boxes, strict=True)
    ]
    whole = np.asarray(crops)
    masked = whole.copy()
    masked[:, size // 2 :] = 0
    return np.transpose(np.concatenate((masked, whole), axis=3) / 255.0, (0, 3, 1, 2))


def plain_paste(frame: NDArray[np.uint8], box: Box, face: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A face (size, size, 3) of 0 to 255 into a copy of the frame."""
    y1, y2, x1, x2 = box
    pasted = frame.copy()
    pasted[y1:y2, x1:x2] = cv2.resize(face.astype(np.uint8), (x2 - x1, y2 - y1))
    return pasted
