"""A channel without the station: a tiny encoded loop and a thread that feeds it at real time."""

from __future__ import annotations

import functools
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av
import numpy as np

from broadcaster.formats import (
    AAC_FRAME_SAMPLES,
    AirTick,
    AudioFormat,
    AudioPacket,
    EncodeFormat,
    StreamHeaders,
    VideoFormat,
    VideoPacket,
)

LOOP_S = 8  # 375 whole AAC frames at 48 kHz
AHEAD_S = 0.06


class TakesTicks(Protocol):
    def offer(self, tick: AirTick) -> None: ...


@dataclass(frozen=True, slots=True)
class Loop:
    fmt: EncodeFormat
    headers: StreamHeaders
    pictures: tuple[tuple[bytes, bool], ...]
    sounds: tuple[bytes, ...]

    def tick(self, number: int, idle: bool = True, first: int = 0) -> AirTick:
        """Tick ``number``; its sound is what became due since the last one, 60 ms ahead."""
        payload, is_idr = self.pictures[number % len(self.pictures)]
        begin = self._slots_before(number) if number > first else self._slot_at(number)
        end = self._slots_before(number + 1)
        audio = tuple(
            AudioPacket(slot, self.sounds[slot % len(self.sounds)]) for slot in range(begin, end)
        )
        return AirTick(number, VideoPacket(number, payload, is_idr), audio, idle)

    def _slot_at(self, tick: int) -> int:
        return tick * self.fmt.samples_per_tick // AAC_FRAME_SAMPLES

    def _slots_before(self, tick: int) -> int:
        ahead = int(AHEAD_S * self.fmt.audio.sample_rate)
        return -(-(tick * self.fmt.samples_per_tick + ahead) // AAC_FRAME_SAMPLES)


def nals(annexb: bytes) -> list[bytes]:
    parts = annexb.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    return [part for part in parts if part]


def _avc_config(extradata: bytes) -> bytes:
    sps = next(n for n in nals(extradata) if n[0] & 31 == 7)
    pps = next(n for n in nals(extradata) if n[0] & 31 == 8)
    tail = b"\xfd\xf8\xf8\0" if sps[1] >= 100 else b""
    return (
        b"\x01" + sps[1:4] + b"\xff\xe1" + struct.pack(">H", len(sps)) + sps
        + b"\x01" + struct.pack(">H", len(pps)) + pps + tail
    )  # fmt: skip


def _picture(index: int, noise: bool, height: int, width: int) -> np.ndarray:
    rows = height * 3 // 2
    picture = np.full((rows, width), 128, np.uint8)
    if noise:
        picture[:height] = np.random.default_rng(index).integers(0, 255, (height, width), np.uint8)
    else:
        picture[:height] = 60
        left = index * 4 % (width - 16)
        picture[20:60, left : left + 16] = 220
    return picture


def _encode_pictures(
    fmt: EncodeFormat, count: int, noise: bool
) -> tuple[bytes, list[tuple[bytes, bool]]]:
    video = fmt.video
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = video.width, video.height, "yuv420p"
    codec.time_base = Fraction(1, video.fps)
    codec.framerate = Fraction(video.fps)
    codec.bit_rate = fmt.bitrate_bps
    codec.flags |= av.codec.context.Flags.global_header
    codec.options = {
        "preset": "ultrafast", "tune": "zerolatency", "maxrate": str(fmt.bitrate_bps),
        "bufsize": str(fmt.bitrate_bps), "threads": "1",
        "x264-params": f"keyint={fmt.gop_ticks}:min-keyint={fmt.gop_ticks}:scenecut=0:bframes=0"
        + (":nal-hrd=cbr" if noise else ""),
    }  # fmt: skip
    codec.open()
    packets = []
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(
            _picture(index, noise, video.height, video.width), format="yuv420p"
        )
        frame.pts = index
        packets += codec.encode(frame)
    packets += codec.encode(None)
    pictures = []
    for packet in packets:
        slices = [n for n in nals(bytes(packet)) if n[0] & 31 in (1, 5)]
        body = b"".join(struct.pack(">I", len(n)) + n for n in slices)
        pictures.append((body, slices[0][0] & 31 == 5))
    assert codec.extradata is not None
    return _avc_config(codec.extradata), pictures


def _encode_sound(fmt: EncodeFormat) -> tuple[bytes, list[bytes]]:
    rate = fmt.audio.sample_rate
    codec = av.CodecContext.create("aac", "w")
    codec.sample_rate, codec.layout, codec.format = rate, "stereo", "fltp"
    codec.bit_rate = fmt.audio.bitrate_bps
    codec.open()
    slots = rate * LOOP_S // AAC_FRAME_SAMPLES
    t = np.arange((slots + 2) * AAC_FRAME_SAMPLES) / rate
    wave = (0.1 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    packets = []
    for slot in range(slots + 2):
        part = wave[slot * AAC_FRAME_SAMPLES : (slot + 1) * AAC_FRAME_SAMPLES]
        frame = av.AudioFrame.from_ndarray(np.stack([part, part]), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = rate, slot * AAC_FRAME_SAMPLES
        packets += [bytes(p) for p in codec.encode(frame)]
    assert codec.extradata is not None
    return bytes(codec.extradata), packets[1 : slots + 1]


@functools.cache
def loop(
    *, kbps: int = 200, noise: bool = False, gop_ticks: int = 25, fps: int = 25, rate: int = 48000
) -> Loop:
    """An 8 s loop at 320x180; ``noise`` really fills ``kbps`` (CBR), else a quiet picture."""
    fmt = EncodeFormat(
        VideoFormat(320, 180, fps), AudioFormat(rate, 128_000), gop_ticks, kbps * 1000, "ultrafast"
    )
    avc, pictures = _encode_pictures(fmt, LOOP_S * fps, noise)
    aac, sounds = _encode_sound(fmt)
    return Loop(fmt, StreamHeaders(avc, aac), tuple(pictures), tuple(sounds))


class AirFeed:
    """Offers ticks to destinations at real time from a thread of its own, until stopped."""

    def __init__(
        self,
        source: Loop,
        destinations: Sequence[TakesTicks],
        *,
        first_tick: int = 0,
        idle: Callable[[int], bool] = lambda tick: True,
    ) -> None:
        self.source = source
        self.destinations = list(destinations)
        self.next_tick = first_tick
        self.offer_s: list[float] = []
        self.cpu_s = 0.0
        self._first = first_tick
        self._idle = idle
        self._over = threading.Event()
        self._running = threading.Event()
        self._running.set()
        self._thread = threading.Thread(target=self._run, name="air-feed", daemon=True)

    def __enter__(self) -> AirFeed:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._running.set()
        self._thread.join()

    def freeze(self) -> None:
        self._running.clear()

    def thaw(self) -> None:
        self._running.set()

    def _run(self) -> None:
        period = 1 / self.source.fmt.video.fps
        deadline = time.monotonic()
        while not self._over.is_set():
            self._running.wait()
            deadline = max(deadline + period, time.monotonic() - 1.0)
            if self._over.wait(max(0.0, deadline - time.monotonic())):
                return
            number = self.next_tick
            tick = self.source.tick(number, self._idle(number), self._first)
            begun, cpu = time.perf_counter(), time.thread_time()
            for destination in self.destinations:
                destination.offer(tick)
            self.offer_s.append(time.perf_counter() - begun)
            self.cpu_s += time.thread_time() - cpu
            self.next_tick = number + 1
