"""The picture decoder for idle loops: what viewers see of a packet, needed under a fade."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from broadcaster.errors import EncodeError


class PictureDecoder:
    """One libavcodec H.264 decoder fed with length-prefixed packets, starting at an IDR.

    Args:
        avc_config: the AVCDecoderConfigurationRecord of the packets.
    """

    def __init__(self, avc_config: bytes) -> None:
        context = av.CodecContext.create("h264", "r")
        context.extradata = avc_config
        context.thread_count = 1  # more threads would hold pictures back by as many
        self._context = context

    def decode(self, payload: bytes | memoryview) -> NDArray[np.uint8]:
        """One packet in, its I420 picture out, shape (height * 3 / 2, width), uint8.

        Raises:
            EncodeError: the decoder gave no picture for the packet.
        """
        frames = self._context.decode(av.Packet(bytes(payload)))
        if len(frames) != 1:
            raise EncodeError(f"one packet in, {len(frames)} pictures out")
        return np.ascontiguousarray(frames[0].to_ndarray(format="yuv420p"))
