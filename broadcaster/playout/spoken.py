"""A task on air: its samples from a file, with the pictures that were rendered for them.

Where nothing renders (a channel without a presenter), the idle picture is on air with a level bar
drawn on it. Samples are read ahead by a thread, so that a slow disk shows as a dry source and never
as a late tick. Nothing here changes a sample.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from broadcaster.formats import AUDIO_CHANNELS, EncodeFormat
from broadcaster.mixer.blend import Picture
from broadcaster.playout.rendered import RenderedPictures

READ_AHEAD_S = 3
"""Sound kept in memory ahead of the air: 0.6 MB per task at 48 kHz."""

BYTES_PER_SAMPLE = 2 * AUDIO_CHANNELS
_FULL_SCALE = 32768.0
_FLOOR_DB = -48.0


def level(block: NDArray[np.float32]) -> float:
    """Loudness of a tick as the length of its bar: 0 at -48 dBFS rms and below, 1 at full scale."""
    rms = float(np.sqrt(np.mean(np.square(block)))) if block.size else 0.0
    decibels = 20 * np.log10(max(rms, 1e-6))
    return float(np.clip(1.0 - decibels / _FLOOR_DB, 0.0, 1.0))


def draw_level_bar(picture: Picture, length: float, height: int, width: int) -> Picture:
    """A copy of an I420 ``picture`` with a bar across its foot, ``length`` 0 to 1 of the width."""
    drawn = picture.copy()
    top, bottom = int(height * 0.965) // 2 * 2, int(height * 0.985) // 2 * 2
    left, right = width // 20 // 2 * 2, (width - width // 20) // 2 * 2
    end = left + int((right - left) * length) // 2 * 2
    drawn[top:bottom, left:right] = 24
    drawn[top:bottom, left:end] = 170
    planes = drawn[height:].reshape(2, height // 2, width // 2)
    planes[:, top // 2 : bottom // 2, left // 2 : right // 2] = 128
    planes[0, top // 2 : bottom // 2, left // 2 : end // 2] = 100
    planes[1, top // 2 : bottom // 2, left // 2 : end // 2] = 70
    return drawn


class SpokenSource:
    """A ``TaskSource`` over a file of raw interleaved s16le stereo at the channel's rate.

    Args:
        task_id: the task.
        pcm: the file.
        samples: its length in samples per channel.
        from_sample: where to begin (a task that goes on after a restart).
        fmt: the channel's format.
        rendered: its pictures; a tick whose picture is not announced is dry. None: level bar.
    """

    def __init__(
        self,
        task_id: str,
        pcm: Path,
        samples: int,
        from_sample: int,
        fmt: EncodeFormat,
        rendered: RenderedPictures | None = None,
    ) -> None:
        self.rendered = rendered
        self.task_id, self.samples, self.from_sample = task_id, samples, from_sample
        self._per_tick, self._fps = fmt.samples_per_tick, fmt.video.fps
        self._height, self._width = fmt.video.height, fmt.video.width
        self.length_ticks = max(1, -(-(samples - from_sample) // self._per_tick))
        self._blocks: dict[int, NDArray[np.float32]] = {}
        self._levels: dict[int, float] = {}
        self._wanted = 0
        self._changed = threading.Condition()
        self._closed = False
        self.error = ""
        thread = threading.Thread(target=self._read, args=(pcm,), name="pcm-read", daemon=True)
        thread.start()

    def sound(self, index: int) -> NDArray[np.float32] | None:
        """Float32 of shape (2, samples per tick), or None when it is not read yet."""
        if self.rendered is not None and not self.rendered.ready_from(index):
            return None
        with self._changed:
            block = self._blocks.pop(index, None)
            if block is not None:
                self._wanted = index + 1
                self._levels[index] = level(block)
                self._levels.pop(index - self._fps, None)
                self._changed.notify()
            return block

    def ready_from(self, index: int) -> int:
        """Ticks that are in memory without a hole from ``index`` on."""
        with self._changed:
            count = 0
            while index + count in self._blocks:
                count += 1
        return count if self.rendered is None else min(count, self.rendered.ready_from(index))

    def idle_from(self, index: int) -> int | None:
        """``index`` with a level bar; else the first one that was never rendered."""
        return index if self.rendered is None else self.rendered.idle_from(index)

    def picture(self, index: int, idle: Picture) -> Picture:
        """The rendered picture, or the idle one with the level of tick ``index``."""
        if self.rendered is not None:
            return self.rendered.picture(index, idle)
        return draw_level_bar(idle, self._levels.get(index, 0.0), self._height, self._width)

    def played_samples(self, index: int) -> int:
        """Samples of the whole task that are out once ``index`` ticks are."""
        return min(self.samples, self.from_sample + index * self._per_tick)

    def close(self) -> None:
        """Let the reader end; give the pictures back."""
        if self.rendered is not None:
            self.rendered.close()
        with self._changed:
            self._closed = True
            self._blocks.clear()
            self._changed.notify()

    def _read(self, pcm: Path) -> None:
        try:
            for index, block in enumerate(self._ticks(pcm)):
                with self._changed:
                    while not (self._closed or self._may_hold(index)):
                        self._changed.wait()
                    if self._closed:
                        return
                    self._blocks[index] = block
        except OSError as error:
            self.error = f"its sound cannot be read: {error.strerror}"

    def _may_hold(self, index: int) -> bool:
        return index < self._wanted + READ_AHEAD_S * self._fps

    def _ticks(self, pcm: Path) -> Iterator[NDArray[np.float32]]:
        size = self._per_tick * BYTES_PER_SAMPLE
        with pcm.open("rb") as handle:
            handle.seek(self.from_sample * BYTES_PER_SAMPLE)
            for _ in range(self.length_ticks):
                raw = handle.read(size)
                samples = np.frombuffer(
                    raw[: len(raw) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE], "<i2"
                )
                block = np.zeros((AUDIO_CHANNELS, self._per_tick), np.float32)
                block[:, : len(samples) // AUDIO_CHANNELS] = (
                    samples.reshape(-1, AUDIO_CHANNELS).T / _FULL_SCALE
                )
                yield block
