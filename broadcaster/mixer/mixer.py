"""The mixer: for every tick, what its sound is and how its picture is composed.

``sound`` runs a few ticks ahead of ``compose``; both walk the same ramp over the same decided
segments, so they agree by construction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broadcaster.mixer.blend import Picture, blend
from broadcaster.mixer.ramp import Ramp, idle_gain
from broadcaster.mixer.schedule import Schedule, Segment

INTERRUPT_FADE_TICKS = 1
"""Mixed pictures after an interrupt: whoever interrupts has waited 0.2 s already, for what was
decided. One takes the edge off; 80 ms after the last word all is idle."""

IdlePcm = Callable[[], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Composition:
    """How one picture is made: ``segment`` over idle at ``weight``, itself over ``leaving``.

    ``leaving`` is the task before, when two tasks follow without idle in between; ``entered`` is
    the weight of ``segment`` over it.
    """

    weight: float
    segment: Segment | None
    leaving: Segment | None
    entered: float

    @property
    def is_idle(self) -> bool:
        """True when nothing but idle shows."""
        return self.segment is None or self.weight <= 0.0


class Mixer:
    """One channel's mixer.

    Args:
        fade_ticks: length of every picture fade.
        samples_per_tick: sound samples of one tick.
    """

    def __init__(self, fade_ticks: int, samples_per_tick: int) -> None:
        self.schedule = Schedule()
        self.underruns = 0
        self._fade_ticks = fade_ticks
        self._samples = samples_per_tick
        self._closing = np.linspace(1.0, 0.0, samples_per_tick, dtype=np.float32)
        self._sound_ramp = Ramp(fade_ticks, INTERRUPT_FADE_TICKS)
        self._picture_ramp = Ramp(fade_ticks, INTERRUPT_FADE_TICKS)

    @property
    def idle(self) -> bool:
        """True when neither decided sound nor a picture of any task remains."""
        return self._sound_ramp.weight == 0.0 and self._picture_ramp.weight == 0.0

    def sound(self, tick: int, idle_pcm: IdlePcm) -> NDArray[np.float32] | None:
        """The sound of ``tick``, float32 of shape (2, samples), or None for idle unchanged.

        A task that is dry ends here for now: its segment is cut, picture and sound pause together.
        """
        segment = self.schedule.at(tick)
        task = segment.source.sound(segment.index(tick)) if segment else None
        if segment is not None and task is None:
            self.schedule.cut_last(tick)
            self.underruns += 1
        before = self._sound_ramp.weight
        after = self._sound_ramp.step(task is not None, self._interrupted(tick))
        if task is None and before == 0.0:
            return None
        if task is not None and segment is not None and segment.soft_end:
            task = task * self._closing if tick == segment.end - 1 else task
        mixed = idle_pcm() * idle_gain(before, after, self._samples)
        return mixed if task is None else mixed + task

    def compose(self, tick: int) -> Composition:
        """How the picture of ``tick`` is made; call once per tick, in order."""
        in_task = self.schedule.at(tick) is not None
        weight = self._picture_ramp.step(in_task, self._interrupted(tick))
        segment = self.schedule.shown(tick)
        leaving, entered = None, 1.0
        if segment is not None:
            before = self.schedule.shown(segment.start - 1)
            age = tick - segment.start
            fade = self._fade_after(before)
            if before and age < fade and before.end + fade >= segment.start:
                leaving, entered = before, (age + 1) / (fade + 1)
        return Composition(weight, segment, leaving, entered)

    def _interrupted(self, tick: int) -> bool:
        """Whether what is on air, or was last, was cut off."""
        shown = self.schedule.shown(tick)
        return shown is not None and shown.soft_end

    def _fade_after(self, before: Segment | None) -> int:
        quick = before is not None and before.soft_end
        return min(self._fade_ticks, INTERRUPT_FADE_TICKS) if quick else self._fade_ticks

    @staticmethod
    def idle_shows_from(composition: Composition, tick: int) -> int:
        """The first tick that may show idle: ``tick``, or later while a task covers all of it."""
        tops = [s for s in (composition.segment, composition.leaving) if s is not None]
        if not tops or composition.weight < 1.0:
            return tick
        shows = [tops[0].end]
        for top in tops:
            index = top.source.idle_from(top.index(tick))
            if index is not None:
                shows.append(top.tick(index))
        return max(tick, min(shows))

    def draw(self, composition: Composition, tick: int, idle: Picture) -> Picture:
        """The picture itself, I420; ``idle`` is what the idle loop shows at this tick."""
        segment = composition.segment
        if segment is None or composition.weight <= 0.0:
            return idle
        top = segment.source.picture(segment.shown_index(tick), idle)
        leaving = composition.leaving
        if leaving is not None:
            below = leaving.source.picture(leaving.shown_index(tick), idle)
            top = blend(below, top, composition.entered)
        return blend(idle, top, composition.weight)
