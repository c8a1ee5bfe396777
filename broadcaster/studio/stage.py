"""The pool, its ring and every task that is being rendered.

Between the studio's loop and the workers. Called by the studio's thread only; the pool rings
``fileno``. Whatever happens to workers, the ring or the playout, the sound of a task goes on: what
is not rendered is told as lost, and without a pool tasks are said over the idle picture.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path

import numpy as np

from broadcaster.avatars.carried import label
from broadcaster.avatars.found import FoundAvatar
from broadcaster.condition import Condition
from broadcaster.settings.model import SettingsModel
from broadcaster.studio.appointment import Appointment
from broadcaster.studio.backdrop import backdrops, ring_slots
from broadcaster.studio.performance import Part, Performance
from broadcaster.studio.pool_gauges import PoolGauges
from broadcaster.studio.tempo import Tempo
from broadcaster.studio.wardrobe import Wardrobe
from broadcaster.wire import Message
from gpu_pool.contracts import (
    SERVING,
    SOUND_RATE_HZ,
    AvatarState,
    BatchDone,
    EngineSpec,
    Json,
    PictureRef,
    PoolError,
    PoolReport,
    SlotState,
)
from gpu_pool.devices import find_devices
from gpu_pool.limits import Limits
from gpu_pool.pool import Pool
from gpu_pool.reorder import Gap, Run
from gpu_pool.ring import Ring

NEXT_SHARE = 1 / 3
"""What a task behind another one may hold of its channel's part of the ring."""

START_WITHIN_S = 15.0
"""How long tasks wait for a pool that is just starting; then they are said without pictures."""

Announce = Callable[[Message], Message | None]
"""Sends a message to the playout, and gives its answer; may drop it when there is none."""

_log = logging.getLogger(__name__)


class Readiness(Enum):
    """Whether a task can have pictures."""

    READY = "ready"
    WAIT = "wait"
    NEVER = "never"


class Stage:
    """See the module.

    Args:
        settings: of this run.
        announce: to the playout.
        now: monotonic seconds.
        cast: who is on which channel; the others have no presenter.
        engine: in place of those of the avatars, for tests and drills.
        limits: the times that workers are judged by.
    """

    def __init__(
        self,
        settings: SettingsModel,
        announce: Announce,
        now: Callable[[], float],
        cast: Mapping[str, FoundAvatar],
        engine: EngineSpec | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._announce, self._now = announce, now
        self._channels = backdrops(settings, cast)
        self.wardrobe = Wardrobe(
            self._channels, self._avatars_in_tasks, engine, settings.pool.engines
        )
        self._performances: dict[str, Performance] = {}
        self._shown: dict[PictureRef, Performance] = {}
        """Pictures that the playout has, and what they belong to."""
        self._epoch = 0
        self._tempo = Tempo()
        self._gauges = PoolGauges()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._ring: Ring | None = None
        self._pool: Pool | None = None
        self.last_error = ""
        self._begun = now()
        self._without = False
        if self._channels:
            self._open(settings)

    def _open(self, settings: SettingsModel) -> None:
        slots, slot_bytes = ring_slots(self._channels, settings.pool.ring_mb)
        wanted = settings.pool.devices
        try:
            devices = find_devices(wanted if wanted == "auto" else list(wanted), os.environ)
            self._ring = Ring(slots, slot_bytes)
            first, bell = self.wardrobe.first(), self._ring_bell
            self._pool = Pool(first, devices, self._ring, on_results=bell, limits=self._limits)
            self.wardrobe.serve(self._pool)
        except (PoolError, ValueError, OSError) as error:
            self.last_error = f"nothing is rendered: {error}"
            _log.error(self.last_error)

    def _avatars_in_tasks(self) -> set[str]:
        return {each.part.avatar for each in self._performances.values()}

    def _ring_bell(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_write.send(b"!")

    def fileno(self) -> int:
        """For a selector: readable when the pool has answered."""
        return self._wake_read.fileno()

    # --- what the studio asks ------------------------------------------------------------------

    def readiness(self, channel: str) -> Readiness:
        """Whether the next task of a channel can have pictures."""
        if self._pool is None or channel not in self._channels or self._without:
            return Readiness.NEVER
        report, avatar = self._pool.report(), self._channels[channel].avatar.name
        needs = self._pool.needs(avatar)
        if report.serves(avatar):
            return Readiness.READY
        if self._pool.standing(avatar).state is AvatarState.FAILED and needs is None:
            return Readiness.NEVER
        waited = self._now() - self._begun > START_WITHIN_S
        coming = any(s.state is not SlotState.PARKED for s in report.slots)
        return Readiness.WAIT if coming and (needs is not None or not waited) else Readiness.NEVER

    def order(self, channel: str, samples: int) -> Message:
        """What a request to play says of the pictures that will come."""
        assert self._ring is not None
        assert self._pool is not None
        backdrop = self._channels[channel]
        avatar, fps = backdrop.avatar.name, backdrop.avatar.picture.fps
        pictures = samples * fps // backdrop.sample_rate + 1
        needs = self._pool.needs(avatar)
        batch = needs.batch_pictures if needs is not None else 1
        window = max(batch, int(self._window(channel) * NEXT_SHARE) // batch * batch)
        preroll = self._tempo.preroll(pictures, fps, self._pool.report().fps_of(avatar), window)
        order: Message = {"ring": str(self._ring.path), "avatar": label(backdrop.shown)}
        return order | {"lead_ticks": self._tempo.lead_ticks(fps), "preroll_ticks": preroll}

    def holds(self, task_id: str) -> bool:
        """Whether a task is being rendered, or was, and is not over."""
        return task_id in self._performances

    def renders(self, channel: str) -> bool:
        """Whether somebody draws the mouth on a channel."""
        return channel in self._channels

    def begin(
        self,
        channel: str,
        task_id: str,
        answer: Message,
        sound_16k: Path,
        mouths: Path,
        wishes: Mapping[str, Json] | None = None,
    ) -> None:
        """The playout has taken a task: render what it expects.

        Args:
            channel: the task's.
            task_id: the task.
            answer: of the playout.
            sound_16k: the task's sound for the models.
            mouths: its mouth, where the voice told its phonemes; there need be none.
            wishes: of the task, for engines that know them.
        """
        self.end(task_id)
        self._epoch += 1
        sound = np.memmap(sound_16k, np.float32, "r")
        told = np.load(mouths) if mouths.exists() else None
        part = self._part(channel, task_id, answer)
        meeting = self._appointment(answer, part.fps)
        made = Performance(part, self._epoch, sound, told, meeting, wishes)
        self._performances[task_id] = made
        self._tempo.begin(task_id, self._now())
        self.bring_forward()

    def _part(self, channel: str, task_id: str, answer: Message) -> Part:
        backdrop = self._channels[channel]
        return Part(
            channel,
            task_id,
            backdrop.avatar.name,
            backdrop.avatar.picture.fps,
            index=int(answer["index"]),
            tick=int(answer["tick"]),
            pictures=int(answer["pictures"]),
            spoken=int(answer["spoken"]),
            origin=int(answer["from_sample"]) * SOUND_RATE_HZ // backdrop.sample_rate,
        )

    def _appointment(self, answer: Message, fps: int, final: bool = False) -> Appointment | None:
        if int(answer["index"]):
            return None  # it has begun, with an earlier studio's pictures
        due_at = self._now() + int(answer["in_ticks"]) / fps
        return Appointment(due_at, int(answer["preroll_ticks"]), fps, final)

    def on_place(self, task_id: str, index: int, tick: int) -> None:
        """The playout shows picture ``index`` of a task at ``tick``."""
        performance = self._performances.get(task_id)
        if performance is not None:
            performance.on_air, performance.appointment = True, None
            performance.expected_at(index, tick)

    def on_released(self, pairs: Iterable[tuple[int, int]], ring: str = "") -> None:
        """The playout needs some pictures no more; those of an earlier studio's ring are not ours.

        Where it does not name a ring it means the present one.
        """
        if ring and (self._ring is None or ring != str(self._ring.path)):
            return
        refs = [PictureRef(*pair) for pair in pairs]
        self._take_back([ref for ref in refs if ref in self._shown])

    def end(self, task_id: str) -> None:
        """A task is over, or begins anew; what the playout still shows of it comes back later."""
        performance = self._performances.pop(task_id, None)
        if performance is None or self._pool is None:
            return
        self._tempo.end(task_id)
        self._pool.drop(performance.part.channel, task_id)
        self._pool.release(performance.close())
        self.wardrobe.tidy()

    def playout_lost(self) -> None:
        """Nobody shows anything any more."""
        for task_id in list(self._performances):
            self.end(task_id)
        self._take_back(list(self._shown))

    def bring_forward(self) -> None:
        """Take the pool's answers, hand pictures to the playout, ask for more."""
        if self._pool is None:
            return
        with contextlib.suppress(BlockingIOError):
            self._wake_read.recv(4096)
        for result in self._pool.poll():
            self._gauges.answered(result)
            performance = self._performances.get(result.key.task_id)
            if performance is None or performance.epoch != result.key.epoch:
                self._pool.release(result.pictures if isinstance(result, BatchDone) else ())
                continue
            self._pool.release(performance.answered(result))
        self._judge_pool()
        if self._without:
            self._go_without()
        for performance in list(self._performances.values()):
            self._hand_over(performance)
        if not self._without:
            self._ask()

    def report(self) -> PoolReport | None:
        """The pool, for ``/status``."""
        return self._pool.report() if self._pool is not None else None

    def conditions(self) -> list[Condition]:
        """The workers, for ``/status``."""
        return self._gauges.conditions(self.report(), self.last_error, self._begun)

    def close(self) -> None:
        """End the workers and remove the ring."""
        if self._pool is not None:
            self._pool.close()
        if self._ring is not None:
            self._ring.close()
        self._wake_read.close()
        self._wake_write.close()

    # --- the pool's side -----------------------------------------------------------------------

    def _window(self, channel: str) -> int:
        assert self._ring is not None
        return self._ring.slots // len(self._channels)

    def _judge_pool(self) -> None:
        """Every device is left alone after too many deaths: for a minute, then it has to load."""
        assert self._pool is not None
        states = {slot.state for slot in self._pool.report().slots}
        if states == {SlotState.PARKED}:
            self._without = True
        elif states & SERVING:
            self._without = False

    def _go_without(self) -> None:
        """Sound goes on over idle, two seconds at a time, until some device serves again."""
        assert self._pool is not None
        for performance in self._performances.values():
            part = performance.part
            self._pool.drop(part.channel, part.task_id)
            ahead = int(self._window(part.channel) * (1 - NEXT_SHARE))
            performance.lose(ahead, "no worker serves", self._now())

    def _ask(self) -> None:
        """In the order of the tasks: what is on air first, then what comes next."""
        assert self._pool is not None
        firsts = {each.part.channel: each for each in reversed(self._performances.values())}
        for performance in self._performances.values():
            needs = self._pool.needs(performance.part.avatar)
            if needs is None:
                continue
            first = performance.on_air or performance is firsts[performance.part.channel]
            share = 1 - NEXT_SHARE if first else NEXT_SHARE
            window = int(self._window(performance.part.channel) * share)
            while (batch := performance.next_batch(needs, window)) is not None:
                if not self._pool.submit(batch):
                    return
                performance.submitted(batch, self._now())

    def _hand_over(self, performance: Performance) -> None:
        assert self._pool is not None
        part, handed = performance.part, performance.rendered
        if self._pool.report().serves(part.avatar):
            performance.worked_at(self._now())
        runs = performance.leaving(self._now(), self._note_lost)
        if runs and self._begins_again(performance, handed):
            for run in runs:
                self._give_up(run)
            return
        for run in runs:
            if self._performances.get(part.task_id) is not performance:
                # The playout was lost while it was told of the run before: nobody takes this one.
                self._give_up(run)
                continue
            message: Message = {"op": "pictures", "channel": part.channel, "task_id": part.task_id}
            message |= {"first": run.first}
            if isinstance(run, Run):
                self._shown |= dict.fromkeys(run.pictures, performance)
                message |= {"refs": [[ref.slot, ref.generation] for ref in run.pictures]}
            else:
                message |= {"refs": None, "count": run.count}
            self._announce(message)
        self._tempo.rendered(part.task_id, performance.rendered - part.index, self._now())

    def _begins_again(self, late: Performance, handed: int) -> bool:
        """Pictures that are too late for their tick are drawn again, where that is soon done."""
        assert self._pool is not None
        meeting, needs = late.appointment, self._pool.needs(late.part.avatar)
        if meeting is None or needs is None or not meeting.missed(handed, self._now()):
            return False
        late.appointment = None
        speed_fps = self._pool.report().fps_of(late.part.avatar)
        again_s = meeting.again_s(needs.batch_pictures, speed_fps)
        if again_s is None:
            return False
        part = late.part
        message: Message = {"op": "reserve", "channel": part.channel, "task_id": part.task_id}
        answer = self._announce(message | {"lead_ticks": meeting.lead_ticks(again_s)})
        if not answer or not answer.get("ok") or not self.holds(part.task_id):
            return False  # begun after all, or gone
        self._pool.drop(part.channel, part.task_id)
        self._pool.release(late.close())
        self._epoch += 1
        part, final = self._part(part.channel, part.task_id, answer), True
        meeting = self._appointment(answer, part.fps, final)
        # In its place: the order of the tasks is that in which they are rendered.
        self._performances[part.task_id] = late.again(part, self._epoch, meeting)
        return True

    def _give_up(self, run: Run | Gap) -> None:
        if isinstance(run, Run) and self._pool is not None:
            self._pool.release(run.pictures)

    @staticmethod
    def _note_lost(gap: Gap) -> None:
        _log.warning("pictures %d to %d are lost: %s", gap.first, gap.first + gap.count, gap.reason)

    def _take_back(self, refs: list[PictureRef]) -> None:
        if self._pool is None:
            return
        for ref in refs:
            self._shown.pop(ref).released(1)
        self._pool.release(refs)
