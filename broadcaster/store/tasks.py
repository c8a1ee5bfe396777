"""Tasks on disk: accepting, taking, moving, journaling, forgetting.

Used by the API and by the studio at the same time, from any thread: each thread has a connection
of its own, every change is one transaction and a compare-and-set on the state.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from broadcaster.clock import wall_time_s
from broadcaster.errors import TaskConflict, TaskNotFound
from broadcaster.store.outbox import Outbox
from broadcaster.store.queue import Queue
from broadcaster.store.rows import ACTIVE, ENDED, TAKING_ORDER, insert, select, update
from broadcaster.store.schema import translated, writing
from broadcaster.store.spool import Incoming, Spool, disk_may_be_full
from broadcaster.store.task import ACTIVE_STATES, ENDED_STATES, FOLLOWERS, Task, TaskState

MAX_ENDED = 10_000
"""Ended tasks kept at most, however young: 24 h of one task every 9 s, about 3 MB."""

MAX_LISTED = 500
"""Tasks in one answer at most."""

_CHANGEABLE = frozenset({"samples", "played_samples", "error", "reason", "gain_db"})


class TaskStore(Queue):
    """The database and the spool of a station.

    Args:
        database: the SQLite file, made when missing.
        spool: where the files of tasks lie.
        queue_limit: waiting tasks at most, over all channels.
    """

    WAITING = "SELECT count(*) FROM tasks WHERE state = 'queued'"
    FULL = "tasks are waiting already"
    RETRY_AFTER_S = 10
    """A typical task has ended by then."""

    def __init__(self, database: Path, spool: Spool, queue_limit: int) -> None:
        super().__init__(database, queue_limit)
        self.spool = spool
        self.outbox = Outbox(lambda: self._connection)

    def accept(self, task: Task, incoming: Incoming) -> Task:
        """Store a task and its upload; both are on the disk when this returns.

        Returns:
            The stored task: an earlier one when its idempotency key has been here before, and then
            nothing was stored.

        Raises:
            TaskConflict: the idempotency key belongs to a request that was another.
            TaskRejected: 429, too many tasks wait.
            StoreFull: no space is left; nothing remains of the task.
            StoreError: the store is busy or unusable.
        """
        incoming.sync()
        try:
            with writing(self._connection):
                earlier = self.accepted_before(task.idempotency_key, task.fingerprint)
                if earlier is not None:
                    return earlier
                self._refuse_when_full()
                self._adopt(incoming)
                now_s = wall_time_s()
                insert(self._connection, replace(task, created_s=now_s, updated_s=now_s))
        except BaseException:
            self.spool.remove(task.id)
            raise
        return self.get(task.id)

    def accepted_before(self, key: str | None, fingerprint: str | None = None) -> Task | None:
        """The task that came with this idempotency key.

        Raises:
            TaskConflict: it came with another request than the one of this ``fingerprint``.
        """
        if not key:
            return None
        found = select(self._connection, "WHERE idempotency_key = ?", (key,))
        if not found:
            return None
        if fingerprint is not None and found[0].fingerprint != fingerprint:
            raise TaskConflict("this idempotency key was used for another request")
        return found[0]

    def get(self, task_id: str) -> Task:
        """One task.

        Raises:
            TaskNotFound: no such task, or it was forgotten.
        """
        found = select(self._connection, "WHERE id = ?", (task_id,))
        if not found:
            raise TaskNotFound("no task has this id")
        return found[0]

    def recent(self, limit: int = 100, channel: str | None = None) -> list[Task]:
        """The newest tasks first, ``limit`` (<= 500) at most."""
        where = "" if channel is None else "WHERE channel = ?"
        bound: tuple[Any, ...] = () if channel is None else (channel,)
        bounded = min(max(limit, 0), MAX_LISTED)
        clause = f"{where} ORDER BY place DESC LIMIT ?"
        return select(self._connection, clause, (*bound, bounded))

    def active(self, channel: str) -> list[Task]:
        """The tasks of a channel that have not ended, in no order."""
        return select(self._connection, "WHERE channel = ? AND ended_s IS NULL", (channel,))

    def ended_since(self, at_s: float, limit: int = 100) -> list[Task]:
        """Tasks that ended at ``at_s`` (wall time) or later, in the order of their ends."""
        clause = "WHERE ended_s >= ? ORDER BY ended_s LIMIT ?"
        return select(self._connection, clause, (at_s, limit))

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of tasks per channel and state."""
        with translated():
            rows = self._connection.execute(
                "SELECT channel, state, count(*) FROM tasks GROUP BY channel, state"
            ).fetchall()
        found: dict[str, dict[str, int]] = {}
        for channel, state, number in rows:
            found.setdefault(channel, {})[state] = number
        return found

    def oldest_queued(self) -> dict[str, float]:
        """When the oldest waiting task of each channel that has one was accepted (wall time)."""
        with translated():
            rows = self._connection.execute(
                "SELECT channel, min(created_s) FROM tasks "
                "WHERE ended_s IS NULL AND state = 'queued' GROUP BY channel"
            ).fetchall()
        return {channel: float(created_s) for channel, created_s in rows}

    def states(self, task_ids: Collection[str]) -> dict[str, TaskState]:
        """The states of some tasks; unknown ones are left out."""
        if not task_ids:
            return {}
        marks = ", ".join("?" * len(task_ids))
        found = select(self._connection, f"WHERE id IN ({marks})", tuple(task_ids))
        return {task.id: task.state for task in found}

    def next_queued(self, channel: str) -> Task | None:
        """The task to take next: one that interrupts, then highest priority, then first come."""
        clause = f"WHERE channel = ? AND state = 'queued' ORDER BY {TAKING_ORDER} LIMIT 1"
        found = select(self._connection, clause, (channel,))
        return found[0] if found else None

    def move(
        self,
        task_id: str,
        from_states: Collection[TaskState],
        to_state: TaskState,
        **changes: int | float | str,
    ) -> Task:
        """Change a task's state, if it is in one of ``from_states``, and columns with it.

        Raises:
            TaskNotFound: no such task.
            TaskConflict: the task is in another state, or the step is not a legal one.
            StoreError: nothing was written.
        """
        unknown = set(changes) - _CHANGEABLE
        if unknown:
            raise ValueError(f"columns that may not be changed: {sorted(unknown)}")
        with writing(self._connection):
            task = self.get(task_id)
            if task.state not in from_states or to_state not in FOLLOWERS[task.state]:
                raise TaskConflict(f"the task is {task.state} and cannot become {to_state}")
            now_s = wall_time_s()
            changed: dict[str, Any] = {**changes, "state": to_state, "updated_s": now_s}
            if to_state is TaskState.ON_AIR and task.started_s is None:
                changed["started_s"] = now_s
            if to_state in ENDED_STATES:
                changed["ended_s"] = now_s
            update(self._connection, task_id, changed)
        return self.get(task_id)

    def cancel(self, task_id: str, reason: str) -> Task:
        """Cancel a task that has not ended.

        Raises:
            TaskNotFound: no such task.
            TaskConflict: it has ended.
        """
        return self.move(task_id, ACTIVE_STATES, TaskState.CANCELLED, reason=reason)

    def journal(self, task_id: str, played_samples: int) -> None:
        """Note how far a task was heard; it never goes back."""
        with translated():
            self._connection.execute(
                "UPDATE tasks SET played_samples = max(played_samples, ?), updated_s = ? "
                "WHERE id = ?",
                (played_samples, wall_time_s(), task_id),
            )

    def recover(self) -> int:
        """Queue again what a dead studio held, its progress kept; returns how many tasks.

        Called by a starting studio before it takes anything.
        """
        with writing(self._connection):
            return self._connection.execute(
                "UPDATE tasks SET state = 'queued', updated_s = ? "
                "WHERE state IN ('preparing', 'buffering', 'on_air')",
                (wall_time_s(),),
            ).rowcount

    def forget_ended(self, older_than_s: float, keep: int = MAX_ENDED) -> int:
        """Forget tasks that ended more than ``older_than_s`` ago, and all but ``keep``.

        Returns:
            How many were forgotten.
        """
        with writing(self._connection):
            return self._connection.execute(
                f"DELETE FROM tasks WHERE state IN ({ENDED}) AND (ended_s < ? OR place NOT IN "  # noqa: S608 - built from our own constants
                f"(SELECT place FROM tasks WHERE state IN ({ENDED}) "
                "ORDER BY place DESC LIMIT ?))",
                (wall_time_s() - older_than_s, keep),
            ).rowcount

    def clear_ended(self) -> int:
        """Delete the files of tasks that have ended; returns how many tasks."""
        with translated():
            rows = self._connection.execute(
                f"SELECT id FROM tasks WHERE spooled = 1 AND state IN ({ENDED})"  # noqa: S608 - our own constants
            ).fetchall()
        for (task_id,) in rows:
            # Files first: a crash or a full disk in between leaves a row that is cleared again.
            self.spool.remove(task_id)
            with translated():
                self._connection.execute("UPDATE tasks SET spooled = 0 WHERE id = ?", (task_id,))
        return len(rows)

    def sweep(self) -> tuple[int, int]:
        """Bring files and rows together after a crash.

        Folders without a task are deleted, and what was half made in the others; active tasks
        without files fail. Accepting waits meanwhile, so an upload that is just being accepted is
        safe. Called before anything is prepared.

        Returns:
            Folders deleted, tasks failed.
        """
        with writing(self._connection):
            folders = self.spool.task_ids()
            active = select(self._connection, f"WHERE state IN ({ACTIVE})")
            known = {task.id for task in active}
            now_s = wall_time_s()
            lost = [task.id for task in active if not self.spool.upload(task.id).is_file()]
            for task_id in lost:
                error = "the uploaded file is gone"
                ended = {"state": TaskState.FAILED, "error": error, "ended_s": now_s}
                update(self._connection, task_id, {**ended, "updated_s": now_s})
            for task_id in folders - known:
                self.spool.remove(task_id)
            for task_id in folders & known:
                self.spool.tidy(task_id)
        return len(folders - known), len(lost)

    def _adopt(self, incoming: Incoming) -> None:
        with disk_may_be_full("the upload"):
            self.spool.adopt(incoming)
