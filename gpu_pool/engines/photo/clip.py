"""Clips that somebody sent, read with limits: import time, in the limited child."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Colorspace

from gpu_pool.engines.face.refused import AvatarRefused
from gpu_pool.engines.photo.source import Bgr

MOST_FPS, LEAST_FPS = 31.0, 4.0
"""Faster clips lose every other picture; slower ones are slide shows."""

MOST_BYTES = 1 << 30
"""Of a clip's file."""

MOST_PIXELS = 4096 * 2304
"""Of one picture: what cameras call 4K."""

_SHORTEST_S = 0.5

_UNSPECIFIED = 2
"""Colour space of a clip that names none (ITU-T H.273, table 4)."""

_HD_ROWS = 700
"""From this height on a clip that does not name its colours means BT.709, as players take it."""


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What a clip says of itself."""

    width: int
    height: int
    fps: float
    duration_s: float | None


class ClipSource:
    """A clip that somebody sent, opened; pictures come upright, one at a time.

    Args:
        file: the clip.
        kind: ``mov`` or ``matroska``, as its first bytes say: no other demuxer is tried, since
            some of them read other files.
        most_s: how long it may be.

    Raises:
        AvatarRefused: it is no clip, or too long, too large, too slow.
    """

    def __init__(self, file: Path, kind: str, most_s: float) -> None:
        if file.stat().st_size > MOST_BYTES:
            raise AvatarRefused(f"the clip's file is larger than {MOST_BYTES >> 20} MB")
        self._file, self._kind, self._most_s = file, kind, most_s
        with self._opened() as container:
            self.facts = _facts(video_stream(container))
            length = container.duration
        if self.facts.duration_s is None and length is not None:
            self.facts = ClipFacts(
                self.facts.width, self.facts.height, self.facts.fps, length / av.time_base
            )
        self._check()
        self.every = math.ceil(self.facts.fps / MOST_FPS)
        self.fps = self.facts.fps / self.every

    @property
    def expected_pictures(self) -> int:
        """How many there will be, as far as is known."""
        return max(1, round((self.facts.duration_s or self._most_s) * self.fps))

    def pictures(self) -> Iterator[Bgr]:
        """Every picture that is kept, (height, width, 3).

        Raises:
            AvatarRefused: it cannot be decoded, or is longer than it said.
        """
        count = 0
        try:
            with self._opened() as container:
                for number, frame in enumerate(container.decode(video_stream(container))):
                    if number % self.every:
                        continue
                    count += 1
                    self._check_picture(frame, count)
                    yield _upright(frame)
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, av.error.InvalidDataError) and count > _SHORTEST_S * self.fps:
                return  # a broken end: what came before is good
            raise AvatarRefused(f"the clip is damaged: {reason_of(error)}") from error
        if count < _SHORTEST_S * self.fps:
            raise AvatarRefused("the clip is shorter than half a second")

    def _opened(self) -> av.container.InputContainer:
        try:
            return av.open(str(self._file), format=self._kind, options={"max_streams": "32"})
        except (av.FFmpegError, ValueError) as error:
            raise AvatarRefused(f"the clip is damaged: {reason_of(error)}") from error

    def _check(self) -> None:
        facts = self.facts
        if facts.width * facts.height > MOST_PIXELS or min(facts.width, facts.height) < 64:
            raise AvatarRefused(
                f"the clip is {facts.width}x{facts.height}; 64 to 4096x2304 pixels are taken"
            )
        if facts.fps < LEAST_FPS:
            raise AvatarRefused(f"the clip has {facts.fps:.1f} pictures a second; 4 are the least")
        if facts.duration_s is not None and facts.duration_s > self._most_s + 0.5:
            raise self._too_long(f"{facts.duration_s:.0f} s")

    def _check_picture(self, frame: av.VideoFrame, count: int) -> None:
        if frame.width * frame.height > MOST_PIXELS:
            raise AvatarRefused(f"a picture of the clip is {frame.width}x{frame.height}")
        if (frame.width, frame.height) != (self.facts.width, self.facts.height):
            raise AvatarRefused("the clip changes its size on the way")
        if count > (self._most_s + 0.5) * self.fps:
            raise self._too_long("longer than it says")

    def _too_long(self, length: str) -> AvatarRefused:
        return AvatarRefused(f"the clip is {length}; {self._most_s:.0f} s are the most")


def video_stream(container: av.container.InputContainer) -> av.VideoStream:
    """The pictures of a clip, to be decoded by one thread.

    Raises:
        AvatarRefused: there are none.
    """
    stream = next((each for each in container.streams.video if each.type == "video"), None)
    if stream is None:
        raise AvatarRefused("there is no picture in the clip")
    stream.thread_count = 1
    stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    return stream


def _facts(stream: av.VideoStream) -> ClipFacts:
    rate = stream.average_rate or stream.guessed_rate or Fraction(0)
    duration_s = None
    if stream.duration is not None and stream.time_base is not None:
        duration_s = float(stream.duration * stream.time_base)
    context = stream.codec_context
    if not 0 < float(rate) <= 1000:
        raise AvatarRefused("the clip does not say how many pictures a second it has")
    return ClipFacts(context.width, context.height, float(rate), duration_s)


def _upright(frame: av.VideoFrame) -> Bgr:
    """As a telephone that was held upright wants it shown."""
    untold = int(frame.colorspace) == _UNSPECIFIED and frame.height >= _HD_ROWS
    told = Colorspace.ITU709 if untold else None
    picture = frame.reformat(format="bgr24", src_colorspace=told).to_ndarray()
    quarter_turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, quarter_turns), np.uint8)


def reason_of(error: Exception) -> str:
    """Why, in as few words as the library has for it."""
    return str(getattr(error, "strerror", "") or type(error).__name__)
