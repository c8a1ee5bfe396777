"""The line of tasks before the air: who comes before whom, and how long that takes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from broadcaster.store.task import HELD_STATES, Task, TaskState

_JOURNAL_S = 1.5
"""How long a task was heard is noted once a second; an older note is not drawn out further."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What a task waits for: ``tasks`` that are said before it, and seconds of their sound."""

    tasks: int
    sound_s: float


def ahead_of(task: Task, active: Iterable[Task], now_s: float) -> Ahead:
    """What comes before ``task``.

    Args:
        task: one that has not ended.
        active: those of its channel that have not ended, itself included or not.
        now_s: wall time, to draw out what is on air.
    """
    if task.state is TaskState.ON_AIR:
        return Ahead(0, 0.0)
    before = [
        each
        for each in active
        if each.id != task.id and _rank(each) < _rank(task) and not _stopped_by(task, each)
    ]
    return Ahead(len(before), sum(remaining_s(each, now_s) for each in before))


def remaining_s(task: Task, now_s: float) -> float:
    """Seconds of a task that are still to be said, as far as they are known."""
    length_s = task.samples / task.sample_rate if task.samples else task.expected_s
    heard_s = task.played_samples / task.sample_rate
    if task.state is TaskState.ON_AIR:
        heard_s += min(max(now_s - task.updated_s, 0.0), _JOURNAL_S)
    return max(length_s - heard_s, 0.0)


def _rank(task: Task) -> tuple[int, int, int]:
    """The order of ``TAKING_ORDER``, with what the studio holds already before it."""
    if task.state is TaskState.ON_AIR:
        return 0, 0, 0
    if task.interrupts:
        return 1, -task.place, 0
    return 2 if task.state in HELD_STATES else 3, -task.priority, task.place


def _stopped_by(task: Task, on_air: Task) -> bool:
    return task.interrupts and on_air.state is TaskState.ON_AIR and on_air.place < task.place
