"""The picture encoder: libx264 in process, zero latency, no B-frames, IDR only where told.

Idle loops and live pictures both come from here, so that their headers are equal.
"""

from __future__ import annotations

import os
from fractions import Fraction

import av
import numpy as np
from av.video.frame import PictureType
from numpy.typing import NDArray

from broadcaster.codec.nal import ParameterSets, to_avcc
from broadcaster.errors import EncodeError
from broadcaster.formats import EncodeFormat, VideoPacket

IDLE_RATE = 0.85
"""Idle loops aim below the cap: a loop that fills it overspends the buffer at each wrap
(2569 kb/s were measured for a cap of 2500)."""

_GLOBAL_HEADER = 0x400000
_THREADS = min(4, os.cpu_count() or 1)


class PictureEncoder:
    """One x264 instance; its first picture is an IDR.

    Args:
        fmt: what to encode.
        vbv_fill: fill of the decoder's buffer at the first picture, 0 to 1; None starts as
            x264 does by default (0.9).
        rate: share of the cap to aim at.
        context: a fresh libx264 context to be used, such as that of a file's stream.
    """

    def __init__(
        self,
        fmt: EncodeFormat,
        vbv_fill: float | None = None,
        rate: float = 1.0,
        context: av.VideoCodecContext | None = None,
    ) -> None:
        video = fmt.video
        bits = int(fmt.bitrate_bps * rate)
        context = context or av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = video.width, video.height, "yuv420p"
        context.time_base, context.framerate = Fraction(1, video.fps), Fraction(video.fps)
        context.bit_rate, context.gop_size = bits, fmt.gop_ticks
        context.thread_count = _THREADS
        params = "stitchable=1:scenecut=0:colorprim=bt709:transfer=bt709:colormatrix=bt709"
        if vbv_fill is not None:
            params += f":vbv-init={vbv_fill:.3f}"
        context.options = {
            "preset": fmt.preset,
            "tune": "zerolatency",
            "profile": "high",
            "maxrate": str(bits),
            "bufsize": str(bits),
            "forced-idr": "1",
            "x264-params": params,
        }
        context.flags |= _GLOBAL_HEADER
        try:
            context.open()
        except (av.FFmpegError, ValueError) as error:
            raise EncodeError(f"libx264 does not open: {error}") from error
        self._context = context
        self._time_base = Fraction(1, video.fps)
        self._pts = 0
        self.parameter_sets = ParameterSets.from_extradata(bytes(context.extradata or b""))

    def encode(self, picture: NDArray[np.uint8], tick: int, force_idr: bool = False) -> VideoPacket:
        """Encode one I420 picture, shape (height * 3 / 2, width), uint8.

        Raises:
            EncodeError: the encoder refused the picture, kept it back, or did not obey
                ``force_idr``; it must not be used again.
        """
        try:
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = self._pts, self._time_base
            frame.pict_type = PictureType.I if force_idr else PictureType.NONE
            self._pts += 1
            packets = self._context.encode(frame)
        except (av.FFmpegError, ValueError) as error:
            raise EncodeError(f"libx264 refuses a picture: {error}") from error
        if len(packets) != 1:
            raise EncodeError(f"one picture in, {len(packets)} packets out")
        payload, is_idr = to_avcc(bytes(packets[0]))
        if force_idr and not is_idr:
            raise EncodeError("a forced IDR came out as another picture type")
        return VideoPacket(tick, payload, is_idr)


def parameter_sets_of(fmt: EncodeFormat) -> ParameterSets:
    """The SPS and PPS that live pictures of ``fmt`` will have (also warms libx264 up)."""
    return PictureEncoder(fmt).parameter_sets
