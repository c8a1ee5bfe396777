"""How the studio writes to the store: in order, and never in the way of what is on air.

A full disk must not stop a task that is being said: what cannot be written now is kept in memory
and written when the disk heals.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from broadcaster.clock import wall_time_s
from broadcaster.errors import StoreError, TaskConflict, TaskNotFound
from broadcaster.metrics import FIRST_FRAME_MS, QUEUE_SECONDS, TASK_SECONDS, TASKS
from broadcaster.store import Task, TaskState, TaskStore
from broadcaster.store.task import ACTIVE_STATES, ENDED_STATES
from gpu_pool.contracts import Json

UNWRITTEN_AT_MOST = 10_000
"""Hours of journal lines; the oldest go first, later ones say the same and more."""


def begin_at_zero(channels: Iterable[str]) -> None:
    """Make the series of tasks: what appears only with its first event has no increase by it."""
    for phase in ("preparing", "buffering", "on_air"):
        TASK_SECONDS.labels(phase)
    for channel in channels:
        QUEUE_SECONDS.labels(channel)
        FIRST_FRAME_MS.labels(channel)
        for state in ENDED_STATES:
            TASKS.labels(channel, state.value)


class Books:
    """The store as the studio uses it."""

    def __init__(self, store: TaskStore, channels: Iterable[str]) -> None:
        self._store = store
        begin_at_zero(channels)
        self._unwritten: deque[Callable[[], object]] = deque(maxlen=UNWRITTEN_AT_MOST)
        self._phases: dict[str, tuple[str, float]] = {}
        self.last_error = ""

    @property
    def store(self) -> TaskStore:
        """For reading."""
        return self._store

    def take(self, channel: str) -> Task | None:
        """Take the next task, if the taking can be written down.

        Raises:
            StoreError: it cannot.
        """
        task = self._store.next_queued(channel)
        if task is None:
            return None
        try:
            taken = self._store.move(task.id, {TaskState.QUEUED}, TaskState.PREPARING)
        except TaskConflict:
            return None  # cancelled this very moment; the next pass looks again
        if task.updated_s == task.created_s:  # for the first time
            QUEUE_SECONDS.labels(channel).observe(max(0.0, wall_time_s() - task.created_s))
        self._phase(task.id, "preparing")
        return taken

    def came_before(self, task_id: str, task: Task) -> bool:
        """Whether the one was accepted before the other; True when the store does not say."""
        try:
            return self._store.get(task_id).place < task.place
        except StoreError:
            return True

    def wishes(self, task_id: str) -> Mapping[str, Json]:
        """What the task asked of the engine; nothing when the store does not say."""
        try:
            found: Mapping[str, Json] = json.loads(self._store.get(task_id).options)
        except StoreError:
            return {}
        return found

    def prepared(self, task_id: str, samples: int, gain_db: float) -> None:
        """The sound is spoken and decoded."""
        self._phase(task_id, "buffering")
        self._move(task_id, TaskState.BUFFERING, samples=samples, gain_db=gain_db)

    def on_air(self, task_id: str) -> None:
        """The first sample is out."""
        self._phase(task_id, "on_air")
        self._move(task_id, TaskState.ON_AIR)

    def off_air(self, task_id: str) -> None:
        """The playout was lost in mid-task."""
        self._phase(task_id, "buffering")
        self._move(task_id, TaskState.BUFFERING)

    def put_back(self, task_id: str) -> None:
        """Queue a task again, its progress kept."""
        self._phase(task_id, "")
        self._move(task_id, TaskState.QUEUED)

    def journal(self, task_id: str, played_samples: int) -> None:
        """Note how far a task was heard."""
        self._write(lambda: self._store.journal(task_id, played_samples))

    def end(self, task_id: str, channel: str, state: TaskState, why: str = "") -> None:
        """A task is over; ``why`` is an error for failed ones, a reason for cancelled ones."""
        self._phase(task_id, "")
        column = "error" if state is TaskState.FAILED else "reason"

        def write() -> None:
            self._store.move(task_id, ACTIVE_STATES, state, **{column: why})
            TASKS.labels(channel, state.value).inc()

        self._write(write)

    def settle(self) -> None:
        """Write what could not be written before."""
        while self._unwritten:
            write = self._unwritten[0]
            try:
                write()
            except (TaskConflict, TaskNotFound):
                pass  # it was cancelled or forgotten meanwhile
            except StoreError as error:
                self.last_error = str(error)
                return
            self._unwritten.popleft()
        self.last_error = ""

    def _move(self, task_id: str, state: TaskState, **changes: int | float | str) -> None:
        self._write(lambda: self._store.move(task_id, ACTIVE_STATES, state, **changes))

    def _write(self, write: Callable[[], object]) -> None:
        self._unwritten.append(write)
        self.settle()

    def _phase(self, task_id: str, entered: str) -> None:
        """The phase of a task ends and ``entered`` begins; empty for none."""
        now = time.monotonic()
        phase, since = self._phases.pop(task_id, ("", now))
        if phase:
            TASK_SECONDS.labels(phase).observe(now - since)
        if entered:
            self._phases[task_id] = entered, now
