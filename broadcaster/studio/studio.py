"""The studio's loop: store to playout, one lane per channel, events back into the store.

One thread owns everything here; only decoding runs beside it. The loop sleeps in a selector and
wakes for the doorbell, the playout's events, finished preparations, and once a second.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
from dataclasses import dataclass

from broadcaster.clock import Clock
from broadcaster.condition import Condition
from broadcaster.errors import StoreError, TaskNotFound
from broadcaster.paths import StatePaths
from broadcaster.settings.model import SettingsModel
from broadcaster.speech.decode import DecodeSettings
from broadcaster.store import ENDED_STATES, Spool, Task, TaskState, TaskStore
from broadcaster.studio.books import Books
from broadcaster.studio.doorbell import Doorbell
from broadcaster.studio.lane import Held, Lane, Step, lane_state
from broadcaster.studio.playout_link import Event, PlayoutLink, parse_event
from broadcaster.studio.preparation import Preparation, Prepared, Preparer
from broadcaster.studio.report import Report
from broadcaster.wire import Message

POLL_S = 1.0
"""Fallback for a lost ring; the only wake-up of an idle studio."""

FULL_DISK_RETRY_S = 2.0
HOUSEKEEPING_S = 60.0
ENDINGS = frozenset({"done", "interrupted", "failed"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Later:
    at: float
    work: Preparation


class Studio:
    """Everything of one station's studio; ``close`` releases sockets and files."""

    def __init__(self, settings: SettingsModel, paths: StatePaths, clock: Clock) -> None:
        self._clock = clock
        self._rates = {c.name: c.audio.sample_rate for c in settings.channels}
        self._history_s = settings.api.history_hours * 3600
        store = TaskStore(paths.database, Spool(paths.spool), settings.api.queue_limit)
        self._books = Books(store)
        self._link = PlayoutLink(paths.playout_socket)
        self._bell = Doorbell(paths.doorbell)
        self._preparer = Preparer(decode_settings(settings))
        self._report = Report(paths.run)
        self._lanes = {name: Lane(name) for name in self._rates}
        now = clock.now()
        self._conditions = {n: Condition(f"studio/{n}", "waiting", "", now) for n in self._rates}
        self._watched: socket.socket | None = None
        self._later: list[_Later] = []
        self._housekeeping_at = now
        self._polled_at = float("-inf")
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._selector.register(self._preparer, selectors.EVENT_READ)

    def recover(self) -> None:
        """Take up what an earlier studio left; called once, before the loop.

        Raises:
            StoreError: the store cannot be used.
        """
        recovered = self._books.store.recover()
        folders, lost = self._books.store.sweep()
        if recovered or folders or lost:
            _log.info(
                "%d tasks taken up again, %d orphaned folders deleted, %d tasks without files",
                recovered, folders, lost,
            )  # fmt: skip

    def run_once(self) -> None:
        """Wait for something to happen, then bring everything forward."""
        self._selector.select(self._wait_s())
        self._bell.clear()
        self._follow_playout()
        for prepared in self._preparer.take():
            self._on_prepared(prepared)
        self._books.settle()
        with contextlib.suppress(StoreError):
            self._advance()
        self._keep_house()
        self._tell()

    def close(self) -> None:
        """Release everything; running preparations end with the process."""
        self._selector.close()
        self._link.close()
        self._bell.close()
        self._preparer.close()
        self._books.store.close()

    # --- waiting -------------------------------------------------------------------------------

    def _wait_s(self) -> float:
        now = self._clock.now()
        waits = [self._polled_at + POLL_S - now, *(later.at - now for later in self._later)]
        if not self._link.connected:
            waits.append(self._link.retry_in(now))
        return max(0.0, min(waits))

    # --- the playout's side --------------------------------------------------------------------

    def _follow_playout(self) -> None:
        now = self._clock.now()
        try:
            if not self._link.connected and self._link.retry_in(now) <= 0:
                self._connect(now)
            for event in self._link.receive():
                self._on_event(event)
        except OSError as error:
            self._lose_playout(str(error))

    def _connect(self, now: float) -> None:
        self._watched = self._link.subscribe(now)
        self._selector.register(self._watched, selectors.EVENT_READ)
        status = self._link.request({"op": "status"})
        for channel in status.get("channels", []):
            if channel.get("name") in self._lanes:
                self._reconcile(channel)

    def _lose_playout(self, why: str) -> None:
        was_connected = self._link.connected
        self._forget_link()
        if was_connected:
            _log.warning("the playout is gone: %s", why)
        for name, lane in self._lanes.items():
            for held in lane.held:
                if held.step is Step.ON_AIR:
                    self._books.off_air(held.task_id)
            self._lanes[name] = lane.unsent()

    def _forget_link(self) -> None:
        if self._watched is not None:
            self._selector.unregister(self._watched)
            self._watched = None
        self._link.close()

    def _reconcile(self, channel: Message) -> None:
        """Compare what the playout says it plays with what the studio believes."""
        name = channel["name"]
        for ended in channel.get("ended", []):
            event = parse_event({**ended, "channel": name})
            if event is not None:
                self._on_event(event)
        task_id = channel.get("task_id")
        if not task_id:
            return
        event = Event("progress", name, task_id, int(channel.get("played_samples") or 0), "")
        if channel.get("source") == "task":
            self._on_event(event)
        elif self._lanes[name].find(task_id) is None:
            self._adopt(event)  # taken, but not begun: ``started`` will come

    def _on_event(self, event: Event) -> None:
        lane = self._lanes.get(event.channel)
        if lane is None or not event.task_id:
            return
        held = lane.find(event.task_id)
        if event.kind in {"started", "progress"}:
            if held is None and not self._adopt(event):
                return
            self._heard(event, held)
        elif event.kind in ENDINGS and (held is not None or self._is_active(event.task_id)):
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
        lane = self._lanes[event.channel]
        held = Held(task.id, Step.SENT, task.samples, task.played_samples)
        self._lanes[event.channel] = lane.adopted(held)
        return True

    def _heard(self, event: Event, before: Held | None) -> None:
        lane = self._lanes[event.channel].heard(event.task_id, event.played_samples)
        self._lanes[event.channel] = lane
        if before is None or before.step is not Step.ON_AIR:
            self._books.on_air(event.task_id)
        if event.kind == "progress":
            self._books.journal(event.task_id, event.played_samples)

    def _over(self, event: Event) -> None:
        if event.played_samples:
            self._books.journal(event.task_id, event.played_samples)
        if event.kind == "done":
            self._end(event.channel, event.task_id, TaskState.DONE)
        elif event.kind == "interrupted":
            self._end(event.channel, event.task_id, TaskState.CANCELLED, "interrupted")
        else:
            why = event.error or "the playout could not play it"
            self._end(event.channel, event.task_id, TaskState.FAILED, why)

    def _is_active(self, task_id: str) -> bool:
        with contextlib.suppress(StoreError):
            return not self._books.store.get(task_id).ended
        return False

    # --- the store's side ----------------------------------------------------------------------

    def _advance(self) -> None:
        self._polled_at = self._clock.now()
        due = [later for later in self._later if later.at <= self._polled_at]
        self._later = [later for later in self._later if later not in due]
        for later in due:
            self._preparer.start(later.work)
        self._drop_cancelled()
        for name in self._lanes:
            self._take(name)
            if self._link.connected:
                self._send(name)

    def _drop_cancelled(self) -> None:
        held = {h.task_id: (name, h) for name, lane in self._lanes.items() for h in lane.held}
        for task_id, state in self._books.store.states(held).items():
            if state not in ENDED_STATES:
                continue
            name, dropped = held[task_id]
            self._lanes[name] = self._lanes[name].dropped(task_id)
            if dropped.step in {Step.SENT, Step.ON_AIR}:
                self._link.interrupt(name, task_id)
            self._housekeeping_at = self._clock.now()

    def _take(self, name: str) -> None:
        if not self._lanes[name].wants_task():
            return
        task = self._books.take(name)
        if task is None:
            return
        held = Held(task.id, Step.PREPARING, task.samples, task.played_samples)
        self._lanes[name] = self._lanes[name].added(held)
        self._preparer.start(self._preparation(task))

    def _preparation(self, task: Task) -> Preparation:
        spool = self._books.store.spool
        # A sound decoded for another rate (settings were changed) is decoded again.
        rate = self._rates[task.channel]
        samples = task.samples if task.sample_rate == rate else 0
        upload, sound = spool.upload(task.id), spool.sound(task.id)
        return Preparation(task.channel, task.id, upload, sound, rate, samples)

    def _on_prepared(self, prepared: Prepared) -> None:
        lane = self._lanes[prepared.channel]
        if lane.find(prepared.task_id) is None:
            return  # cancelled meanwhile
        if prepared.full:
            self._note(prepared.channel, prepared.error)
            with contextlib.suppress(StoreError):
                work = self._preparation(self._books.store.get(prepared.task_id))
                self._later.append(_Later(self._clock.now() + FULL_DISK_RETRY_S, work))
        elif prepared.error:
            self._end(prepared.channel, prepared.task_id, TaskState.FAILED, prepared.error)
        else:
            self._lanes[prepared.channel] = lane.prepared(prepared.task_id, prepared.samples)
            self._books.prepared(prepared.task_id, prepared.samples)

    def _send(self, name: str) -> None:
        while (held := self._lanes[name].to_send()) is not None:
            if held.hopeless:
                why = "the playout ended each time it played this task"
                self._end(name, held.task_id, TaskState.FAILED, why)
            elif held.played_samples >= held.samples:
                self._end(name, held.task_id, TaskState.DONE)
            elif not self._play(name, held):
                return

    def _play(self, name: str, held: Held) -> bool:
        request = {
            "op": "play",
            "channel": name,
            "task_id": held.task_id,
            "pcm": str(self._books.store.spool.sound(held.task_id).absolute()),
            "samples": held.samples,
            "from_sample": held.played_samples,
        }
        try:
            answer = self._link.request(request)
        except OSError as error:
            self._lose_playout(str(error))
            return False
        if answer.get("ok"):
            self._lanes[name] = self._lanes[name].sent(held.task_id)
            return True
        why = str(answer.get("error") or "refused without a reason")
        if why != "busy":
            self._end(name, held.task_id, TaskState.FAILED, f"the playout refused it: {why}")
        return False

    # --- both ----------------------------------------------------------------------------------

    def _end(self, name: str, task_id: str, state: TaskState, why: str = "") -> None:
        self._lanes[name] = self._lanes[name].dropped(task_id)
        self._books.end(task_id, name, state, why)
        self._housekeeping_at = self._clock.now()
        if state is TaskState.FAILED:
            self._note(name, why)
            _log.warning("task %s failed: %s", task_id, why)

    def _note(self, name: str, error: str) -> None:
        condition = self._conditions[name]
        self._conditions[name] = condition.entered(condition.state, self._clock.now(), error)

    def _keep_house(self) -> None:
        now = self._clock.now()
        if now < self._housekeeping_at:
            return
        self._housekeeping_at = now + HOUSEKEEPING_S
        with contextlib.suppress(StoreError):
            self._books.store.clear_ended()
            self._books.store.forget_ended(self._history_s)

    def _tell(self) -> None:
        now = self._clock.now()
        for name, lane in self._lanes.items():
            state = lane_state(lane, self._link.connected)
            error = self._books.last_error or None
            self._conditions[name] = self._conditions[name].entered(state, now, error)
        self._report.write(tuple(self._conditions.values()))


def decode_settings(settings: SettingsModel) -> DecodeSettings:
    """The limits of the decoding child, from the station's settings."""
    return DecodeSettings(
        ffmpeg=settings.push.ffmpeg,
        memory_mb=settings.speech.decode_memory_mb,
        timeout_s=settings.speech.decode_timeout_s,
        max_sound_s=settings.api.max_sound_s,
    )
