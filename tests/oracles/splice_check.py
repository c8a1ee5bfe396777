"""Judges a recorded programme of spliced packets: two decoders, picture by picture, sound, VBV.

"No decode error" alone proves nothing: libavcodec decodes a splice at a wrong packet without a
word. So decoded pictures are compared with each other and with what should be on air.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from broadcaster.codec.aac import SoundEncoder
from broadcaster.codec.nal import to_annexb
from broadcaster.formats import AirTick, AudioPacket, EncodeFormat, StreamHeaders

Picture = NDArray[np.uint8]


def decode_video(ticks: Iterable[AirTick], headers: StreamHeaders) -> list[Picture]:
    """The I420 pictures of a recording by libavcodec; see ``openh264`` for the other decoder."""
    context = av.CodecContext.create("h264", "r")
    context.extradata = headers.avc_config
    context.thread_count = 1
    packets = [av.Packet(bytes(t.video.payload)) for t in ticks]
    return [
        np.ascontiguousarray(frame.to_ndarray(format="yuv420p"))
        for packet in [*packets, None]
        for frame in context.decode(packet)
    ]


def strict_decode_errors(ticks: Sequence[AirTick], headers: StreamHeaders) -> str:
    """What FFmpeg complains about when told to explode on every error; empty when clean."""
    config = headers.avc_config
    sps_size = int.from_bytes(config[6:8], "big")
    sps = config[8 : 8 + sps_size]
    pps_at = 8 + sps_size + 1
    pps_size = int.from_bytes(config[pps_at : pps_at + 2], "big")
    pps = config[pps_at + 2 : pps_at + 2 + pps_size]
    start = b"\x00\x00\x00\x01"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "recording.h264"
        with file.open("wb") as out:
            out.write(start + sps + start + pps)
            for tick in ticks:
                out.write(to_annexb(tick.video.payload))
        detect = "crccheck+bitstream+buffer+explode"
        done = subprocess.run(
            ["ffmpeg", "-nostdin", "-v", "warning", "-xerror", "-err_detect", detect,
             "-f", "h264", "-i", str(file), "-f", "null", "-"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    return done.stderr.strip() + (f" (exit {done.returncode})" if done.returncode else "")


def psnr(a: Picture, b: Picture) -> float:
    """Luma and chroma together, in dB; 99 when equal."""
    error = float(np.mean((a.astype(np.float32) - b) ** 2))
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def match(
    decoded: Sequence[Picture], expected: Sequence[Picture]
) -> tuple[NDArray[np.float64], list[int]]:
    """PSNR of each picture against its own index, and the indices that fit a neighbour better."""
    own, wrong = [], []
    for index, picture in enumerate(decoded):
        own.append(psnr(picture, expected[index]))
        near = [i for i in (index - 1, index + 1) if 0 <= i < len(expected)]
        if max(psnr(picture, expected[i]) for i in near) > own[-1] + 0.01:
            wrong.append(index)
    return np.array(own), wrong


def decode_sound(packets: Sequence[AudioPacket], config: bytes) -> NDArray[np.float32]:
    """The samples of consecutive packets, float32 of shape (2, n)."""
    context = av.CodecContext.create("aac", "r")
    context.extradata = config
    frames = [f.to_ndarray() for p in packets for f in context.decode(av.Packet(p.payload))]
    return np.concatenate(frames, axis=1)


def continuous_encode(mix: NDArray[np.float32], fmt: EncodeFormat) -> NDArray[np.float32]:
    """What one encoder over the whole mix would have sounded like, float32 of shape (2, n)."""
    encoder, packets = SoundEncoder(fmt.audio), []
    silence = np.zeros((2, 1024), np.float32)
    for slot in range(-4, mix.shape[1] // 1024):
        block = mix[:, slot * 1024 : (slot + 1) * 1024] if slot >= 0 else silence
        packets += [p for p in encoder.encode(block, slot) if p.slot >= 0]
    return decode_sound(packets, encoder.config)


def block_rms(signal: NDArray[np.float32]) -> NDArray[np.float64]:
    """RMS of each 1024-sample block of both channels together."""
    blocks = signal.shape[1] // 1024
    cut = signal[:, : blocks * 1024].reshape(2, blocks, 1024).astype(np.float64)
    return np.sqrt(np.mean(cut**2, axis=(0, 2)))


def idr_ticks(ticks: Sequence[AirTick]) -> list[int]:
    """Ticks whose picture is an IDR."""
    return [t.tick for t in ticks if t.video.is_idr]
