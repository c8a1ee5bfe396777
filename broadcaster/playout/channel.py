"""One channel on air.

At every tick one picture packet and the sound packets that are due, to all its destinations.
Nothing upstream can make a tick wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from broadcaster.codec.aac import SoundEncoder
from broadcaster.codec.x264 import parameter_sets_of
from broadcaster.condition import Condition
from broadcaster.formats import TASK_ENDINGS, AirTick, EncodeFormat, StreamHeaders
from broadcaster.idle.loop import EncodedLoop
from broadcaster.idle.timeline import IdleTimeline
from broadcaster.mixer.mixer import Mixer
from broadcaster.mixer.source import TaskSource
from broadcaster.playout.avatar_change import AvatarChange
from broadcaster.playout.gauges import ChannelGauges
from broadcaster.playout.idle_pictures import AHEAD_TICKS, IdlePictures
from broadcaster.playout.sound_path import SoundPath
from broadcaster.playout.task_door import PlayOrder, TaskDoor
from broadcaster.playout.task_queue import Emit, Event, TaskQueue
from broadcaster.playout.video_path import VideoPath
from broadcaster.timeline.grid import next_grid
from broadcaster.wire import Message
from gpu_pool.contracts import PictureRef
from gpu_pool.ring import RingReader

PICTURES_BEFORE_START = 2
"""Idle pictures that must be decoded before a task is decided onto a tick."""

ENDED_REMEMBERED = 32
"""Ended tasks told in the status, for a studio that was away while they ended."""

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where a channel's ticks go: a push destination, or a recorder in a test."""

    def start(self) -> None:
        """Begin to connect."""
        ...

    def offer(self, air: AirTick) -> None:
        """Take one tick; must not block."""
        ...

    def report(self, now: float) -> dict[str, Any]:
        """Its state for ``/status``."""
        ...

    def stop(self, timeout_s: float) -> None:
        """Unpublish and end."""
        ...


class ChannelAir:
    """Everything of one channel inside playout.

    Args:
        name: the channel.
        fmt: its format.
        loop: what is on air first (the slate).
        fade_ticks: length of picture fades.
        ahead_ms: how early sound is sent.
        allow_splice: False encodes everything live.
        emit: takes task events; must not block.
    """

    def __init__(
        self,
        name: str,
        fmt: EncodeFormat,
        loop: EncodedLoop,
        fade_ticks: int,
        ahead_ms: int,
        allow_splice: bool,
        emit: Emit,
    ) -> None:
        self.name, self.fmt = name, fmt
        self.tick = 0
        self.destinations: list[Sink] = []
        self.encoder_note = ""
        self._live_sets = parameter_sets_of(fmt)
        self._gop = fmt.gop_ticks
        self._fade_ticks = fade_ticks
        self._timeline = IdleTimeline(loop, self._gop)
        self._pictures = IdlePictures(self._timeline, self._gop)
        spliced = allow_splice and loop.parameter_sets == self._live_sets
        self._video = VideoPath(fmt, self._timeline, self._pictures, spliced)
        self._mixer = Mixer(fade_ticks, fmt.samples_per_tick)
        self._sound = SoundPath(fmt, ahead_ms, self._mixer, loop.sound)
        self._tasks = TaskQueue(name, self._mixer, self._gop, fmt.video.fps, self._tell)
        self._emit = emit
        self._avatars = AvatarChange(name, emit)
        self._door = TaskDoor(name, fmt, fade_ticks, self._tasks, emit, self._avatars.accepts)
        self._ended: deque[Event] = deque(maxlen=ENDED_REMEMBERED)
        self._commands: deque[Callable[[], None]] = deque()
        self._next_loop: tuple[EncodedLoop, Message | None] | None = None
        self.idle = Condition("idle", loop.title, "", time.monotonic())
        self._gauges = ChannelGauges(name)
        self._quiet = False
        if not spliced:
            self._await_first_picture()

    @property
    def headers(self) -> StreamHeaders:
        """The sequence headers of the channel."""
        return StreamHeaders(self._live_sets.avc_config(), SoundEncoder(self.fmt.audio).config)

    def _await_first_picture(self) -> None:
        """Before the first tick only: without splicing every picture needs the decoded idle."""
        self._pictures.want(0)
        deadline = time.monotonic() + 5.0
        while not self._pictures.ready(0, 1) and time.monotonic() < deadline:
            time.sleep(0.01)

    @property
    def live(self) -> bool:
        """True while pictures are being encoded: a tick then costs milliseconds."""
        return self._video.live

    @property
    def tick_ready(self) -> bool:
        """True when the next tick has all it needs; for callers that run faster than the clock."""
        return self._pictures.settled

    # Commands: called by other threads, done by the tick loop.

    def play(self, order: PlayOrder, ring: RingReader | None = None) -> Message:
        """Take a task; see ``TaskDoor.take``."""
        if not order.pcm.is_file() or not 0 <= order.from_sample < order.samples:
            return {"ok": False, "error": "no such sound"}
        answer: list[Message] = []
        self._do(lambda: answer.append(self._door.take(order, ring, self._first_free_tick)))
        return answer[0] if answer else {"ok": False, "error": "busy"}

    def reserve(self, task_id: str, lead_ticks: int) -> Message:
        """Another tick for a task that has not begun; see ``TaskDoor.reserve``."""
        answer: list[Message] = []
        self._do(
            lambda: answer.append(self._door.reserve(task_id, lead_ticks, self._first_free_tick))
        )
        return answer[0] if answer else {"ok": False, "error": "busy"}

    def announce(
        self, task_id: str, first: int, refs: Sequence[PictureRef] | None, count: int
    ) -> None:
        """Pictures of a task are rendered (or lost, without ``refs``); never waits."""
        self._commands.append(lambda: self._door.announce(task_id, first, refs, count))

    def play_source(self, source: TaskSource) -> str:
        """Take a task by its source."""

        def add() -> None:
            self._tasks.add(source)

        self._do(add)
        return ""

    def interrupt(self, task_id: str | None) -> str | None:
        """End a task; returns its id, or None when nothing was on air."""
        answer: list[str | None] = []
        self._do(lambda: answer.append(self._tasks.interrupt(task_id, self._first_free_tick)))
        return answer[0] if answer else None

    def withdraw(self, task_id: str) -> bool:
        """Give back a task that has not begun: another one is to be said before it."""
        answer: list[bool] = []
        self._do(lambda: answer.append(self._tasks.withdraw(task_id)))
        return bool(answer and answer[0])

    def show_idle(self, loop: EncodedLoop, now: float, avatar: Message | None = None) -> None:
        """Change the idle programme at the next grid tick that nobody has used yet.

        Args:
            loop: what to show.
            now: monotonic seconds.
            avatar: whom it shows, if anybody.
        """
        self.idle = self.idle.entered(loop.title, now, "")
        self._commands.append(lambda: self._show_next(loop, avatar))

    def _show_next(self, loop: EncodedLoop, avatar: Message | None) -> None:
        if loop.parameter_sets != self._live_sets and self._video.spliced:
            log.warning("headers of %r differ from live ones: all is coded live", loop.title)
            self._video.spliced = False
        self._next_loop = loop, avatar

    def wish_avatar(self, avatar: Message) -> tuple[str, bool]:
        """See ``AvatarChange.wish``."""
        answer: list[tuple[str, bool]] = []
        self._do(lambda: answer.append(self._avatars.wish(avatar)))
        return answer[0] if answer else ("", False)

    def avatar_prepared(self, avatar: Message, loop: EncodedLoop | None) -> None:
        """The loop of a wished avatar is ready."""
        self._commands.append(lambda: self._avatars.prepared(avatar, loop))

    def avatar_failed(self, avatar: Message, error: str) -> None:
        """A wished avatar cannot be shown."""
        self._commands.append(lambda: self._avatars.failed(avatar, error))

    def show_avatar(self, avatar: Message) -> bool:
        """Change to a prepared avatar as soon as no task is held; see ``AvatarChange.show``."""
        answer: list[bool] = []
        self._do(lambda: answer.append(self._avatars.show(avatar)))
        return bool(answer and answer[0])

    def idle_failed(self, error: str) -> None:
        """Note why a programme could not be prepared; what is on air stays."""
        self.idle = Condition(self.idle.name, self.idle.state, error, self.idle.since)

    def _tell(self, event: Event) -> None:
        if event["event"] in TASK_ENDINGS:
            self._ended.append(event)
        self._emit(event)

    def _do(self, command: Callable[[], None], timeout_s: float = 1.0) -> None:
        done = threading.Event()

        def run() -> None:
            command()
            done.set()

        self._commands.append(run)
        done.wait(timeout_s)

    # The tick.

    @property
    def _first_free_tick(self) -> int:
        return self.tick + self._sound.lead_ticks

    def run_tick(self) -> None:
        """Send the next tick to every destination."""
        if self._quiet and not self._commands:
            air = self._quiet_tick(self.tick)
        else:
            air = self._full_tick(self.tick)
        for destination in self.destinations:
            destination.offer(air)
        self._account(air.tick)
        self.tick = air.tick + 1

    def _quiet_tick(self, tick: int) -> AirTick:
        """A tick at which nothing is decided: what the channel does for most of its life.

        It touches as little as possible. Between ticks the processor's caches go cold, and what a
        tick costs then (ten times as much as when warm) is the code and data it walks through.
        """
        return AirTick(tick, self._video.idle_packet(tick), self._sound.idle_packets(tick), True)

    def _full_tick(self, tick: int) -> AirTick:
        while self._commands:
            self._commands.popleft()()
        if self._avatars.due:
            self._change_avatar(tick)
        self._change_programme()
        if self._tasks.task_id is not None:
            self._tasks.decide(self._first_free_tick, self._pictures_ready)
        audio = self._sound.packets(tick)
        composition = self._mixer.compose(tick)
        draw = None
        if not composition.is_idle:
            draw = lambda idle: self._mixer.draw(composition, tick, idle)  # noqa: E731
        last = self._mixer.schedule.last
        idle_from = self._mixer.idle_shows_from(composition, tick)
        video = self._video.packet(tick, draw, last is not None and last.end > tick, idle_from)
        coded_idle = self._video.live and self._video.spliced
        self._quiet = self._is_quiet()
        return AirTick(tick, video, audio, idle=composition.is_idle and not coded_idle)

    def _is_quiet(self) -> bool:
        """Nothing on air, nothing decided, nothing waiting: until the next command."""
        nothing_said = self._mixer.idle and self._mixer.schedule.last is None
        nothing_due = self._tasks.task_id is None and self._next_loop is None
        nothing_due = nothing_due and not self._avatars.due and not self._avatars.pending
        spliced = self._video.spliced and not self._video.live
        return nothing_said and nothing_due and spliced and self._sound.cached

    def _pictures_ready(self, start: int) -> bool:
        last = self._mixer.schedule.last
        if self._video.live or (last and last.end > max(self.tick, last.start)):
            return True  # live, or decided to be so before ``start``: its pictures must be kept
        if not self._video.spliced:
            return False  # it is about to be live by itself, with earlier pictures
        self._pictures.want(start)
        return self._pictures.ready(start, PICTURES_BEFORE_START)

    def _change_programme(self) -> None:
        if self._next_loop is None or self._sound.switching or self.tick < self._timeline.changes:
            return
        if not (self._video.spliced or self._video.live):
            return  # packets with other headers must not be sent: first be live
        unused = max(self._first_free_tick + AHEAD_TICKS + 2, self._pictures.horizon + 1)
        at = next_grid(unused, self._gop)
        loop, avatar = self._next_loop
        self._timeline.switch(at, loop)
        self._sound.switch(at, loop.sound)
        self._next_loop = None
        if avatar is not None:
            self._avatars.decided(avatar, at)
            self._tasks.not_before = at

    def _change_avatar(self, tick: int) -> None:
        """Take the wished avatar, if nobody speaks and nobody is about to."""
        nobody = self._tasks.task_id is None and self._mixer.idle
        if not nobody or self._mixer.schedule.last is not None or self._next_loop is not None:
            return
        avatar, loop = self._avatars.take()
        if loop is None:
            self._avatars.decided(avatar, tick)
        else:
            self.idle = self.idle.entered(loop.title, time.monotonic(), "")
            self._show_next(loop, avatar)

    def _account(self, tick: int) -> None:
        if self._mixer.schedule.last is not None:
            self._tasks.after(tick, self._fade_ticks)
        if self._avatars.pending:
            self._avatars.after(tick)
        if tick % self._gop == 0:
            self._tell_metrics(tick)

    def _tell_metrics(self, tick: int) -> None:
        mixed_ticks = tick + 1 + self._sound.lead_ticks
        skew = self._sound.mixed_samples - mixed_ticks * self.fmt.samples_per_tick
        counts = (tick, self._mixer.underruns, self._video.late_pictures)
        skew_s = skew / self.fmt.audio.sample_rate
        self._gauges.tell(self.source, skew_s, counts, self._video.take_encode_s())

    @property
    def source(self) -> str:
        """What is on air: task, idle or slate."""
        if not self._mixer.idle:
            return "task"
        return "slate" if self._timeline.loop_at(self.tick).title == "slate" else "idle"

    def report(self, now: float) -> dict[str, Any]:
        """The channel for ``/status``; called from another thread."""
        return {
            "name": self.name,
            "source": self.source,
            "task_id": self._tasks.task_id,
            "played_samples": self._tasks.played_samples(self.tick),
            "live_video": self._video.live,
            "ended": list(self._ended),
            "ticks": self.tick,
            "idle": self.idle.report(now),
            "avatar": self._avatars.report(),
            "encoder": {
                "name": "x264",
                "idle_path": "spliced" if self._video.spliced else "live",
                "vbv_lowest": round(self._video.bucket.lowest, 3),
                "vbv_underflows": self._video.bucket.underflows,
                "late_pictures": self._video.late_pictures,
                "faults": self._video.encoder_faults,
                "note": self._video.last_fault or self.encoder_note,
            },
            "destinations": [d.report(now) for d in self.destinations],
        }

    def close(self, timeout_s: float) -> None:
        """Unpublish everywhere and end the threads."""
        threads = [threading.Thread(target=d.stop, args=(timeout_s,)) for d in self.destinations]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._tasks.close()
        self._pictures.close()
