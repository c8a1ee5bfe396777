"""Sound to mouth: a small network of our own, in pure numpy, for every engine that draws a mouth.

``MouthNet`` for sound; ``phonemes.mouth_track`` for voices that tell their phoneme times. Must
never need torch: the network is trained by ``gpu_pool.training.mouth``.
"""

from gpu_pool.engines.mouth.stream import (
    LOOKAHEAD_S,
    LOOKBACK_S,
    MouthNet,
    MouthStream,
    window_span,
)
from gpu_pool.engines.mouth.track import COLUMNS, MouthTrack, picture_count

__all__ = [
    "COLUMNS",
    "LOOKAHEAD_S",
    "LOOKBACK_S",
    "MouthNet",
    "MouthStream",
    "MouthTrack",
    "picture_count",
    "window_span",
]
