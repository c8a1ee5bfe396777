"""Whether an encoder really works here: asked by encoding, not by reading a list.

Used at start and by ``broadcaster check``. FFmpeg lists hardware encoders on machines without the
hardware; only opening one tells.
"""

from __future__ import annotations

from fractions import Fraction

import av

HARDWARE = "h264_nvenc"


def picture_encoder_fault(codec: str) -> str:
    """Why the encoder does not work; empty when it does."""
    try:
        context = av.CodecContext.create(codec, "w")
        assert isinstance(context, av.VideoCodecContext)
        # 320x192: NVENC refuses pictures narrower than 145 pixels.
        context.width, context.height, context.pix_fmt = 320, 192, "yuv420p"
        context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
        packets = []
        for number in range(2):
            frame = av.VideoFrame(320, 192, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts = number
            packets += context.encode(frame)
        packets += context.encode(None)
    except (av.FFmpegError, ValueError, OSError) as error:
        return _codec_fault(error)
    return "" if len(packets) == 2 else f"two pictures in, {len(packets)} packets out"


def sound_encoder_fault(codec: str) -> str:
    """Why the encoder does not work; empty when it does."""
    try:
        context = av.CodecContext.create(codec, "w")
        assert isinstance(context, av.AudioCodecContext)
        context.sample_rate, context.layout, context.format = 48000, "stereo", "fltp"
        packets = []
        for number in range(2):
            frame = av.AudioFrame("fltp", "stereo", 1024)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate, frame.pts = 48000, number * 1024
            packets += context.encode(frame)
        packets += context.encode(None)
    except (av.FFmpegError, ValueError, OSError) as error:
        return _codec_fault(error)
    return "" if packets else "sound in, nothing out"


def hardware_note(wanted: str) -> str:
    """What the operator should know about the hardware encoder; empty for ``auto`` and ``x264``.

    Idle packets and live pictures must come from the same encoder, and idle is made by x264; so
    x264 codes live pictures too, whatever the hardware can do.
    """
    if wanted != "nvenc":
        return ""
    fault = picture_encoder_fault(HARDWARE)
    if fault:
        return f"{HARDWARE} does not work here ({fault}); x264 is used"
    return f"{HARDWARE} works here, but is not used for air yet; x264 is used"


def _codec_fault(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
