"""Encoding a loop once, so that its packets may be repeated for ever and spliced anywhere.

Rules 4, 5 and 7 of encoded-domain switching: a whole number of GOPs on the IDR grid, encoded twice
in a row with the second pass kept (steady rate control), 0.85 of the cap, headers out of band.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from broadcaster.codec.aac import encode_periodic
from broadcaster.codec.nal import ParameterSets
from broadcaster.codec.x264 import IDLE_RATE, PictureEncoder
from broadcaster.formats import AAC_FRAME_SAMPLES, EncodeFormat
from broadcaster.idle.loop import LoopSound

Pictures = Callable[[], Iterator[NDArray[np.uint8]]]
"""Gives the loop's I420 pictures from the first one on; called once per pass."""

MAX_SOUND_PERIOD_S = 600
"""Longest sound table made in advance (about 10 MB at 128 kb/s); a loop of 10 s repeats 4 times
at 48 kHz until it is a whole number of AAC slots, at 44.1 kHz 128 times: that is encoded live."""

AUDIBLE = 1e-4
"""Peak below which a clip's sound is called silence (-80 dBFS)."""


def encode_pictures(pictures: Pictures, fmt: EncodeFormat) -> tuple[list[bytes], ParameterSets]:
    """The packets of the second of two passes over a loop of a whole number of GOPs."""
    encoder = PictureEncoder(fmt, rate=IDLE_RATE)
    kept: list[bytes] = []
    for _ in range(2):
        kept = []
        for index, picture in enumerate(pictures()):
            force = index % fmt.gop_ticks == 0
            kept.append(bytes(encoder.encode(picture, index, force).payload))
    if not kept or len(kept) % fmt.gop_ticks:
        raise ValueError(f"{len(kept)} pictures are not a whole number of GOPs")
    return kept, encoder.parameter_sets


def encode_sound(pcm: NDArray[np.float32], fmt: EncodeFormat) -> LoopSound | None:
    """The sound of a loop, float32 of shape (2, n); None when there is nothing to hear."""
    if not pcm.size or float(np.abs(pcm).max()) < AUDIBLE:
        return None
    period = math.lcm(pcm.shape[1], AAC_FRAME_SAMPLES)
    if period > MAX_SOUND_PERIOD_S * fmt.audio.sample_rate:
        return LoopSound(pcm, None)
    repeated = np.tile(pcm, (1, period // pcm.shape[1]))
    return LoopSound(pcm, encode_periodic(repeated, fmt.audio))
