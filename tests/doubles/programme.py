"""Small programmes for splice tests: moving pictures, tasks in memory, a recording destination."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from broadcaster.codec.sound_line import IdleSound, Silence
from broadcaster.formats import AirTick, AudioFormat, EncodeFormat, VideoFormat
from broadcaster.idle.draw import to_i420
from broadcaster.idle.encode import encode_pictures
from broadcaster.idle.loop import EncodedLoop
from broadcaster.mixer.blend import Picture

SMALL = EncodeFormat(
    VideoFormat(192, 112, 25), AudioFormat(48000, 128_000), 25, 600_000, "veryfast"
)


def moving_pictures(video: VideoFormat, count: int, seed: int) -> list[Picture]:
    """A seamless loop of textured pictures, each clearly different from its neighbours."""
    rng = np.random.default_rng(seed)
    height, width = video.height, video.width
    coarse = rng.integers(40, 216, (9, 16, 3), dtype=np.uint8)
    texture = cv2.resize(coarse, (width * 2, height * 2), interpolation=cv2.INTER_CUBIC)
    pictures = []
    for index in range(count):
        angle = 2 * np.pi * index / count
        x = int((0.5 + 0.5 * np.sin(angle)) * (width - 1))
        y = int((0.5 + 0.5 * np.cos(angle)) * (height - 1))
        picture = texture[y : y + height, x : x + width].copy()
        centre = (int(width * (0.5 + 0.3 * np.cos(2 * angle))), height // 2)
        cv2.circle(picture, centre, height // 5, (230, 230, 230), -1, cv2.LINE_AA)
        pictures.append(to_i420(picture))
    return pictures


def make_loop(
    fmt: EncodeFormat, pictures: list[Picture], sound: IdleSound | None = None
) -> EncodedLoop:
    """An encoded loop of ``pictures``."""
    packets, sets = encode_pictures(lambda: iter(pictures), fmt)
    return EncodedLoop("loop", packets, sets, sound or Silence(fmt.audio))


class MemoryTask:
    """A ``TaskSource`` that holds everything, or runs dry where told.

    ``ready`` limits how many ticks are there; pictures run on past the end.
    """

    covers_idle = True
    """False says that every picture may show idle."""

    def __init__(
        self, task_id: str, pictures: list[Picture], sound: NDArray[np.float32], per_tick: int
    ) -> None:
        self.task_id = task_id
        self.length_ticks = sound.shape[1] // per_tick
        self.ready = self.length_ticks
        self.closed = False
        self.error = ""
        self._pictures, self._sound, self._per_tick = pictures, sound, per_tick

    def sound(self, index: int) -> NDArray[np.float32] | None:
        if index >= self.ready:
            return None
        return self._sound[:, index * self._per_tick : (index + 1) * self._per_tick]

    def ready_from(self, index: int) -> int:
        return max(0, self.ready - index)

    def idle_from(self, index: int) -> int | None:
        return None if self.covers_idle else index

    def picture(self, index: int, idle: Picture) -> Picture:
        return self._pictures[index % len(self._pictures)]

    def played_samples(self, index: int) -> int:
        return min(index, self.length_ticks) * self._per_tick

    def close(self) -> None:
        self.closed = True


class Recorder:
    """A destination that keeps every tick."""

    def __init__(self, take: Callable[[AirTick], None] | None = None) -> None:
        self.ticks: list[AirTick] = []
        self._take = take

    def start(self) -> None:
        pass

    def offer(self, air: AirTick) -> None:
        self.ticks.append(air)
        if self._take is not None:
            self._take(air)

    def report(self, now: float) -> dict[str, Any]:
        return {"name": "recorder", "state": "on_air", "last_error": "", "since_s": now}

    def stop(self, timeout_s: float) -> None:
        pass


def speech_like(samples: int, seed: int, rate: int = 48000) -> NDArray[np.float32]:
    """Sound with the envelope of syllables, float32 of shape (2, samples)."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(samples) / rate
    pitch = 110 + 60 * rng.random()
    voice = sum(np.sin(2 * np.pi * pitch * k * time_s + k) / k for k in range(1, 9))
    envelope = np.clip(np.sin(2 * np.pi * 3.1 * time_s + seed), 0, 1)
    mono = (0.15 * voice * envelope + 0.003 * rng.standard_normal(samples)).astype(np.float32)
    return np.stack([mono, mono])
