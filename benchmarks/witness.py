"""A viewer in a thread: notes when each picture was decoded, and keeps the sound.

A moment of the stream is found in the sound, whose samples have times to within a millisecond; it
has reached the viewer when the picture of that time is decoded.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType

import av
import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]

WINDOW_S = 0.002


class Witness:
    """Watches a stream for the length of a ``with`` block.

    Args:
        url: of the stream.
        fps: pictures per second.
    """

    def __init__(self, url: str, fps: int) -> None:
        self._url, self._fps = url, fps
        self._lock = threading.Lock()
        self._decoded_at: dict[int, float] = {}
        self._sound: list[tuple[float, Sound]] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.rate = 0

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join(10)

    @property
    def pictures(self) -> int:
        """Decoded so far."""
        return len(self._decoded_at)

    def seen_at(self, stream_s: float) -> float | None:
        """When the picture shown from a time of the stream on was decoded; None: not yet."""
        return self._decoded_at.get(round(stream_s * self._fps))

    @property
    def heard_s(self) -> float:
        """The stream's time at the end of the sound that is here."""
        with self._lock:
            at_s, block = self._sound[-1]
        return at_s + len(block) / self.rate

    def sound(self, from_s: float) -> tuple[float, Sound]:
        """The sound from a time of the stream on, as far as it is here, and when it begins."""
        with self._lock:
            kept = [each for each in self._sound if each[0] >= from_s]
        if not kept:
            return from_s, np.zeros(0, np.float32)
        return kept[0][0], np.concatenate([block for _, block in kept])

    def levels(self, from_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times in the stream, and the rms of the sound in the 2 ms from each on."""
        begins_s, sound = self.sound(from_s)
        size = int(WINDOW_S * (self.rate or 48_000))
        windows = sound[: len(sound) // size * size].reshape(-1, size).astype(np.float64)
        at_s = begins_s + np.arange(len(windows)) * size / (self.rate or 48_000)
        return at_s, np.sqrt(np.mean(np.square(windows), axis=1))

    def _watch(self) -> None:
        # No options: with any, rtmp:// crashes in the libraries of the PyAV 17.0.1 wheel.
        with av.open(self._url, timeout=(15, 5)) as source:
            video = source.streams.video[0].codec_context
            video.thread_count = 1  # frame threads would hold pictures back
            video.flags |= av.codec.context.Flags.low_delay
            for packet in source.demux():
                if self._ending.is_set():
                    return
                for frame in packet.decode():
                    self._note(frame)

    def _note(self, frame: object) -> None:
        if isinstance(frame, av.VideoFrame) and frame.time is not None:
            self._decoded_at[round(frame.time * self._fps)] = time.monotonic()
        elif isinstance(frame, av.AudioFrame) and frame.time is not None:
            self.rate = frame.sample_rate
            block = frame.to_ndarray().mean(axis=0).astype(np.float32)
            with self._lock:
                self._sound.append((frame.time, block))
