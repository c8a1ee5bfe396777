"""A channel with a recorder on virtual ticks, and what it sent, decoded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadcaster.codec.aac import encode_periodic
from broadcaster.codec.h264_decode import PictureDecoder
from broadcaster.codec.sound_line import IdleSound, SoundLoop
from broadcaster.formats import AudioFormat, EncodeFormat, VideoFormat
from broadcaster.idle.loop import EncodedLoop
from broadcaster.mixer.blend import Picture, blend
from broadcaster.mixer.mixer import INTERRUPT_FADE_TICKS
from broadcaster.playout.channel import ChannelAir
from tests.doubles.programme import (
    SMALL,
    MemoryTask,
    Recorder,
    make_loop,
    moving_pictures,
    speech_like,
)
from tests.oracles import splice_check

FADE = 6
STEPS = FADE + 1
CD = EncodeFormat(VideoFormat(192, 112, 30), AudioFormat(44100, 128_000), 30, 600_000, "veryfast")


class TracedTask(MemoryTask):
    """Remembers which of its ticks were mixed at which tick of the air."""

    def __init__(self, task_id: str, ticks: int, fmt: EncodeFormat, seed: int = 5) -> None:
        self.voice = speech_like(ticks * fmt.samples_per_tick, seed, fmt.audio.sample_rate)
        pictures = moving_pictures(fmt.video, 40, 50 + seed)
        super().__init__(task_id, pictures, self.voice, fmt.samples_per_tick)
        self.mixed: list[tuple[int, int]] = []
        self.air: Air | None = None

    def sound(self, index: int) -> NDArray[np.float32] | None:
        assert not self.closed
        block = super().sound(index)
        if block is not None and self.air is not None:
            self.mixed.append((self.air.channel._first_free_tick, index))
        return block

    @property
    def indices(self) -> list[int]:
        return [index for _, index in self.mixed]

    @property
    def at(self) -> list[int]:
        return [tick for tick, _ in self.mixed]


@dataclass
class Heard:
    """The decoded air."""

    pictures: list[Picture]
    sound: NDArray[np.float32]


class Air:
    """A channel with a recorder, advanced tick by tick as fast as its pictures are decoded."""

    def __init__(
        self, loop: EncodedLoop, fmt: EncodeFormat = SMALL, allow_splice: bool = True
    ) -> None:
        self.fmt, self.loop, self.events = fmt, loop, list[dict[str, Any]]()
        self.channel = ChannelAir("main", fmt, loop, FADE, 60, allow_splice, self.events.append)
        self.recorder = Recorder()
        self.channel.destinations.append(self.recorder)

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            self._settle()
            self.channel.run_tick()

    def run_to_grid(self, phase: int = 0) -> None:
        self.run((phase - self.channel.tick) % self.fmt.gop_ticks)

    def run_until(self, condition: Callable[[], bool], limit: int = 600) -> None:
        for _ in range(limit):
            if condition():
                return
            self.run(1)
        raise AssertionError(f"not within {limit} ticks")

    def _settle(self) -> None:
        """Real time is scarce here: let what reads and decodes catch up with the virtual tick."""
        if self.channel._tasks.task_id is not None and self.channel._mixer.schedule.last is None:
            time.sleep(0.0005)
        deadline = time.monotonic() + 10
        pictures, wanted = self.channel._pictures, self.channel._pictures._wanted
        while wanted is not None and not pictures.ready(wanted, 3):
            assert time.monotonic() < deadline, "idle pictures never came"
            time.sleep(0.0005)

    def call(self, command: Callable[[], Any]) -> Any:
        """A command of another thread, as the control socket gives it; the tick loop goes on."""
        answer: list[Any] = []
        thread = threading.Thread(target=lambda: answer.append(command()))
        thread.start()
        while thread.is_alive():
            if self.channel._commands:
                self.run(1)
            thread.join(0.001)
        return answer[0]

    def task(self, source: TracedTask) -> TracedTask:
        source.air = self
        self.call(lambda: self.channel.play_source(source))
        return source

    def told(self, task_id: str) -> list[str]:
        events = [e["event"] for e in self.events if e.get("task_id") == task_id]
        return [e for e in events if e != "progress"]

    def ended(self, task_id: str) -> bool:
        return bool({"done", "interrupted", "failed"} & set(self.told(task_id)))

    def heard(self) -> Heard:
        headers, ticks = self.channel.headers, self.recorder.ticks
        assert [t.tick for t in ticks] == list(range(self.channel.tick))
        assert splice_check.strict_decode_errors(ticks, headers) == ""
        packets = [p for t in ticks for p in t.audio]
        assert [p.slot for p in packets] == list(range(len(packets))), "an AAC slot is missing"
        idr = splice_check.idr_ticks(ticks)
        assert set(range(0, self.channel.tick, self.fmt.gop_ticks)) <= set(idr)
        assert min(np.diff(idr), default=9) >= 2, "two IDRs are adjacent"
        pictures = splice_check.decode_video(ticks, headers)
        assert len(pictures) == len(ticks)
        return Heard(pictures, splice_check.decode_sound(packets, headers.aac_config))

    def close(self) -> None:
        self.channel.close(1.0)


def shown_by(loop: EncodedLoop) -> list[Picture]:
    decoder = PictureDecoder(loop.parameter_sets.avc_config())
    return [decoder.decode(packet) for packet in loop.packets]


def tone(hertz: float, rate: int = 48000, seconds: float = 8) -> NDArray[np.float32]:
    wave = 0.08 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)
    return np.stack([wave, wave]).astype(np.float32)


def audible(hertz: float, fmt: EncodeFormat = SMALL) -> IdleSound:
    pcm = tone(hertz, fmt.audio.sample_rate)
    return SoundLoop(pcm, encode_periodic(pcm, fmt.audio) if fmt is SMALL else None)


def assert_sounds_like(air: Air, heard: Heard, mix: NDArray[np.float32]) -> None:
    """As good as one continuous encode of ``mix``, block by block."""
    whole = splice_check.continuous_encode(mix, air.fmt)
    length = min(heard.sound.shape[1], whole.shape[1], mix.shape[1]) // 1024 * 1024
    assert length > 0.9 * air.channel.tick * air.fmt.samples_per_tick
    spliced = splice_check.block_rms(heard.sound[:, :length] - mix[:, :length])[4:]
    continuous = splice_check.block_rms(whole[:, :length] - mix[:, :length])[4:]
    assert np.max(spliced / np.maximum(continuous, 1e-3)) <= 2.0


def silent_mix(air: Air, *tasks: TracedTask) -> NDArray[np.float32]:
    """What the mix should be over a silent idle: every mixed tick of every task at full gain."""
    per = air.fmt.samples_per_tick
    mix = np.zeros((2, (air.channel.tick + 8) * per), np.float32)
    for task in tasks:
        for tick, index in task.mixed:
            mix[:, tick * per : (tick + 1) * per] = task.voice[:, index * per : (index + 1) * per]
    return mix


def loop_of(seed: int, gops: int = 2, fmt: EncodeFormat = SMALL, sound: IdleSound | None = None,
            title: str = "loop") -> EncodedLoop:  # fmt: skip
    made = make_loop(fmt, moving_pictures(fmt.video, gops * fmt.gop_ticks, seed), sound)
    return replace(made, title=title)


SLATE = loop_of(11, 1, title="slate")
CARD = loop_of(12, 3, sound=audible(440.0), title="test card")
CLIP = loop_of(13, 2, sound=audible(523.0), title="clip.mp4")


def expected_picture(
    idle: Picture, task: TracedTask, tick: int, start: int, end: int, back: int = 1
) -> Picture:
    inside, out = min(tick - start + 1, STEPS), back * max(0, tick - end + 1)
    weight = max(0, min(inside, min(end - start, STEPS) - out if out else inside)) / STEPS
    top = task.picture(tick - start, idle)
    return blend(idle, top, weight)


def assert_pictures(
    air: Air, heard: Heard, task: TracedTask, least_db: float = 40.0, interrupted: bool = False
) -> None:
    back = -(-STEPS // (INTERRUPT_FADE_TICKS + 1)) if interrupted else 1
    idle = shown_by(air.loop)
    start, end = task.at[0], task.at[-1] + 1
    expected = [
        expected_picture(idle[t % len(idle)], task, t, start, end, back)
        if t >= start
        else idle[t % len(idle)]
        for t in range(air.channel.tick)
    ]
    own, wrong = splice_check.match(heard.pictures, expected)
    assert wrong == []
    assert own.min() >= least_db
