"""Which task holds which ticks.

Sound leaves a few ticks before its picture (the sound encoder looks ahead, and sound is sent
early), so everything about a tick is decided that far ahead and then stands: both the sound and,
later, the picture of a tick are looked up here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from broadcaster.mixer.source import TaskSource


@dataclass(frozen=True, slots=True)
class Segment:
    """An unbroken run of one task: ticks [start, end) play indices from ``first_index`` on."""

    source: TaskSource
    start: int
    end: int
    first_index: int
    soft_end: bool = False
    """Cut off by an interrupt: the last tick's sound fades out instead of clicking."""

    def index(self, tick: int) -> int:
        """The source's index at ``tick``; past the end it runs on for the fade out."""
        return self.first_index + tick - self.start

    def shown_index(self, tick: int) -> int:
        """The index whose picture is on top at ``tick``.

        A task that ran dry goes on where it stopped: under its fade out it stands still, so that
        pictures that come just then are kept until their sound is heard.
        """
        index = self.index(tick)
        dry = not self.complete and not self.soft_end
        return min(index, self.index(self.end) - 1) if dry else index

    def tick(self, index: int) -> int:
        """The tick at which the source's ``index`` is due."""
        return self.start + index - self.first_index

    @property
    def complete(self) -> bool:
        """True when the segment plays the task to its last tick."""
        return self.index(self.end) >= self.source.length_ticks


class Schedule:
    """The segments that are on air or decided, in order and without overlap."""

    def __init__(self) -> None:
        self._segments: list[Segment] = []

    @property
    def last(self) -> Segment | None:
        """The newest segment, on air or decided."""
        return self._segments[-1] if self._segments else None

    def add(self, segment: Segment) -> None:
        """Decide a segment."""
        if self.last is not None and segment.start < self.last.end:
            raise ValueError("segments must not overlap")
        self._segments.append(segment)

    def of(self, source: TaskSource) -> Segment | None:
        """The newest segment of a task."""
        return next((s for s in reversed(self._segments) if s.source is source), None)

    def cut_last(self, end: int, soft: bool = False) -> None:
        """End the newest segment at ``end`` (an interrupt, or the task ran dry)."""
        last = self._segments[-1]
        if end < last.end:
            self._segments[-1] = replace(last, end=max(end, last.start), soft_end=soft)

    def at(self, tick: int) -> Segment | None:
        """The segment whose sound plays at ``tick``."""
        return next((s for s in self._segments if s.start <= tick < s.end), None)

    def shown(self, tick: int) -> Segment | None:
        """The segment whose picture is on top at ``tick``: playing, else the last to end."""
        begun = [s for s in self._segments if s.start <= tick and s.start < s.end]
        return begun[-1] if begun else None

    def drop_before(self, tick: int, keep: Sequence[TaskSource] = ()) -> None:
        """Forget segments that ended before ``tick``, but the newest one of each task in ``keep``.

        A task that ran dry goes on where its newest segment ended, however long that takes.
        """
        if self._segments and self._segments[0].end < tick:
            kept = [self.of(source) for source in keep]
            self._segments = [s for s in self._segments if s.end >= tick or s in kept]
