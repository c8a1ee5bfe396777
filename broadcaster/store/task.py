"""What a task is, and which of its states may follow which: values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TaskState(StrEnum):
    """Where a task is on its way to the air; the words of the API."""

    QUEUED = "queued"
    PREPARING = "preparing"
    BUFFERING = "buffering"
    ON_AIR = "on_air"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED_STATES = frozenset({TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED})
ACTIVE_STATES = frozenset(TaskState) - ENDED_STATES
HELD_STATES = ACTIVE_STATES - {TaskState.QUEUED}
"""States in which the studio holds the task."""

_ENDS = frozenset({TaskState.FAILED, TaskState.CANCELLED})

FOLLOWERS: dict[TaskState, frozenset[TaskState]] = {
    # queued -> on_air: a restarted studio finds the playout still playing the task.
    # queued -> done: it finds that the playout has played it to the end meanwhile.
    TaskState.QUEUED: _ENDS | {TaskState.PREPARING, TaskState.ON_AIR, TaskState.DONE},
    TaskState.PREPARING: _ENDS | {TaskState.BUFFERING, TaskState.QUEUED, TaskState.ON_AIR},
    TaskState.BUFFERING: _ENDS | {TaskState.ON_AIR, TaskState.QUEUED, TaskState.DONE},
    # on_air -> buffering: the playout died and the task waits to be resumed.
    TaskState.ON_AIR: _ENDS | {TaskState.DONE, TaskState.BUFFERING, TaskState.QUEUED},
    TaskState.DONE: frozenset(),
    TaskState.FAILED: frozenset(),
    TaskState.CANCELLED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Task:
    """One request to speak, as stored.

    Times are wall seconds since 1970, for people; counts are samples per channel at
    ``sample_rate``.

    Attributes:
        source_name: what the client called its file: for display only, it never becomes a path.
        samples: 0 until the sound is decoded.
        place: the order of arrival.
        text: what is to be spoken; empty where sound was uploaded.
        voice: who speaks a text; empty for uploads.
        options: JSON object of wishes for the engine that renders, such as ``guidance_scale``.
        interrupts: it stops what is on air and is said next.
        expected_s: length of the sound as far as it is known before it is decoded; 0 is unknown.
        gain_db: the one gain of the whole sound; None until it is measured.
        idempotency_key: what a client calls this request, so that sending it twice is harmless.
        fingerprint: of the request; the same key with another one is a mistake.
        callback_url: who wants to be told how it goes; empty for nobody.
    """

    id: str
    channel: str
    source_name: str
    sample_rate: int
    state: TaskState = TaskState.QUEUED
    priority: int = 0
    place: int = 0
    samples: int = 0
    played_samples: int = 0
    error: str = ""
    reason: str = ""
    created_s: float = 0.0
    updated_s: float = 0.0
    started_s: float | None = None
    ended_s: float | None = None
    text: str = ""
    voice: str = ""
    options: str = "{}"
    interrupts: bool = False
    expected_s: float = 0.0
    gain_db: float | None = None
    idempotency_key: str | None = None
    fingerprint: str = ""
    callback_url: str = ""

    @property
    def ended(self) -> bool:
        """True once the task is done, failed or cancelled."""
        return self.state in ENDED_STATES
