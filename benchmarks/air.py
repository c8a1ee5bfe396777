"""One channel on air in a process of its own: real tick loop, real push, a task that never ends.

    python -m benchmarks.air --url rtmp://... --scene FILE --size 720p25 --task KIND

The task's pictures come from memory (I420), so that nothing but the channel itself is measured;
idle shows the same scene in the same phase, so that a fade changes no picture's difficulty. Kinds:
``memory`` covers idle; ``over-idle`` has it decoded too; ``stamped`` carries the time at which each
picture was asked for; ``spoken`` is sound over the idle picture with its level bar. Prints "on air"
once the task is; ends on SIGTERM and then prints tick lateness as JSON.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.rig import SIZES, SOUND_RATE, Size
from broadcaster.clock import MonotonicClock
from broadcaster.codec.sound_line import Silence
from broadcaster.formats import AudioFormat, EncodeFormat, VideoFormat
from broadcaster.idle.encode import encode_pictures
from broadcaster.idle.loop import EncodedLoop
from broadcaster.mixer.blend import Picture
from broadcaster.mixer.source import TaskSource
from broadcaster.playout.channel import ChannelAir
from broadcaster.playout.loop import TickLoop
from broadcaster.playout.spoken import SpokenSource
from broadcaster.processes import die_with_parent, set_priority
from broadcaster.push.destination import Destination
from broadcaster.settings.model import Push

STAMP_BITS = 40
"""32 bits of monotonic milliseconds, then their sum in 8 bits: a torn stamp is not counted."""

NICE = -5  # as the station's playout

KINDS = ("memory", "over-idle", "stamped", "spoken")


def format_of(size: Size) -> EncodeFormat:
    """The station's format of a size."""
    video = VideoFormat(size.width, size.height, size.fps)
    audio = AudioFormat(SOUND_RATE, 128_000)
    return EncodeFormat(video, audio, size.fps, size.kbps * 1000, "veryfast")


def draw_stamp(picture: Picture, now_ms: int, width: int) -> None:
    """Write a time into the top rows, a block per bit."""
    value = now_ms & 0xFFFFFFFF
    value = value << 8 | sum(value.to_bytes(4, "big")) & 0xFF
    block = width // STAMP_BITS
    for bit in range(STAMP_BITS):
        luma = 235 if value >> (STAMP_BITS - 1 - bit) & 1 else 16
        picture[:block, bit * block : (bit + 1) * block] = luma


def read_stamp(luma: NDArray[np.uint8], width: int) -> int | None:
    """The milliseconds (32 bits) in a decoded picture's luma, or None when there are none."""
    block = width // STAMP_BITS
    centre = slice(block // 4, block - block // 4)
    value = 0
    for bit in range(STAMP_BITS):
        value = value << 1 | (float(luma[centre, bit * block :][:, centre].mean()) > 125)
    stamp = value >> 8
    return stamp if sum(stamp.to_bytes(4, "big")) & 0xFF == value & 0xFF else None


class MemoryTask:
    """A task for ever, pictures and sound from memory, over and over."""

    task_id, error = "long", ""

    def __init__(self, kind: str, scene: Path, channel: ChannelAir) -> None:
        fmt = channel.fmt
        sound = load_pcm(scene.with_suffix(".pcm"))
        self._over_idle = kind == "over-idle"
        self.length_ticks = 24 * 3600 * fmt.video.fps
        self._channel, self._pictures = channel, load_scene(scene, fmt)
        self._sound, self._stamp = sound, kind == "stamped"
        self._per_tick, self._width = fmt.samples_per_tick, fmt.video.width
        self._ticks = sound.shape[1] // fmt.samples_per_tick

    def sound(self, index: int) -> NDArray[np.float32] | None:
        at = index % self._ticks * self._per_tick
        return self._sound[:, at : at + self._per_tick]

    def ready_from(self, index: int) -> int:
        return self.length_ticks - index

    def idle_from(self, index: int) -> int | None:
        return index if self._over_idle else None

    def picture(self, index: int, idle: Picture) -> Picture:
        picture = self._pictures[self._channel.tick % len(self._pictures)]
        if self._stamp:
            picture = picture.copy()
            draw_stamp(picture, time.monotonic_ns() // 1_000_000, self._width)
        return picture

    def played_samples(self, index: int) -> int:
        return index * self._per_tick

    def close(self) -> None:
        pass


def load_pcm(file: Path) -> NDArray[np.float32]:
    """Raw s16le stereo as float32 of shape (2, n)."""
    samples = np.fromfile(file, "<i2").reshape(-1, 2).T / np.float32(32768)
    return np.ascontiguousarray(samples, np.float32)


def load_scene(scene: Path, fmt: EncodeFormat) -> NDArray[np.uint8]:
    """The I420 pictures of a scene, shape (n, height * 3 / 2, width)."""
    return np.memmap(scene, np.uint8, "r").reshape(-1, *fmt.video.i420_shape)


def make_source(kind: str, scene: Path, channel: ChannelAir) -> TaskSource:
    """The task of one of the kinds above."""
    if kind != "spoken":
        return MemoryTask(kind, scene, channel)
    pcm = scene.with_suffix(".pcm")
    return SpokenSource("long", pcm, pcm.stat().st_size // 4, 0, channel.fmt)


def make_channel(scene: Path, fmt: EncodeFormat, fade_ticks: int, url: str) -> ChannelAir:
    """A channel with the scene as its idle, pushing to ``url``."""
    packets, sets = encode_pictures(lambda: iter(load_scene(scene, fmt)), fmt)
    loop = EncodedLoop("idle", packets, sets, Silence(fmt.audio))
    told = threading.Event()

    def emit(event: dict[str, object]) -> None:
        if event["event"] == "started" and not told.is_set():
            told.set()
            print("on air", flush=True)

    channel = ChannelAir("main", fmt, loop, fade_ticks, 60, True, emit)
    channel.destinations.append(
        Destination("relay", "main", url, fmt, channel.headers, Push(), None, MonotonicClock())
    )
    return channel


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--scene", type=Path, required=True)
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--task", choices=KINDS, required=True)
    parser.add_argument("--fade-ticks", type=int, default=10)
    options = parser.parse_args()
    die_with_parent()
    set_priority(NICE)
    fmt = format_of(SIZES[options.size])
    channel = make_channel(options.scene, fmt, options.fade_ticks, options.url)
    source = make_source(options.task, options.scene, channel)
    loop = TickLoop([channel], MonotonicClock(), None, 1.0)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    for destination in channel.destinations:
        destination.start()
    late_s = run(channel, loop, source, stopping)
    channel.close(2.0)
    encoder = channel.report(0.0)["encoder"]
    print(json.dumps({"late_s": late_s, "skipped_s": loop.skipped_s, "encoder": encoder}))
    return 0


def run(
    channel: ChannelAir, loop: TickLoop, source: TaskSource, stopping: threading.Event
) -> list[float]:
    """Tick until told to stop, the task from the second second on; returns each lateness."""
    late_s: list[float] = []
    asked = False
    while not stopping.is_set():
        loop.run_once()
        if asked:  # not while it starts
            late_s.append(loop.late_s)
        if not asked and channel.tick > 2 * channel.fmt.gop_ticks:
            asked = True
            threading.Thread(target=channel.play_source, args=(source,), daemon=True).start()
    return late_s


if __name__ == "__main__":
    raise SystemExit(main())
