"""Clips: read with limits when somebody sends one, written in our own form, decoded for the air.

Import and render time. The stored form is H.264 without B-frames and with a key picture every
``GOP`` pictures, so that any picture is near one that can be decoded on its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace
from numpy.typing import NDArray

from gpu_pool.engines.face.refused import AvatarRefused
from gpu_pool.engines.photo.source import Bgr

MOST_FPS, LEAST_FPS = 31.0, 4.0
"""Faster clips lose every other picture; slower ones are slide shows."""

MOST_BYTES = 1 << 30
"""Of a clip's file."""

_MOST_PIXELS = 4096 * 2304
"""Of one picture: what cameras call 4K."""

_SHORTEST_S = 0.5

GOP = 10
"""0.4 s at 25 fps: the cache of the air holds three, and a jump decodes five pictures for nothing
on average."""

_UNSPECIFIED = 2
"""Colour space of a clip that names none (ITU-T H.273, table 4)."""

_HD_ROWS = 700
"""From this height on a clip that does not name its colours means BT.709, as players take it."""

_CRF, _TUNE = "18", "fastdecode"
"""Of the stored clip: no difference by eye (47 dB), decoded in less than half the time of crf 17
with CABAC and the loop filter (2.1 against 4.9 ms at 832x1248), and no larger."""


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
            self.facts = _facts(_stream(container))
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
                for number, frame in enumerate(container.decode(_stream(container))):
                    if number % self.every:
                        continue
                    count += 1
                    self._check_picture(frame, count)
                    yield _upright(frame)
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, av.error.InvalidDataError) and count > _SHORTEST_S * self.fps:
                return  # a broken end: what came before is good
            raise AvatarRefused(f"the clip is damaged: {_reason(error)}") from error
        if count < _SHORTEST_S * self.fps:
            raise AvatarRefused("the clip is shorter than half a second")

    def _opened(self) -> av.container.InputContainer:
        try:
            return av.open(str(self._file), format=self._kind, options={"max_streams": "32"})
        except (av.FFmpegError, ValueError) as error:
            raise AvatarRefused(f"the clip is damaged: {_reason(error)}") from error

    def _check(self) -> None:
        facts = self.facts
        if facts.width * facts.height > _MOST_PIXELS or min(facts.width, facts.height) < 64:
            raise AvatarRefused(
                f"the clip is {facts.width}x{facts.height}; 64 to 4096x2304 pixels are taken"
            )
        if facts.fps < LEAST_FPS:
            raise AvatarRefused(f"the clip has {facts.fps:.1f} pictures a second; 4 are the least")
        if facts.duration_s is not None and facts.duration_s > self._most_s + 0.5:
            raise self._too_long(f"{facts.duration_s:.0f} s")

    def _check_picture(self, frame: av.VideoFrame, count: int) -> None:
        if frame.width * frame.height > _MOST_PIXELS:
            raise AvatarRefused(f"a picture of the clip is {frame.width}x{frame.height}")
        if (frame.width, frame.height) != (self.facts.width, self.facts.height):
            raise AvatarRefused("the clip changes its size on the way")
        if count > (self._most_s + 0.5) * self.fps:
            raise self._too_long("longer than it says")

    def _too_long(self, length: str) -> AvatarRefused:
        return AvatarRefused(f"the clip is {length}; {self._most_s:.0f} s are the most")


def _stream(container: av.container.InputContainer) -> av.VideoStream:
    stream = next((each for each in container.streams.video if each.type == "video"), None)
    if stream is None:
        raise AvatarRefused("there is no picture in the clip")
    stream.thread_count = 1
    stream.codec_context.options = {"max_pixels": str(_MOST_PIXELS)}
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


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or type(error).__name__)


class ClipWriter:
    """Writes ``clip.mp4``: I420 pictures in, BT.709. To be closed."""

    def __init__(self, file: Path, width: int, height: int, fps: float) -> None:
        self._container = av.open(str(file), "w", format="mp4")
        rate = Fraction(fps).limit_denominator(1001)
        stream = self._container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base = 1 / rate
        context.gop_size, context.max_b_frames, context.thread_count = GOP, 0, 2
        context.options = {
            "preset": "fast",
            "crf": _CRF,
            "tune": _TUNE,
            "x264-params": "colorprim=bt709:transfer=bt709:colormatrix=bt709:scenecut=0"
            f":keyint={GOP}:min-keyint={GOP}",
        }
        self._stream, self._step, self._count = stream, 1 / rate, 0

    def write(self, picture: NDArray[np.uint8]) -> None:
        """One I420 picture, (height * 3 / 2, width)."""
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = self._count
        frame.time_base = self._step
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder still holds, and the index."""
        if self._count:
            self._container.mux(self._stream.encode(None))
        self._container.close()


class ClipPictures:
    """Any picture of a stored clip, decoded on demand; some dozens are kept. For one thread.

    Compressed pictures of the whole clip are held (60 s are 20 to 40 MB), never more than
    ``_KEPT`` decoded ones, so that a clip's length costs no memory to speak of. Forwards and
    backwards every picture is decoded once.

    Args:
        file: ``clip.mp4``, as ``ClipWriter`` makes them.

    Raises:
        AvatarRefused: it is not such a clip.
    """

    _KEPT = 3 * GOP

    def __init__(self, file: Path) -> None:
        try:
            with av.open(str(file), format="mov") as container:
                stream = _stream(container)
                self.width, self.height = stream.codec_context.width, stream.codec_context.height
                self.codec = stream.codec_context.name
                self.pixel_format = stream.codec_context.pix_fmt
                self._extradata = bytes(stream.codec_context.extradata or b"")
                packets = [each for each in container.demux(stream) if each.size]
                self._keys = [bool(each.is_keyframe) for each in packets]
                self._packets = [bytes(each) for each in packets]
        except (av.FFmpegError, ValueError, OSError) as error:
            raise AvatarRefused(f"{file.name} cannot be read: {_reason(error)}") from error
        self._held: dict[int, NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self._packets)

    @property
    def longest_gop(self) -> int:
        """Pictures from one key picture to the next; more than there are if none is the first."""
        keys = [number for number, key in enumerate(self._keys) if key]
        if not keys or keys[0] != 0:
            return len(self._keys) + 1
        return int(np.diff([*keys, len(self._keys)]).max())

    def picture(self, number: int) -> NDArray[np.uint8]:
        """I420 of (height * 3 / 2, width); not to be written to.

        Raises:
            AvatarRefused: it cannot be decoded.
        """
        if number not in self._held:
            self._decode_group(number)
        return self._held[number]

    def _decode_group(self, number: int) -> None:
        first = number
        while not self._keys[first]:
            first -= 1
        last = number + 1
        while last < len(self._keys) and not self._keys[last]:
            last += 1
        while len(self._held) + last - first > self._KEPT:
            del self._held[next(iter(self._held))]
        context = av.CodecContext.create("h264", "r")
        context.extradata = self._extradata
        context.thread_count = 1
        try:
            frames = [f for n in range(first, last) for f in context.decode(self._packet(n))]
            frames += context.decode(None)
        except av.FFmpegError as error:
            raise AvatarRefused(f"clip.mp4: picture {number} is damaged") from error
        if len(frames) != last - first:
            raise AvatarRefused(f"clip.mp4: picture {number} is damaged")
        for index, frame in enumerate(frames, first):
            if (frame.width, frame.height) != (self.width, self.height):
                raise AvatarRefused(f"clip.mp4: picture {index} has another size")
            self._held[index] = np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8)

    def _packet(self, number: int) -> av.Packet[Any]:
        return av.Packet(self._packets[number])
