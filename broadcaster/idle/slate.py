"""The slate: a still card with silence, on air from the first tick until something else is ready.

Playout makes it by itself (a quarter of a second), so that nothing has to be there before air.
"""

from __future__ import annotations

from pathlib import Path

from broadcaster.codec.sound_line import Silence
from broadcaster.formats import EncodeFormat
from broadcaster.idle.cache import LoopCache, loop_key
from broadcaster.idle.draw import draw_slate, to_i420
from broadcaster.idle.encode import encode_pictures
from broadcaster.idle.loop import EncodedLoop, save_loop


def make_slate(fmt: EncodeFormat, station: str, channel: str) -> EncodedLoop:
    """The card, encoded now."""
    still = [to_i420(draw_slate(fmt.video, station, channel))] * fmt.gop_ticks
    packets, sets = encode_pictures(lambda: iter(still), fmt)
    return EncodedLoop("slate", packets, sets, Silence(fmt.audio))


def cached_slate(cache: LoopCache, fmt: EncodeFormat, station: str, channel: str) -> Path:
    """The card's folder, from the cache or put there.

    Raises:
        OSError: it cannot be written.
    """

    def make(folder: Path) -> None:
        loop = make_slate(fmt, station, channel)
        packets = [bytes(packet) for packet in loop.packets]
        save_loop(folder, loop.title, packets, loop.parameter_sets, None)

    return cache.get(loop_key(fmt, slate=(station, channel)), make)
