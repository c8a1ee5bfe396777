"""What engines use of the mouth network: whole sounds, live streams, and windows for batches.

All three give the same rows. Must never hold more of a sound than its newest second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.mouth.features import SAMPLE_RATE
from gpu_pool.engines.mouth.net import FRAME, LOOKAHEAD_FRAMES, NetStream, Weights
from gpu_pool.engines.mouth.track import COLUMNS, Decimator, MouthTrack, picture_count

LOOKAHEAD_S = (LOOKAHEAD_FRAMES + 1) * FRAME / SAMPLE_RATE
"""Sound needed after the end of a picture: the network's 80 ms, and up to 20 ms until its frame
ends (nothing at 25 and 50 fps, whose pictures end with a frame)."""

LOOKBACK_S = 1.0
"""Sound needed before a picture: all that its answer depends on (0.9 s), on the frame grid."""


@dataclass(frozen=True, slots=True)
class MouthNet:
    """The network, loaded; any number of streams may share it."""

    weights: Weights
    silence: NetStream

    @classmethod
    def load(cls, path: str | None = None) -> MouthNet:
        """Load the network that ships, or one from ``path``.

        Raises:
            OSError, ValueError, KeyError: there is no such file, or it is no such network.
        """
        weights = Weights.read(path)
        return cls(weights, NetStream(weights))

    def track(self, sound: NDArray[np.float32], fps: int) -> MouthTrack:
        """The mouth for a whole sound.

        Args:
            sound: float32 mono at 16 kHz, -1 to 1.
            fps: pictures per second, 1 to 60.

        Returns:
            float32 (pictures, 6), a row per picture that the sound covers, even in part.
        """
        stream = self.stream(fps)
        return np.concatenate([stream.feed(sound), stream.finish()])

    def stream(self, fps: int) -> MouthStream:
        """A live sound; answers come 80 ms behind it."""
        return MouthStream(self._fresh(), fps)

    def window(
        self, sound: NDArray[np.float32], first_sample: int, first: int, count: int, fps: int
    ) -> MouthTrack:
        """The mouth of some pictures, from the sound around them.

        Args:
            sound: float32 mono at 16 kHz; covers at least ``window_span``. What is missing of it
                before the window counts as silence, and so does what is missing behind.
            first_sample: where the window begins in the whole sound; negative where silence
                before it is included.
            first: number of the first picture in the whole sound.
            count: pictures wanted.
            fps: pictures per second, 1 to 60.

        Returns:
            float32 (count, 6); equals ``track`` to 1e-5.
        """
        skipped = -first_sample % FRAME
        frame = (first_sample + skipped) // FRAME
        heard = _clean(sound[skipped:])
        end = window_span(first, count, fps)[1]
        silence = max(0, end - first_sample - len(sound))
        stream = self._fresh()
        told = stream.feed(np.concatenate([heard, np.zeros(silence, np.float32)]))
        wanted = max(frame - 1, first * SAMPLE_RATE // fps // FRAME - 2)
        late = wanted - frame + LOOKAHEAD_FRAMES
        return Decimator(fps, wanted, first).feed(told[late:])[:count]

    def _fresh(self) -> NetStream:
        stream = NetStream(self.weights, settled=False)
        stream.state = self.silence.state
        return stream


class MouthStream:
    """One live sound and the mouth for it; closed by ``finish``."""

    def __init__(self, net: NetStream, fps: int) -> None:
        self._net = net
        self._fps = fps
        self._pictures = Decimator(fps)
        self._late = LOOKAHEAD_FRAMES - 1
        self._samples = 0
        self._told = 0

    def feed(self, sound: NDArray[np.float32]) -> MouthTrack:
        """Rows of pictures that are complete now, (0, 6) when none is.

        Args:
            sound: float32 mono at 16 kHz of any length; what is not a number is silence.
        """
        self._samples += len(sound)
        rows = self._hear(_clean(sound))
        self._told += len(rows)
        return rows

    def finish(self) -> MouthTrack:
        """Rows of the pictures that still lack: as many as the sound covers, even in part."""
        lacking = picture_count(self._samples, self._fps) - self._told
        if lacking <= 0:
            return np.zeros((0, len(COLUMNS)), np.float32)
        behind = SAMPLE_RATE // self._fps + (LOOKAHEAD_FRAMES + 2) * FRAME
        self._told += lacking
        return self._hear(np.zeros(behind, np.float32))[:lacking]

    def _hear(self, sound: NDArray[np.float32]) -> MouthTrack:
        told = self._net.feed(sound)
        dropped = min(self._late, len(told))
        self._late -= dropped
        return self._pictures.feed(told[dropped:])


def window_span(first: int, count: int, fps: int) -> tuple[int, int]:
    """Samples [start, end) at 16 kHz that ``MouthNet.window`` needs for [first, first + count).

    The start is on the frame grid and never negative; the end may lie behind the sound.
    """
    start = first * SAMPLE_RATE // fps - round(LOOKBACK_S * SAMPLE_RATE)
    end_frame = -(-(first + count) * SAMPLE_RATE // (fps * FRAME))
    return max(0, start // FRAME * FRAME), (end_frame + LOOKAHEAD_FRAMES) * FRAME


def _clean(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """A single NaN would stay in the state of the stream for ever."""
    finite = np.nan_to_num(np.asarray(sound, np.float32), nan=0.0, posinf=1.0, neginf=-1.0)
    return np.clip(finite, -1.0, 1.0)
