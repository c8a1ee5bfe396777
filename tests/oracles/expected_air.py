"""What should have been on air, from nothing but the start ticks: an independent, simple model.

It knows the idle loop, each task's start, pictures and sound, and the fade's length; it shares no
code with the mixer but the two curves, ``blend`` and ``idle_gain``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from broadcaster.formats import AirTick, VideoPacket
from broadcaster.mixer.blend import Picture, blend
from broadcaster.mixer.ramp import idle_gain
from tests.doubles.virtual_air import FADE_TICKS, Programme
from tests.oracles.splice_check import decode_video

SLOT_SAMPLES = 1024


class ExpectedAir:
    """Pictures and sound of a programme, made when asked for, so that any length fits in memory."""

    def __init__(self, run: Programme) -> None:
        self.run, self.total = run, run.channel.tick
        self._headers = run.channel.headers
        packets = enumerate(run.loop.packets)
        self._idle = decode_video(
            [AirTick(i, VideoPacket(i, p, False), (), True) for i, p in packets], self._headers
        )
        self._on_air = {
            start + k: number
            for number, start in run.script.starts.items()
            for k in range(run.script.lengths[number])
        }
        self._weights = np.zeros(self.total + 1)
        self._shown = np.full(self.total, -1)
        self._walk()

    def _walk(self) -> None:
        steps, position, shown = FADE_TICKS + 1, 0, -1
        for tick in range(self.total):
            position = min(steps, max(0, position + (1 if tick in self._on_air else -1)))
            shown = self._on_air.get(tick, shown)
            self._weights[tick], self._shown[tick] = position / steps, shown

    def picture(self, tick: int) -> Picture:
        """The picture of ``tick``: idle, task or a blend of them."""
        idle = self._idle[tick % len(self._idle)]
        weight, number = float(self._weights[tick]), int(self._shown[tick])
        if weight == 0.0:
            return idle
        return blend(idle, self._task_picture(tick, number), weight)

    def _task_picture(self, tick: int, number: int) -> Picture:
        script = self.run.script
        age, pictures = tick - script.starts[number], script.pictures
        top = pictures[age % len(pictures)]
        if number == 0 or age >= FADE_TICKS:
            return top
        before = script.starts[number - 1]
        if before + script.lengths[number - 1] + FADE_TICKS < script.starts[number]:
            return top
        leaving = pictures[(tick - before) % len(pictures)]
        return blend(leaving, top, (age + 1) / (FADE_TICKS + 1))

    def sound_slots(self) -> Iterator[NDArray[np.float32]]:
        """The mix in blocks of 1024 samples, float32 of shape (2, 1024), from slot 0 on."""
        per, held = self.run.fmt.samples_per_tick, np.zeros((2, 0), np.float32)
        voice, of = np.zeros((2, 0), np.float32), -1
        for tick in range(self.total):
            block = self._idle_sound(tick, per)
            number = self._on_air.get(tick)
            if number is not None:
                if of != number:
                    voice, of = self.run.script.voice(number), number
                at = (tick - self.run.script.starts[number]) * per
                block = block + voice[:, at : at + per]
            held = np.concatenate([held, block], axis=1)
            while held.shape[1] >= SLOT_SAMPLES:
                yield np.ascontiguousarray(held[:, :SLOT_SAMPLES], np.float32)
                held = held[:, SLOT_SAMPLES:]

    def _idle_sound(self, tick: int, per: int) -> NDArray[np.float32]:
        before = float(self._weights[tick - 1]) if tick else 0.0
        after = float(self._weights[tick])
        block = self.run.loop.sound.pcm(tick * per, per)
        return block * idle_gain(before, after, per) if before or after else block
