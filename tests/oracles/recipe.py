"""Weights and inputs that anybody can make again from a name: what the golden files were made with.

The stream of a name is the raw output of PCG64 seeded with the name's CRC-32, cut to 24 bits, which
no version of numpy changes. All is computed in float64 and rounded once.

The originals' arrays are all read by tests, large ones at every second to eighth value (``_sub2``
to ``_sub8``), except

    tap_* of the UNets and of whisper      from within, to look for a fault: the outputs are read
    *_version, *dtype*, block_out_channels what they were made with
    half of whisper's hf_ and mt10_chunks  the other half is read

Not known are the inputs of two: of MuseTalk's cropbox_odd, of which a box with the same square is
taken, and of mt10_sparse, which is compared with our windows beside it. LiveTalking's windows of
positions, and of sound from its second batch on, are not ours by design: a test holds the distance.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Shape = Sequence[int]

ROOT_3 = 1.7320508075688772
"""Half the width of an even distribution of variance 1."""

TABLES = (
    "positional_embedding",
    "embed_positions.weight",
    "token_embedding.weight",
    "embed_tokens.weight",
)


def even(name: str, count: int) -> NDArray[np.float64]:
    """(count,) numbers from 0 to below 1."""
    words = np.random.PCG64(zlib.crc32(name.encode())).random_raw(count)
    return (words >> np.uint64(40)).astype(np.float64) / (1 << 24)


def unit(name: str, count: int) -> NDArray[np.float64]:
    """(count,) numbers of mean 0 and variance 1."""
    numbers = even(name, count)  # in place: a network has tens of millions
    numbers *= 2.0
    numbers -= 1.0
    numbers *= ROOT_3
    return numbers


# --- weights --------------------------------------------------------------------------------


def param(tag: str, key: str, shape: Shape) -> NDArray[np.float32]:
    """One tensor of a network; ``tag`` names the network."""
    name, count = f"{tag}:{key}", math.prod(shape)
    if key.endswith("running_mean"):
        made = 0.1 * unit(name, count)
    elif key.endswith("running_var"):
        made = 1.0 + 0.3 * even(name, count)
    elif tag == "s3fd" and key.endswith("_3_norm.weight"):
        made = 8.0 + 0.8 * unit(name, count)
    elif key.endswith(TABLES):
        made = 0.5 * unit(name, count)
    elif len(shape) > 1:
        made = unit(name, count)
        made *= gain(tag, key) / math.sqrt(fan_in(tag, key, shape))
    elif len(shape) == 1 and key.endswith("weight"):
        made = 1.0 + 0.1 * unit(name, count)
    else:
        made = 0.05 * unit(name, count)
    return made.astype(np.float32).reshape(shape)


def gain(tag: str, key: str) -> float:
    """How much louder than its input a layer is."""
    if tag.startswith("wav2lip"):
        return 0.5 if key == "output_block.1.weight" else 1.15
    if tag == "s3fd" and key == "conv1_1.weight":
        return 0.03
    if tag == "s3fd" and key.endswith(("_mbox_conf.weight", "_mbox_loc.weight")):
        return 0.7
    return 1.35 if tag in {"s3fd", "bisenet"} else 1.0


def fan_in(tag: str, key: str, shape: Shape) -> float:
    """Inputs per output; of a transposed convolution what really meets in one output."""
    up = re.fullmatch(r"face_decoder_blocks\.([1-9]\d*)\.0\.conv_block\.0\.weight", key)
    if tag.startswith("wav2lip") and up:
        return shape[0] * shape[2] * shape[3] / (1 if up[1] == "1" else 4)
    return math.prod(shape[1:])


# --- inputs ---------------------------------------------------------------------------------


def uniform(name: str, shape: Shape, low: float = 0.0, high: float = 1.0) -> NDArray[np.float32]:
    numbers = low + (high - low) * even(name, math.prod(shape))
    return numbers.astype(np.float32).reshape(shape)


def normalish(name: str, shape: Shape, scale: float = 1.0) -> NDArray[np.float32]:
    """Nearly normal numbers of this spread: sums of four even ones."""
    parts = [unit(f"{name}/{part}", math.prod(shape)) for part in range(4)]
    made = 0.5 * scale * (parts[0] + parts[1] + parts[2] + parts[3])
    return made.astype(np.float32).reshape(shape)


def image(name: str, height: int, width: int) -> NDArray[np.uint8]:
    """A picture with gradients, waves, discs and a little noise: not only noise is resampled."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    rows /= max(height - 1, 1)
    columns /= max(width - 1, 1)
    made = np.empty((height, width, 3), np.float64)
    for channel, p in enumerate(even(f"{name}/p", 24).reshape(3, 8)):
        plane = 40 + 140 * (p[0] * columns + (1 - p[0]) * rows)
        plane += 35 * np.sin(6.0 * np.pi * (p[1] * columns + p[2] * rows) + 6.0 * p[3])
        far = (columns - (0.3 + 0.4 * p[4])) ** 2 + (rows - (0.3 + 0.4 * p[5])) ** 2
        made[..., channel] = np.where(far < (0.12 + 0.1 * p[6]) ** 2, 255 - plane, plane)
    made += 6.0 * unit(f"{name}/n", made.size).reshape(made.shape)
    return np.clip(np.floor(made + 0.5), 0, 255).astype(np.uint8)


def waveform(name: str, seconds: float) -> NDArray[np.float32]:
    """(samples,) at 16 kHz: gliding harmonics in syllables, bursts of noise, a stretch of zeros."""
    count = round(seconds * 16_000)
    t = np.arange(count, dtype=np.float64) / 16_000
    phase = 2 * np.pi * np.cumsum(120.0 + 40.0 * np.sin(2 * np.pi * 0.7 * t)) / 16_000
    voice = np.zeros(count)
    for h in range(1, 25):
        voice += np.sin(h * phase + h * h) / h * (0.3 + 0.7 * np.abs(np.sin(0.9 * h + 2.0 * t)))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * t), 0, None) ** 0.5
    bursts = np.clip(np.sin(2 * np.pi * 1.3 * t + 1.0), 0, None) ** 4
    noise = unit(f"{name}/noise", count) * 0.25 * bursts
    sound = 0.22 * syllables * voice + 0.35 * noise
    sound[int(0.45 * count) : int(0.55 * count)] = 0.0
    return np.clip(sound, -0.95, 0.95).astype(np.float32)
