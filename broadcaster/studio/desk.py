"""What the studio holds on every channel, and what the playout's events do to it.

No waiting and no decoding here: an event changes a lane and is written into the books.
"""

from __future__ import annotations

import contextlib
import logging

from broadcaster.clock import Clock
from broadcaster.condition import Condition
from broadcaster.errors import StoreError, TaskNotFound
from broadcaster.formats import TASK_ENDINGS
from broadcaster.store import TaskState
from broadcaster.studio.books import Books
from broadcaster.studio.lane import Held, Lane, Step, lane_state
from broadcaster.studio.playout_link import Event, PlayoutLink, parse_event
from broadcaster.wire import Message

_log = logging.getLogger(__name__)


class Desk:
    """Lanes and conditions of all channels."""

    def __init__(
        self, channels: tuple[str, ...], books: Books, link: PlayoutLink, clock: Clock
    ) -> None:
        self._books, self._link, self._clock = books, link, clock
        now = clock.now()
        self.lanes = {name: Lane(name) for name in channels}
        self.conditions = {n: Condition(f"studio/{n}", "waiting", "", now) for n in channels}
        self.untidy = True
        """True when a task has ended and its files wait to be deleted."""

    def playout_lost(self) -> None:
        """Everything that the playout had must be handed over again."""
        for name, lane in self.lanes.items():
            for held in lane.held:
                if held.step is Step.ON_AIR:
                    self._books.off_air(held.task_id)
            self.lanes[name] = lane.unsent()

    def reconcile(self, channel: Message) -> None:
        """Compare what the playout says it plays with what the studio believes."""
        name = channel["name"]
        for ended in channel.get("ended", []):
            event = parse_event({**ended, "channel": name})
            if event is not None:
                self.on_event(event)
        task_id = channel.get("task_id")
        if not task_id:
            return
        event = Event("progress", name, task_id, int(channel.get("played_samples") or 0), "")
        if channel.get("source") == "task":
            self.on_event(event)
        elif self.lanes[name].find(task_id) is None:
            self._adopt(event)  # taken, but not begun: ``started`` will come

    def on_event(self, event: Event) -> None:
        """Something happened to a task."""
        lane = self.lanes.get(event.channel)
        if lane is None or not event.task_id:
            return
        held = lane.find(event.task_id)
        if event.kind in {"started", "progress"}:
            if held is None and not self._adopt(event):
                return
            self._heard(event, held)
        elif event.kind in TASK_ENDINGS and (held is not None or self._is_active(event.task_id)):
            self._over(event)

    def _adopt(self, event: Event) -> bool:
        """The playout says a task that the studio does not hold: it is from an earlier life."""
        try:
            task = self._books.store.get(event.task_id)
        except TaskNotFound:
            return False  # not from this store: none of our business
        except StoreError:
            return False  # the next progress event comes in a second
        if task.ended:
            self._link.interrupt(event.channel, event.task_id)
            return False
        lane = self.lanes[event.channel]
        held = Held(task.id, Step.SENT, task.samples, task.played_samples)
        self.lanes[event.channel] = lane.adopted(held)
        return True

    def _heard(self, event: Event, before: Held | None) -> None:
        lane = self.lanes[event.channel].heard(event.task_id, event.played_samples)
        self.lanes[event.channel] = lane
        if before is None or before.step is not Step.ON_AIR:
            self._books.on_air(event.task_id)
        if event.kind == "progress":
            self._books.journal(event.task_id, event.played_samples)

    def _over(self, event: Event) -> None:
        if event.played_samples:
            self._books.journal(event.task_id, event.played_samples)
        if event.kind == "done":
            self.end(event.channel, event.task_id, TaskState.DONE)
        elif event.kind == "interrupted":
            self.end(event.channel, event.task_id, TaskState.CANCELLED, "interrupted")
        else:
            why = event.error or "the playout could not play it"
            self.end(event.channel, event.task_id, TaskState.FAILED, why)

    def _is_active(self, task_id: str) -> bool:
        with contextlib.suppress(StoreError):
            return not self._books.store.get(task_id).ended
        return False

    def end(self, name: str, task_id: str, state: TaskState, why: str = "") -> None:
        """A task is over: out of its lane, into the books."""
        self.lanes[name] = self.lanes[name].dropped(task_id)
        self._books.end(task_id, name, state, why)
        self.untidy = True
        if state is TaskState.FAILED:
            self.note(name, why)
            _log.warning("task %s failed: %s", task_id, why)

    def note(self, name: str, error: str) -> None:
        """Keep an error for ``/status``."""
        condition = self.conditions[name]
        self.conditions[name] = condition.entered(condition.state, self._clock.now(), error)

    def refresh_conditions(self) -> tuple[Condition, ...]:
        """The conditions as they are now."""
        now = self._clock.now()
        for name, lane in self.lanes.items():
            state = lane_state(lane, self._link.connected)
            error = self._books.last_error or None
            self.conditions[name] = self.conditions[name].entered(state, now, error)
        return tuple(self.conditions.values())
