"""One task as pictures: which are asked for next, which are out, what may go to the playout.

Decisions only: no process, no socket, no clock. The pool answers in any order; what leaves here is
in order. Must never ask for more than its window: the ring belongs to every channel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broadcaster.studio.appointment import Appointment
from gpu_pool.contracts import (
    SOUND_RATE_HZ,
    Batch,
    BatchKey,
    BatchResult,
    EngineNeeds,
    Json,
    PictureRef,
)
from gpu_pool.reorder import Gap, Reorder, Run
from gpu_pool.windows import cut_sound, sound_span

ANSWER_WITHIN_S = 60.0
"""A batch without an answer for so long is given up, while no worker serves. Where one does, the
pool judges it and answers every batch; a large network may take longer for those that wait."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is to be rendered of a task, as the playout told.

    Attributes:
        channel: the task's.
        task_id: the task.
        avatar: who speaks, by the pool's name.
        fps: pictures per second.
        index: the first picture wanted.
        tick: when it is expected on air.
        pictures: pictures of the whole, the fade out included.
        spoken: how many of them carry sound.
        origin: sample of ``sound`` at which picture 0 begins.
    """

    channel: str
    task_id: str
    avatar: str
    fps: int
    index: int
    tick: int
    pictures: int
    spoken: int
    origin: int


class Performance:
    """The rendering of one task from some picture on.

    Args:
        part: what is wanted.
        epoch: larger than that of any earlier rendering of the channel.
        sound: the whole task at 16 kHz, float32 mono; may be mapped from a file.
        mouths: (pictures, 6) of the whole task, from a voice that told its phonemes.
        appointment: when it is to begin; None where it has begun.
        wishes: of the task, for engines that know them, such as ``guidance_scale``.
        answer_within_s: how long a batch may take.
    """

    def __init__(
        self,
        part: Part,
        epoch: int,
        sound: NDArray[np.float32],
        mouths: NDArray[np.float32] | None = None,
        appointment: Appointment | None = None,
        wishes: Mapping[str, Json] | None = None,
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        self._mouths, self._wishes = mouths, wishes or {}
        self._answer_within_s = answer_within_s
        self.appointment = appointment
        """Until it is kept or given up."""
        self.part, self.epoch = part, epoch
        self.on_air = False
        self._sound = sound
        self._reorder = Reorder(part.index)
        self._next = part.index
        self._offset = part.tick - part.index
        self._out = 0
        self._shown = part.index
        """The picture that was last told to be on air."""

    def again(self, part: Part, epoch: int, appointment: Appointment | None) -> Performance:
        """The same from its beginning, for other ticks."""
        return Performance(part, epoch, self._sound, self._mouths, appointment, self._wishes)

    @property
    def rendered(self) -> int:
        """The first picture that has not left for the playout."""
        return self._reorder.released

    def expected_at(self, index: int, tick: int) -> None:
        """The playout shows ``index`` at ``tick``; pictures asked for from now on are drawn so."""
        self._shown = index
        self._offset = tick - index

    def next_batch(self, needs: EngineNeeds, window: int) -> Batch | None:
        """The next pictures, or None when all are asked for or the window is used up."""
        # Batches lie on a grid of the task: some engines render whole ones, however they are cut.
        size = needs.batch_pictures
        count = min(size - self._next % size, self.part.pictures - self._next)
        if count <= 0 or self._out + count > max(window, count if not self._out else 0):
            return None
        first, fps = self._next, self.part.fps
        sound = cut_sound(self._sound, -self.part.origin, sound_span(needs, fps, first, count))
        key = BatchKey(self.part.channel, self.part.task_id, self.epoch, first)
        cues: dict[str, Json] = {**self._wishes, "spoken": self.part.spoken}
        if self._mouths is not None:
            cues["mouths"] = self._mouth_rows(self._mouths, first, count)
        return Batch(key, count, self.part.avatar, self._offset + first, sound, cues=cues)

    def _mouth_rows(self, mouths: NDArray[np.float32], first: int, count: int) -> list[list[float]]:
        """The rows of some pictures; the mouth is at rest where there are none."""
        begun = round(self.part.origin * self.part.fps / SOUND_RATE_HZ) + first
        rows = mouths[begun : begun + count]
        missing = np.zeros((count - len(rows), mouths.shape[1]), np.float32)
        found: list[list[float]] = np.concatenate([rows, missing]).round(4).tolist()
        return found

    def submitted(self, batch: Batch, now: float) -> None:
        """The pool has taken the batch."""
        self._reorder.expect(batch.key.first, batch.count, now + self._answer_within_s)
        self._next = batch.key.first + batch.count
        self._out += batch.count

    def worked_at(self, now: float) -> None:
        """Some worker serves the avatar: what is awaited will be answered."""
        self._reorder.postpone(now + self._answer_within_s)

    def answered(self, result: BatchResult) -> tuple[PictureRef, ...]:
        """The pool's answer; returns pictures that nobody will show."""
        return self._reorder.put(result)

    def leaving(self, now: float, lost: Callable[[Gap], None]) -> list[Run | Gap]:
        """What goes to the playout now, in order; ``lost`` is told of every gap."""
        runs = self._reorder.release(now)
        for run in runs:
            if isinstance(run, Gap):
                self._out -= run.count
                lost(run)
        return runs

    def released(self, pictures: int) -> None:
        """So many were shown, or will not be."""
        self._out -= pictures

    def lose(self, ahead: int, reason: str, now: float) -> None:
        """Nobody renders for the time being: what is awaited and what is on air soon is lost.

        Args:
            ahead: pictures beyond the one on air; later ones may still be rendered.
            reason: for an operator.
            now: monotonic seconds.
        """
        self._reorder.lose(reason)
        count = min(self.part.pictures, self._shown + ahead) - self._next
        if count > 0:
            self._reorder.expect(self._next, count, now)
            self._reorder.lose(reason)
            self._next += count
            self._out += count

    def close(self) -> tuple[PictureRef, ...]:
        """Forget everything; returns pictures that never left."""
        return self._reorder.close()
