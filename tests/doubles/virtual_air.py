"""A channel driven over virtual ticks by a script of tasks, as fast as its pictures decode.

Nothing here looks at a clock to decide anything: a tick runs when the channel has all it needs for
it, so the same seed gives the same programme on any machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from broadcaster.codec.aac import encode_periodic
from broadcaster.codec.sound_line import IdleSound, SoundLoop
from broadcaster.formats import EncodeFormat
from broadcaster.idle.loop import EncodedLoop
from broadcaster.mixer.blend import Picture
from broadcaster.playout.channel import ChannelAir
from tests.doubles.programme import MemoryTask, Recorder, make_loop, moving_pictures, speech_like

FADE_TICKS = 6
STUCK_AFTER_S = 60.0
OFTEN_BACK_TO_BACK = 0.2
"""Share of tasks that get another right behind them, without idle in between."""


def run_tick(channel: ChannelAir) -> None:
    """The next tick, once everything it needs is there.

    Raises:
        TimeoutError: it never came.
    """
    deadline = time.monotonic() + STUCK_AFTER_S
    while not channel.tick_ready:
        if time.monotonic() > deadline:
            raise TimeoutError("idle pictures never came")
        time.sleep(0.0002)
    channel.run_tick()


def run_until(channel: ChannelAir, tick: int) -> None:
    """Ticks up to ``tick``, which is the next one afterwards."""
    while channel.tick < tick:
        run_tick(channel)


@dataclass
class Script:
    """Adds tasks at random moments, sometimes two that follow without idle in between.

    ``before_tick`` belongs to the thread that runs the ticks. ``starts`` tells on which tick each
    task began, ``lengths`` how many ticks each has.
    """

    fmt: EncodeFormat
    tasks: int
    rng: np.random.Generator
    longest: int
    pictures: list[Picture]
    starts: dict[int, int] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)
    done: int = 0
    channel: ChannelAir | None = None
    _next_at: int = 0

    def emit(self, event: dict[str, object]) -> None:
        """Takes the channel's events."""
        if event["event"] == "started" and self.channel is not None:
            self.starts[int(str(event["task_id"]))] = self.channel.tick
        self.done += event["event"] in {"done", "failed", "interrupted"}

    def begin(self, channel: ChannelAir) -> None:
        """Tasks may come from now on."""
        self.channel = channel
        self._next_at = channel.tick + 3

    def before_tick(self) -> bool:
        """Add what is due; False when the last task has ended."""
        assert self.channel is not None
        tick = self.channel.tick
        if len(self.lengths) > self.done:
            return True
        if len(self.lengths) == self.tasks:
            return False
        if self._next_at < tick - 1:
            self._next_at = tick + int(self.rng.integers(0, 45))
        if tick >= self._next_at:
            both = self.rng.random() < OFTEN_BACK_TO_BACK and len(self.lengths) + 2 <= self.tasks
            for _ in range(2 if both else 1):
                self._add(self.channel)
            self._next_at = -1
        return True

    def _add(self, channel: ChannelAir) -> None:
        number = len(self.lengths)
        self.lengths.append(int(self.rng.integers(1, self.longest)))
        task = MemoryTask(str(number), self.pictures, self.voice(number), self.fmt.samples_per_tick)
        channel._commands.append(lambda: channel._tasks.add(task))

    def voice(self, number: int) -> NDArray[np.float32]:
        """The sound of one task, float32 of shape (2, n)."""
        return speech_like(self.lengths[number] * self.fmt.samples_per_tick, number)


def make_script(fmt: EncodeFormat, tasks: int, seed: int, longest: int) -> Script:
    """A script over moving pictures."""
    pictures = moving_pictures(fmt.video, 2 * fmt.gop_ticks, 2)
    return Script(fmt, tasks, np.random.default_rng(seed), longest, pictures)


def chord(fmt: EncodeFormat) -> IdleSound:
    """An audible idle sound: three tones for eight seconds."""
    seconds = np.arange(8 * fmt.audio.sample_rate) / fmt.audio.sample_rate
    tone = sum(0.04 * np.sin(2 * np.pi * f * seconds) for f in (220.0, 277.0, 330.0))
    pcm = np.stack([tone, tone]).astype(np.float32)
    return SoundLoop(pcm, encode_periodic(pcm, fmt.audio))


@dataclass(frozen=True)
class Programme:
    """A channel with its script, its idle loop and everything it sent."""

    fmt: EncodeFormat
    script: Script
    loop: EncodedLoop
    channel: ChannelAir
    recorder: Recorder


def make_programme(
    script: Script, sound: IdleSound | None = None, allow_splice: bool = True
) -> Programme:
    """A channel over a moving idle loop, with a recorder as its first destination."""
    fmt = script.fmt
    loop = make_loop(fmt, moving_pictures(fmt.video, 3 * fmt.gop_ticks, 1), sound)
    channel = ChannelAir("main", fmt, loop, FADE_TICKS, 60, allow_splice, script.emit)
    recorder = Recorder()
    channel.destinations.append(recorder)
    return Programme(fmt, script, loop, channel, recorder)


def run_offline(
    fmt: EncodeFormat,
    tasks: int,
    seed: int,
    *,
    longest: int = 30,
    sound: IdleSound | None = None,
    allow_splice: bool = True,
) -> Programme:
    """A whole programme, from the first task to two GOPs after the last."""
    run = make_programme(make_script(fmt, tasks, seed, longest), sound, allow_splice)
    run.script.begin(run.channel)
    while run.script.before_tick():
        run_tick(run.channel)
    run_until(run.channel, run.channel.tick + 2 * fmt.gop_ticks)
    run.channel.close(1.0)
    return run
