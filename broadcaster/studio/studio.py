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
from pathlib import Path

from broadcaster.avatars.making import making_settings
from broadcaster.avatars.shelf import Shelf
from broadcaster.clock import Clock, wall_time_s
from broadcaster.errors import StoreError, TaskNotFound
from broadcaster.formats import TASK_ENDINGS
from broadcaster.metrics import FIRST_FRAME_MS
from broadcaster.paths import StatePaths
from broadcaster.settings.model import SettingsModel
from broadcaster.speech.decoder import decode_settings
from broadcaster.speech.sound_files import SoundFiles
from broadcaster.store import (
    ENDED_STATES,
    ChannelAvatars,
    Spool,
    Task,
    TaskState,
    TaskStore,
)
from broadcaster.store.avatars import AvatarJournal
from broadcaster.studio.avatar_maker import AvatarMaker
from broadcaster.studio.books import Books
from broadcaster.studio.casting import Casting, first_cast
from broadcaster.studio.desk import Desk
from broadcaster.studio.doorbell import Doorbell
from broadcaster.studio.lane import Held, Step
from broadcaster.studio.playout_link import Event, PlayoutLink
from broadcaster.studio.preparation import Preparation, Prepared, Preparer
from broadcaster.studio.report import Report
from broadcaster.studio.stage import Readiness, Stage
from broadcaster.wire import Message

POLL_S = 1.0
"""Fallback for a lost ring; the only wake-up of an idle studio."""

FULL_DISK_RETRY_S = 2.0
HOUSEKEEPING_S = 60.0


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Later:
    at: float
    work: Preparation


class Studio:
    """Everything of one station's studio; ``close`` releases sockets and files."""

    def __init__(self, settings: SettingsModel, paths: StatePaths, clock: Clock) -> None:
        self._clock = clock
        # First: its workers load while the rest is opened, and the task on air waits for them.
        avatars = ChannelAvatars(paths.database)
        cast = first_cast(settings, avatars)
        self._stage = Stage(settings, self._ask_playout, clock.now, cast)
        self._rates = {c.name: c.audio.sample_rate for c in settings.channels}
        self._fps = {c.name: c.video.fps for c in settings.channels}
        self._history_s = settings.api.history_hours * 3600
        store = TaskStore(paths.database, Spool(paths.spool), settings.api.queue_limit)
        self._books = Books(store, self._rates)
        self._link = PlayoutLink(paths.playout_socket)
        self._bell = Doorbell(paths.doorbell)
        self._preparer = Preparer(decode_settings(settings))
        self._report = Report(paths.run)
        self._desk = Desk(tuple(self._rates), self._books, self._link, clock)
        self._casting = Casting(
            settings, cast, avatars, self._stage.wardrobe, self._ask_playout, clock.now
        )
        journal = AvatarJournal(paths.database, settings.avatars.queue_limit)
        self._avatars = AvatarMaker(journal, Shelf(paths.avatars), making_settings(settings))
        self._plain: set[str] = set()
        """Tasks that the playout says without pictures."""
        self._watched: socket.socket | None = None
        self._later: list[_Later] = []
        self._housekeeping_at = clock.now()
        self._polled_at = float("-inf")
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._selector.register(self._preparer, selectors.EVENT_READ)
        self._selector.register(self._stage, selectors.EVENT_READ)

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
        self._avatars.recover()
        self._avatars.start()

    def run_once(self) -> None:
        """Wait for something to happen, then bring everything forward."""
        self._selector.select(self._wait_s())
        if self._bell.clear():
            self._avatars.wake()
        self._follow_playout()
        for prepared in self._preparer.take():
            self._on_prepared(prepared)
        self._books.settle()
        self._stage.bring_forward()
        self._casting.bring_forward()
        with contextlib.suppress(StoreError):
            self._advance()
        self._keep_house()
        conditions = self._desk.refresh_conditions()
        shown, making = self._casting.conditions(), self._avatars.condition()
        self._report.write((*conditions, making, *shown, *self._stage.conditions()))

    def close(self) -> None:
        """Release everything; running preparations end with the process."""
        self._selector.close()
        self._link.close()
        self._bell.close()
        self._preparer.close()
        self._avatars.close()
        self._stage.close()
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

    def _on_event(self, event: Event) -> None:
        if event.kind == "avatar":
            self._casting.on_event(event)
        if event.refs:
            self._stage.on_released(event.refs, event.ring)
        if event.tick is not None:
            self._stage.on_place(event.task_id, event.index, event.tick)
        if event.kind in TASK_ENDINGS:
            self._forget_pictures(event.task_id)
        if event.kind == "started":
            self._note_first_picture(event)
        self._desk.on_event(event)

    def _note_first_picture(self, event: Event) -> None:
        with contextlib.suppress(StoreError, TaskNotFound):
            task = self._books.store.get(event.task_id)
            if task.started_s is None:
                waited_ms = (wall_time_s() - task.created_s) * 1000
                FIRST_FRAME_MS.labels(event.channel).observe(max(0.0, waited_ms))

    def _forget_pictures(self, task_id: str) -> None:
        self._stage.end(task_id)
        self._plain.discard(task_id)

    def _ask_playout(self, message: Message) -> Message | None:
        """Tell or ask the playout; one that does not answer is lost, and told all anew."""
        if not self._link.connected:
            return None
        try:
            return self._link.request(message)
        except OSError as error:
            self._lose_playout(str(error))
            return None

    def _connect(self, now: float) -> None:
        self._watched = self._link.subscribe(now)
        self._selector.register(self._watched, selectors.EVENT_READ)
        status = self._link.request({"op": "status"})
        for channel in status.get("channels", []):
            if channel.get("name") in self._desk.lanes:
                self._desk.reconcile(channel)
        self._casting.on_connected(status)

    def _lose_playout(self, why: str) -> None:
        if self._link.connected:
            _log.warning("the playout is gone: %s", why)
        self._forget_link()
        self._stage.playout_lost()
        self._plain.clear()
        self._desk.playout_lost()

    def _forget_link(self) -> None:
        if self._watched is not None:
            self._selector.unregister(self._watched)
            self._watched = None
        self._link.close()

    # --- the store's side ----------------------------------------------------------------------

    def _advance(self) -> None:
        self._polled_at = self._clock.now()
        due = [later for later in self._later if later.at <= self._polled_at]
        self._later = [later for later in self._later if later not in due]
        for later in due:
            self._preparer.start(later.work)
        self._drop_cancelled()
        self._casting.look()
        for name in self._desk.lanes:
            self._take(name)
            if self._link.connected:
                self._render_adopted(name)
                self._send(name)

    def _drop_cancelled(self) -> None:
        held = {h.task_id: (name, h) for name, lane in self._desk.lanes.items() for h in lane.held}
        for task_id, state in self._books.store.states(held).items():
            if state not in ENDED_STATES:
                continue
            name, dropped = held[task_id]
            self._desk.lanes[name] = self._desk.lanes[name].dropped(task_id)
            self._forget_pictures(task_id)
            if dropped.step in {Step.SENT, Step.ON_AIR}:
                self._link.interrupt(name, task_id)
            self._desk.untidy = True

    def _take(self, name: str) -> None:
        if not self._desk.lanes[name].wants_task() and not self._urged(name):
            return
        task = self._books.take(name)
        if task is None:
            return
        held = Held(task.id, Step.PREPARING, task.samples, task.played_samples)
        self._desk.lanes[name] = self._desk.lanes[name].added(held)
        self._preparer.start(self._preparation(task))
        if task.interrupts:
            self._make_way(name, task)

    def _urged(self, name: str) -> bool:
        """Whether a task waits that may not wait: it interrupts, and everything held is older."""
        task = self._books.store.next_queued(name)
        if task is None or not task.interrupts:
            return False
        held = self._desk.lanes[name].held
        return all(self._books.came_before(each.task_id, task) for each in held)

    def _make_way(self, name: str, task: Task) -> None:
        """A task that interrupts is taken: what is on air ends, what waits goes back behind it.

        Newer ones stay: they had interrupted this one, or it comes from an earlier life.
        """
        # From behind: what waits would begin as soon as what is on air ends.
        for held in reversed(self._desk.lanes[name].held):
            if not self._books.came_before(held.task_id, task):
                continue
            begun = held.step is Step.ON_AIR
            if held.step is Step.SENT:
                begun = not self._link.withdraw(name, held.task_id)
            if not begun:
                self._desk.lanes[name] = self._desk.lanes[name].dropped(held.task_id)
                self._forget_pictures(held.task_id)
                self._books.put_back(held.task_id)
            else:
                self._link.interrupt(name, held.task_id)

    def _preparation(self, task: Task) -> Preparation:
        spool = self._books.store.spool
        # A sound decoded for another rate (settings were changed) is decoded again.
        rate = self._rates[task.channel]
        samples = task.samples if task.sample_rate == rate else 0
        return Preparation(
            task.channel,
            task.id,
            spool.upload(task.id),
            SoundFiles(spool.sound(task.id), spool.sound_16k(task.id)),
            spool.phonemes(task.id),
            rate,
            task.text,
            task.voice,
            samples,
            task.gain_db,
            spool.mouths(task.id) if self._stage.renders(task.channel) else None,
            self._fps[task.channel],
        )

    def _on_prepared(self, prepared: Prepared) -> None:
        lane = self._desk.lanes[prepared.channel]
        held = lane.find(prepared.task_id)
        if held is None:
            return  # cancelled meanwhile
        if prepared.full:
            self._desk.note(prepared.channel, prepared.error)
            with contextlib.suppress(StoreError):
                work = self._preparation(self._books.store.get(prepared.task_id))
                self._later.append(_Later(self._clock.now() + FULL_DISK_RETRY_S, work))
        elif prepared.error:
            self._desk.end(prepared.channel, prepared.task_id, TaskState.FAILED, prepared.error)
        else:
            self._desk.lanes[prepared.channel] = lane.prepared(prepared.task_id, prepared.samples)
            self._books.prepared(prepared.task_id, prepared.samples, prepared.gain_db)
            if held.step is Step.ON_AIR:
                self._books.on_air(prepared.task_id)

    def _send(self, name: str) -> None:
        while (held := self._desk.lanes[name].to_send()) is not None:
            if held.hopeless:
                why = "the playout ended each time it played this task"
                self._desk.end(name, held.task_id, TaskState.FAILED, why)
            elif held.samples == 0:
                # Found on air without its length in the store (full disk): prepare it again.
                self._desk.lanes[name] = self._desk.lanes[name].dropped(held.task_id)
                self._books.put_back(held.task_id)
            elif held.played_samples >= held.samples:
                self._desk.end(name, held.task_id, TaskState.DONE)
            elif not self._play(name, held):
                return

    def _play(self, name: str, held: Held) -> bool:
        pictures = self._stage.readiness(name)
        if pictures is Readiness.WAIT or not self._casting.may_send(name):
            return False
        spool = self._books.store.spool
        order: Message = {
            "op": "play",
            "channel": name,
            "task_id": held.task_id,
            "pcm": str(spool.sound(held.task_id).absolute()),
            "samples": held.samples,
            "from_sample": held.played_samples,
            "held_only": held.step is not Step.READY,
        }
        sound_16k = spool.sound_16k(held.task_id)
        if pictures is Readiness.READY and sound_16k.exists():
            order |= self._stage.order(name, held.samples - held.played_samples)
        try:
            answer = self._link.request(order)
        except OSError as error:
            self._lose_playout(str(error))
            return False
        if answer.get("ok"):
            self._taken(name, held, answer, sound_16k)
            return True
        why = str(answer.get("error") or "refused without a reason")
        if why not in {"busy", "gone"}:  # gone: it has ended just now, and that is on its way
            self._desk.end(name, held.task_id, TaskState.FAILED, f"the playout refused it: {why}")
        return False

    def _taken(self, name: str, held: Held, answer: Message, sound_16k: Path) -> None:
        if held.step is Step.READY:
            self._desk.lanes[name] = self._desk.lanes[name].sent(held.task_id)
        if "tick" in answer:
            mouths = self._books.store.spool.mouths(held.task_id)
            wishes = self._books.wishes(held.task_id)
            self._stage.begin(name, held.task_id, answer, sound_16k, mouths, wishes)
        else:
            self._plain.add(held.task_id)

    def _render_adopted(self, name: str) -> None:
        """Tasks of an earlier studio's life: its pictures end somewhere, go on from there."""
        for held in self._desk.lanes[name].held:
            known = self._stage.holds(held.task_id) or held.task_id in self._plain
            if held.step in {Step.SENT, Step.ON_AIR} and held.samples and not known:
                self._play(name, held)

    def _keep_house(self) -> None:
        now = self._clock.now()
        if now < self._housekeeping_at and not self._desk.untidy:
            return
        self._desk.untidy = False
        self._housekeeping_at = now + HOUSEKEEPING_S
        with contextlib.suppress(StoreError):
            self._books.store.clear_ended()
            self._books.store.forget_ended(self._history_s)
