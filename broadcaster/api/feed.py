"""What happened on air, gathered once and handed to every listener of ``/events``.

One thread holds one subscription at the playout, whose events come as a tick is sent. What the
playout does not tell (a task that failed before it got there, an end during a restart) is read
from the store. A listener that does not keep up is let go; nothing here can be felt on air.
"""

from __future__ import annotations

import contextlib
import json
import math
import queue
import socket
import threading
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from broadcaster.api.problems import Refusal
from broadcaster.clock import wall_time_iso, wall_time_s
from broadcaster.errors import StoreError
from broadcaster.store import ChannelAvatar, ChannelAvatars, Task, TaskState, TaskStore, WishState
from broadcaster.store.avatars import AvatarJournal, AvatarState
from broadcaster.wire import LineReader, Message, connect, encode

POLL_S = 0.5
"""How often the store is looked at, and how soon a playout that is back is found."""

GRACE_S = 1.0
"""A task that ended in the store so long ago without a word of the playout is told from there."""

REMEMBERED = 500
"""Events kept for listeners that come back and say where they were."""

WAITING_AT_MOST = 100
"""Events that a listener may be behind."""

BUSY_RETRY_S = 5

_KINDS: Mapping[str, str] = {
    "started": "started",
    "done": "finished",
    "interrupted": "interrupted",
    "failed": "failed",
}
_STATES: Mapping[TaskState, str] = {
    TaskState.DONE: "finished",
    TaskState.FAILED: "failed",
    TaskState.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class Told:
    """One event as it is sent; ``number`` counts from the start of this process.

    ``channel`` is empty for what concerns the whole station.
    """

    number: int
    channel: str
    text: bytes


@dataclass(eq=False, slots=True)
class Listener:
    """Somebody who listens, to one channel or (empty) to all; None in the queue ends it."""

    channel: str
    waiting: queue.Queue[Told | None] = field(
        default_factory=lambda: queue.Queue(WAITING_AT_MOST + 1)
    )


class EventFeed:
    """Started by the first listener, then runs as long as the process.

    Args:
        playout: its control socket.
        store: of the station.
        avatars: what became of wishes for another avatar.
        sample_rates: channel to Hz.
        most: listeners at once.
        made: what became of avatars that were to be made.
    """

    def __init__(
        self,
        playout: Path,
        store: TaskStore,
        avatars: ChannelAvatars,
        sample_rates: Mapping[str, int],
        most: int,
        made: AvatarJournal,
    ) -> None:
        self._avatars = avatars
        self._avatars_told: dict[str, ChannelAvatar] | None = None
        self._playout, self._store, self._most = playout, store, most
        self._made = made
        self._rates = sample_rates
        self._boot = uuid.uuid4().hex[:8]
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._told: deque[Told] = deque(maxlen=REMEMBERED)
        self._begun: deque[str] = deque(maxlen=REMEMBERED)
        self._ended: deque[str] = deque(maxlen=REMEMBERED)
        self._number = 0
        self._since_s = self._avatars_since_s = wall_time_s()
        self._thread: threading.Thread | None = None
        self.leaving = False
        """Set when the process is about to end: every stream then ends within half a second."""

    def join(self, channel: str, last_id: str) -> Listener:
        """Take a listener, who first gets what came after ``last_id``.

        Raises:
            Refusal: 503, there are too many.
        """
        listener = Listener(channel)
        with self._lock:
            if len(self._listeners) >= self._most:
                raise Refusal(503, "Too many are listening to events.", BUSY_RETRY_S)
            for told in [told for told in self._told if told.number > self._last(last_id)]:
                _hand(listener, told)
            self._listeners.append(listener)
            if self._thread is None:
                self._since_s = self._avatars_since_s = wall_time_s()
                with contextlib.suppress(StoreError):  # then the first look finds out
                    self._avatars_told = self._avatars.all()
                self._thread = threading.Thread(target=self._run, name="events", daemon=True)
                self._thread.start()
        return listener

    def leave(self, listener: Listener) -> None:
        """Let a listener go; harmless when it is gone."""
        with self._lock, contextlib.suppress(ValueError):
            self._listeners.remove(listener)

    def _last(self, last_id: str) -> int:
        boot, _, number = last_id.partition("-")
        known = boot == self._boot and number.isascii() and number.isdigit()
        return int(number[:18]) if known else self._number

    # --- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        waiting = threading.Event()
        while not self.leaving:
            with contextlib.suppress(OSError, ValueError, RecursionError):
                self._follow()
            self._look_into_store()
            self._look_for_avatars()
            waiting.wait(POLL_S)

    def _follow(self) -> None:
        """Pass on what the playout tells, until it goes away."""
        with connect(self._playout, POLL_S) as subscription:
            subscription.sendall(encode({"op": "subscribe"}))
            reader = LineReader()
            while not self.leaving:
                try:
                    data = subscription.recv(65536)
                except TimeoutError:
                    data = None
                if data == b"":
                    return
                for message in reader.feed(data) if data else []:
                    self._on_message(message)
                self._look_into_store()
                self._look_for_avatars()

    def _on_message(self, message: Message) -> None:
        kind = _KINDS.get(str(message.get("event")))
        task_id, channel = str(message.get("task_id") or ""), str(message.get("channel") or "")
        if kind is None or not task_id or channel not in self._rates:
            return
        played = int(message.get("played_samples") or 0)
        if kind == "interrupted" and not played and task_id not in self._begun:
            return  # it was cancelled before it began: the store knows why
        if kind == "started":
            self._begun.append(task_id)
        if kind == "started" and played > 0:
            kind = "resumed"  # it goes on after a restart: nobody shall count it twice
        if kind not in {"started", "resumed"}:
            self._ended.append(task_id)
        reason = message.get("error") or (kind if kind == "interrupted" else None)
        self._tell(
            kind,
            channel,
            {
                "task_id": task_id,
                "tick": message.get("at_tick"),
                "played_s": round(played / self._rates[channel], 3),
                "reason": reason,
            },
        )

    def _look_into_store(self) -> None:
        """Tell the ends that the playout has not told."""
        with contextlib.suppress(StoreError):
            latest_s = wall_time_s() - GRACE_S
            for task in self._store.ended_since(self._since_s):
                if task.ended_s is None or task.ended_s > latest_s:
                    break
                self._since_s = task.ended_s
                if task.id not in self._ended:
                    self._ended.append(task.id)
                    self._tell(_STATES[task.state], task.channel, _from_store(task))
            self._look_at_avatars()

    def _look_at_avatars(self) -> None:
        """Tell that another avatar is on air, or could not be."""
        records, first = self._avatars.all(), self._avatars_told is None
        told, self._avatars_told = self._avatars_told or {}, records
        for name, record in records.items():
            before = told.get(name, ChannelAvatar(name))
            if first or name not in self._rates:
                continue
            if record.on_air != before.on_air:
                end = {"avatar": record.on_air, "state": "on_air", "reason": None}
                self._tell("avatar", name, end)
            failed = record.state is WishState.FAILED
            if failed and (before.number, before.state) != (record.number, record.state):
                end = {"avatar": record.wished, "state": "failed", "reason": record.error}
                self._tell("avatar", name, end)

    def _look_for_avatars(self) -> None:
        """Tell which avatars were made, and which failed."""
        with contextlib.suppress(StoreError):
            for row in self._made.ended_since(math.nextafter(self._avatars_since_s, math.inf)):
                assert row.ended_s is not None
                self._avatars_since_s = row.ended_s
                kind = "avatar_failed" if row.state is AvatarState.FAILED else "avatar_made"
                self._tell(kind, "", {"avatar": row.name, "reason": row.error or None})

    def _tell(self, kind: str, channel: str, values: Message) -> None:
        data = json.dumps({"event": kind, "channel": channel, "at": wall_time_iso(), **values})
        with self._lock:
            self._number += 1
            text = f"id: {self._boot}-{self._number}\nevent: {kind}\ndata: {data}\n\n".encode()
            told = Told(self._number, channel, text)
            self._told.append(told)
            slow = [each for each in self._listeners if not _hand(each, told)]
            for each in slow:
                self._listeners.remove(each)


def _hand(listener: Listener, told: Told) -> bool:
    """Give an event to a listener; False when it is too far behind and was told to end."""
    if told.channel and listener.channel not in {"", told.channel}:
        return True
    if listener.waiting.qsize() < WAITING_AT_MOST:
        listener.waiting.put_nowait(told)
        return True
    listener.waiting.put_nowait(None)
    return False


def _from_store(task: Task) -> Message:
    return {
        "task_id": task.id,
        "tick": None,
        "played_s": round(task.played_samples / task.sample_rate, 3),
        "reason": task.reason or task.error or None,
    }


def has_gone(client: socket.socket) -> bool:
    """Whether the client has closed its side; looks without waiting and takes nothing."""
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
