"""Clips in our own form: written once at import, decoded for the air.

H.264 without B-frames and with a key picture every ``GOP`` pictures, so that any picture is near
one that can be decoded on its own.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from gpu_pool.engines.face.refused import AvatarRefused
from gpu_pool.engines.photo.clip import reason_of, video_stream
from gpu_pool.engines.photo.yuv import Planes

GOP = 10
"""0.4 s at 25 fps: the cache of the air holds three, and a jump decodes five pictures for nothing
on average."""

_CRF, _TUNE, _PARTS = "20", "fastdecode", "ref=1:partitions=none"
"""Of the stored clip: no difference by eye (45 dB), decoded in 1.6 ms at 832x1248 where crf 17 with
CABAC, the loop filter and small partitions takes 4.9."""


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
            f":keyint={GOP}:min-keyint={GOP}:{_PARTS}",
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
                stream = video_stream(container)
                self.width, self.height = stream.codec_context.width, stream.codec_context.height
                self.codec = stream.codec_context.name
                self.pixel_format = stream.codec_context.pix_fmt
                self._extradata = bytes(stream.codec_context.extradata or b"")
                packets = [each for each in container.demux(stream) if each.size]
                self._keys = [bool(each.is_keyframe) for each in packets]
                self._packets = [bytes(each) for each in packets]
        except (av.FFmpegError, ValueError, OSError) as error:
            raise AvatarRefused(f"{file.name} cannot be read: {reason_of(error)}") from error
        self._held: dict[int, av.VideoFrame] = {}
        self._decoder = self._new_decoder()

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
        """I420 of (height * 3 / 2, width).

        Raises:
            AvatarRefused: it cannot be decoded.
        """
        return np.asarray(self._frame(number).to_ndarray(format="yuv420p"), np.uint8)

    def planes(self, number: int) -> Planes:
        """The same without a copy: views of the decoder's own picture, not to be written to.

        Raises:
            AvatarRefused: it cannot be decoded.
        """
        luma, u, v = map(_view, self._frame(number).planes)
        return luma, u, v

    def _frame(self, number: int) -> av.VideoFrame:
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
        decoder = self._decoder
        try:
            frames = [f for n in range(first, last) for f in decoder.decode(self._packet(n))]
            frames += decoder.decode(None)
        except av.FFmpegError as error:
            raise AvatarRefused(f"clip.mp4: picture {number} is damaged") from error
        finally:
            decoder.flush_buffers()
        if len(frames) != last - first:
            raise AvatarRefused(f"clip.mp4: picture {number} is damaged")
        for index, frame in enumerate(frames, first):
            if (frame.width, frame.height) != (self.width, self.height):
                raise AvatarRefused(f"clip.mp4: picture {index} has another size")
            if frame.format.name != "yuv420p":
                raise AvatarRefused(f"clip.mp4: picture {index} is no yuv420p")
            self._held[index] = frame

    def _new_decoder(self) -> av.VideoCodecContext:
        decoder = av.VideoCodecContext.create("h264", "r")
        decoder.extradata = self._extradata
        decoder.thread_count = 1
        return decoder

    def _packet(self, number: int) -> av.Packet[Any]:
        return av.Packet(self._packets[number])


def _view(plane: VideoPlane) -> NDArray[np.uint8]:
    """A decoded plane, without the padding of its rows."""
    rows = np.asarray(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]
