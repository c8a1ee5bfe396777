"""A stream as viewers get it, recorded and taken apart: pictures' luma and sound, each with times.

Times are those that the stream itself carries, in seconds; sound and picture share one clock.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.rig import SOUND_RATE, Rig, ffmpeg, wait_for

Luma = NDArray[np.uint8]
Sound = NDArray[np.float32]

LINGER_S = 1.0
"""What was sent at the end of the block is then with the reader too."""


@dataclass(frozen=True, slots=True)
class Captured:
    """A recording.

    Attributes:
        pictures: uint8 (pictures, rows, columns), what ``look`` kept of each picture's luma.
        at_s: when each is shown.
        sound: float32 mono at 48 kHz, without holes.
        sound_at_s: when its first sample is heard.
    """

    pictures: Luma
    at_s: NDArray[np.float64]
    sound: Sound
    sound_at_s: float

    def heard_at_s(self, sound: Sound) -> float:
        """When the first sample of a sound at 48 kHz, which is somewhere in here, is heard."""
        return self.sound_at_s + find(self.sound, sound) / SOUND_RATE


@contextlib.contextmanager
def recording(rig: Rig, url: str) -> Iterator[Path]:
    """Record a stream, as it comes, for the length of a block; the file is whole afterwards."""
    file = rig.folder / "captured.flv"
    reader = rig.start(ffmpeg("-i", url, "-c", "copy", str(file)))
    wait_for("recording", lambda: file.exists() and file.stat().st_size > 100_000, 20)
    yield file
    time.sleep(LINGER_S)
    rig.end(reader)


def read(file: Path, look: Callable[[Luma], Luma]) -> Captured:
    """Decode a recording; ``look`` is given each picture's luma and keeps what is wanted."""
    pictures, at_s, pieces, offsets, samples = [], [], [], [], 0
    with av.open(str(file)) as source:
        for frame in source.decode(video=0, audio=0):
            assert frame.time is not None
            if isinstance(frame, av.VideoFrame):
                pictures.append(look(luma_of(frame)).copy())
                at_s.append(frame.time)
            else:
                pieces.append(frame.to_ndarray().mean(axis=0))
                offsets.append(frame.time - samples / frame.sample_rate)
                samples += frame.samples
    # One time for all of the sound: an AAC frame's own is rounded, and frames follow without holes.
    return Captured(
        np.stack(pictures),
        np.array(at_s),
        np.concatenate(pieces).astype(np.float32),
        float(np.median(offsets)),
    )


def luma_of(frame: av.VideoFrame) -> Luma:
    """The luma of a decoded picture, not copied."""
    plane = frame.planes[0]
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[
        : frame.height, : frame.width
    ]


def find(heard: Sound, sound: Sound) -> int:
    """The sample of ``heard`` at which ``sound`` begins, by cross-correlation."""
    size = 1 << (len(heard) + len(sound) - 1).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sound, size))
    matched = np.fft.irfft(spectrum, size)
    at = int(np.argmax(np.abs(matched)))
    return at if at < len(heard) else at - size
