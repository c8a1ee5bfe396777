"""The tasks of one channel inside playout: one on air, one waiting, decided onto ticks.

Called by the tick loop only. It decides when a task begins, cuts it on interrupt, brings it back
after it ran dry, and tells what happened as events. A decision stands from the moment its sound
leaves the mixer, a few ticks before its picture; that moment is ``first_free_tick`` below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from broadcaster.mixer.mixer import Mixer
from broadcaster.mixer.schedule import Segment
from broadcaster.mixer.source import TaskSource
from broadcaster.timeline.grid import live_start

Event = dict[str, Any]
Emit = Callable[[Event], None]

PREROLL_S = 0.4
"""Material a task must have in hand to begin, or to come back after it ran dry."""

HELD_TASKS = 2
"""One on air and one waiting, so that tasks can follow without idle in between."""

WARM_UP_TICKS = 12
"""Before a reserved tick the idle pictures under the fade are decoded; from a GOP's start that
takes up to 0.15 s."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task is expected on air: its ``index`` at ``tick``.

    A task that is not ready in time begins later.
    """

    tick: int
    index: int


@dataclass(slots=True)
class _Held:
    source: TaskSource
    reserved: int = 0
    """The tick that was reserved for its beginning; 0 is as soon as it can."""
    preroll: int = 0
    """Ticks it must have in hand to begin or to come back."""
    started: bool = False
    ending: str = ""
    """The event that will end it once what is decided has been on air; empty while it goes on."""


class TaskQueue:
    """Decides segments for the mixer's schedule.

    Args:
        channel: name, for events.
        mixer: whose schedule is written.
        gop_ticks: distance of the IDR grid.
        fps: ticks per second.
        emit: takes events; must not block.
    """

    def __init__(self, channel: str, mixer: Mixer, gop_ticks: int, fps: int, emit: Emit) -> None:
        self._channel, self._mixer, self._emit = channel, mixer, emit
        self._gop_ticks, self._fps = gop_ticks, fps
        self.not_before = 0
        """No task begins before this tick: idle changes to another avatar there."""
        self._held: list[_Held] = []
        self._leaving: list[TaskSource] = []

    @property
    def task_id(self) -> str | None:
        """The task on air, or the next one."""
        held = self._held[:1]  # read by other threads: a copy cannot shrink under them
        return held[0].source.task_id if held else None

    def holds(self, task_id: str) -> bool:
        """True when the task is on air or waiting."""
        return any(held.source.task_id == task_id for held in list(self._held))

    @property
    def full(self) -> bool:
        """True when no further task is taken."""
        return len(self._held) >= HELD_TASKS

    def add(self, source: TaskSource, reserve_from: int = 0, preroll: int | None = None) -> Place:
        """Take a task; one that is held already, or one too many, is only closed.

        Args:
            source: the task.
            reserve_from: the first tick it can be ready for; 0 is as soon as it can.
            preroll: ticks it must have in hand to begin.
        """
        before = self._held[-1] if self._held else None
        reserved = self._reserve(reserve_from, before) if reserve_from else 0
        if self.full or self.holds(source.task_id):
            source.close()
        else:
            least = int(PREROLL_S * self._fps) if preroll is None else preroll
            self._held.append(_Held(source, reserved, least))
        return Place(reserved, 0)

    def reserve_again(self, source: TaskSource, from_tick: int) -> Place | None:
        """A held task missed its tick: reserve a later one; None once it has begun."""
        index = next(n for n, held in enumerate(self._held) if held.source is source)
        if self._held[index].ending or self._mixer.schedule.of(source) is not None:
            return None
        before = self._held[index - 1] if index else None
        self._held[index].reserved = self._reserve(from_tick, before)
        return Place(self._held[index].reserved, 0)

    def _reserve(self, from_tick: int, before: _Held | None) -> int:
        """Right behind the task before, or at the next tick from ``from_tick`` on that may be."""
        if before is not None:
            segment = self._mixer.schedule.of(before.source)
            if segment is not None:
                behind = segment.tick(before.source.length_ticks)
            else:
                behind = before.reserved + before.source.length_ticks
            if behind >= from_tick:
                return behind
        return live_start(max(from_tick, self.not_before), self._gop_ticks)

    def _ends_early(self, held: _Held) -> None:
        """What was to begin behind it need not wait for that any more."""
        for later in self._held[self._held.index(held) + 1 :]:
            later.reserved = 0

    def preroll(self, source: TaskSource) -> int:
        """Ticks that a held task must have in hand to begin."""
        held = next(h for h in self._held if h.source is source)
        return min(held.preroll, source.length_ticks)

    def source(self, task_id: str) -> TaskSource | None:
        """A held task's source."""
        return next((h.source for h in self._held if h.source.task_id == task_id), None)

    def place_of(self, source: TaskSource, first_free_tick: int, ready: int) -> Place:
        """Where index ``ready`` of a held task is expected, given where it is now."""
        held = next(h for h in self._held if h.source is source)
        segment = self._mixer.schedule.of(source)
        if segment is None:
            return Place(max(held.reserved, first_free_tick) + ready, ready)
        if segment.end > first_free_tick:
            return Place(segment.tick(ready), ready)
        return Place(first_free_tick + ready - segment.index(segment.end), ready)

    def played_samples(self, tick: int) -> int:
        """Samples of the task on air that are out once ``tick`` is."""
        held = self._held[:1]
        segment = self._mixer.schedule.of(held[0].source) if held else None
        if segment is None:
            return 0
        ticks = max(segment.first_index, min(segment.index(tick) + 1, segment.index(segment.end)))
        return segment.source.played_samples(ticks)

    def interrupt(self, task_id: str | None, first_free_tick: int) -> str | None:
        """End a held task, or the one on air for None; returns its id, None if not held."""
        held = next((h for h in self._held if task_id in (None, h.source.task_id)), None)
        if held is None:
            return None
        self._ends_early(held)
        segment = self._mixer.schedule.of(held.source)
        if segment is None:
            self._end(held, "interrupted", first_free_tick)
        elif segment.end > first_free_tick:
            held.ending = "interrupted"
            self._mixer.schedule.cut_last(first_free_tick + 1, soft=True)
        else:  # dry, or decided to its end already: no sound of it can be stopped any more
            held.ending = held.ending or "interrupted"
        return held.source.task_id

    def withdraw(self, task_id: str) -> bool:
        """Give back a task that waits, without a word; False once it is decided, or not here."""
        for held in self._held:
            if held.source.task_id == task_id and self._mixer.schedule.of(held.source) is None:
                self._held.remove(held)
                held.source.close()
                return True
        return False

    def decide(self, first_free_tick: int, pictures_ready: Callable[[int], bool]) -> None:
        """Put the next task, or one that ran dry, on ticks from ``first_free_tick`` on."""
        for held in self._held:
            segment = self._mixer.schedule.of(held.source)
            if segment is not None and segment.end > first_free_tick:
                return
            if not held.ending and (segment is None or not segment.complete):
                self._place(held, segment, first_free_tick, pictures_ready)
                return

    def _place(
        self,
        held: _Held,
        before: Segment | None,
        first_free_tick: int,
        pictures_ready: Callable[[int], bool],
    ) -> None:
        source = held.source
        index = before.index(before.end) if before is not None else 0
        remaining = source.length_ticks - index
        no_more = bool(source.error)  # asked first: what was read before the error is then in
        ready = source.ready_from(index)
        if no_more and not ready:
            held.ending = "failed"
            self._ends_early(held)
            if before is None:
                self._end(held, "failed", first_free_tick)
            return
        if not no_more and ready < min(remaining, held.preroll):
            return
        last = self._mixer.schedule.last
        follows = last is not None and last.end >= first_free_tick
        reserved = max(held.reserved, self.not_before)
        early_ticks = reserved - first_free_tick if before is None else 0
        if early_ticks > 0 and not follows:
            if early_ticks <= WARM_UP_TICKS:
                pictures_ready(reserved)
            return
        start = first_free_tick
        if last is None or last.end != start:
            start = live_start(start, self._gop_ticks)
        if pictures_ready(start):
            self._mixer.schedule.add(Segment(source, start, start + remaining, index))

    def after(self, tick: int, fade_ticks: int) -> None:
        """Account for ``tick``, which has just been sent."""
        schedule = self._mixer.schedule
        segment = schedule.at(tick)
        for held in list(self._held):
            if segment is not None and segment.source is held.source:
                self._progress(held, segment, tick)
            last = schedule.of(held.source)
            if last and tick >= last.end - 1 and (last.complete or held.ending):
                self._end(held, held.ending or "done", tick)
        schedule.drop_before(tick - 2 * fade_ticks, [held.source for held in self._held])
        for source in [s for s in self._leaving if schedule.of(s) is None]:
            self._leaving.remove(source)
            source.close()

    def close(self) -> None:
        """Let go of every task; the tick loop has ended."""
        for source in [held.source for held in self._held] + self._leaving:
            source.close()
        self._held, self._leaving = [], []

    def _progress(self, held: _Held, segment: Segment, tick: int) -> None:
        index = segment.index(tick)
        if not held.started or index % self._fps == 0:
            event = "progress" if held.started else "started"
            held.started = True
            played, place = held.source.played_samples(index), Place(tick, index)
            self._tell(event, held.source, played, tick, place)

    def _end(self, held: _Held, event: str, tick: int) -> None:
        segment = self._mixer.schedule.of(held.source)
        self._held.remove(held)
        if segment is None:
            self._tell(event, held.source, 0, tick)
            held.source.close()
            return
        played = held.source.played_samples(segment.index(min(tick + 1, segment.end)))
        self._leaving.append(held.source)
        self._tell(event, held.source, played, tick)

    def _tell(
        self,
        event: str,
        source: TaskSource,
        played_samples: int,
        tick: int,
        place: Place | None = None,
    ) -> None:
        self._emit(
            {
                "event": event,
                "channel": self._channel,
                "task_id": source.task_id,
                "played_samples": played_samples,
                "at_tick": tick,
                "error": source.error if event == "failed" else "",
                **({} if place is None else {"tick": place.tick, "index": place.index}),
            }
        )
