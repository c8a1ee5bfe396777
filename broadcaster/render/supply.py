"""The pictures of a film, from the pool, in order, as far ahead as the ring has room.

Between the pool and the mixer; the film's counterpart of the studio's stage. Nothing is paced: what
is shown makes room for what comes. A picture that is lost for good ends the film: nobody watches
while it is made, so a hole must not go unseen.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from broadcaster.errors import RenderError
from broadcaster.formats import VideoFormat
from broadcaster.playout.rendered import RELEASE_AT, RenderedPictures
from broadcaster.studio.performance import Part, Performance
from gpu_pool.contracts import AvatarState, EngineNeeds, PictureRef, SlotState
from gpu_pool.pool import Pool
from gpu_pool.reorder import Gap
from gpu_pool.ring import Ring, RingReader

TRIES_TO_START = 2
"""Deaths of every worker before the first one was ready: a third one would die as well."""


ANSWER_WITHIN_S = 3600.0
"""Nobody waits on air: a large network on a CPU takes minutes for a batch."""


class PictureSupply:
    """Asks for what is wanted and announces what comes to ``pictures``.

    Args:
        pool: which renders.
        ring: where it puts the pictures.
        part: what is wanted.
        sound: the task at 16 kHz, float32 mono.
        mouths: (pictures, 6), from a voice that told its phonemes.
        video: of the pictures.
    """

    def __init__(
        self,
        pool: Pool,
        ring: Ring,
        part: Part,
        sound: NDArray[np.float32],
        mouths: NDArray[np.float32] | None,
        video: VideoFormat,
    ) -> None:
        self._pool, self._ring, self._avatar = pool, ring, part.avatar
        self._performance = Performance(part, 1, sound, mouths, answer_within_s=ANSWER_WITHIN_S)
        self.pictures = RenderedPictures(RingReader(ring.path), video, self._take_back)

    def bring_forward(self, timeout_s: float = 0.0) -> None:
        """Take what has come, waiting for it for up to ``timeout_s``, and ask for more.

        Raises:
            RenderError: pictures will never come.
        """
        for result in self._pool.poll(timeout_s):
            self._pool.release(self._performance.answered(result))
        for run in self._performance.leaving(time.monotonic(), _refuse):
            if not isinstance(run, Gap):
                self.pictures.announce(run.first, run.pictures, len(run.pictures))
        needs = self._pool.needs(self._avatar)
        self._judge_workers(needs)
        if needs is not None:
            self._ask(needs)

    def _ask(self, needs: EngineNeeds) -> None:
        if needs.batch_pictures + RELEASE_AT > self._ring.slots:
            raise RenderError(
                f"the workers want {needs.batch_pictures} pictures at once, and only "
                f"{self._ring.slots} fit into the ring: raise pool.ring_mb, or free shared memory"
            )
        while (batch := self._performance.next_batch(needs, self._ring.slots)) is not None:
            if not self._pool.submit(batch):
                return
            self._performance.submitted(batch, time.monotonic())

    def _judge_workers(self, needs: EngineNeeds | None) -> None:
        standing = self._pool.standing(self._avatar)
        if standing.state is AvatarState.FAILED:
            raise RenderError(f"{self._avatar} cannot be rendered: {standing.reason}")
        slots = self._pool.report().slots
        hopeless = all(
            slot.state is SlotState.PARKED
            or (needs is None and sum(slot.deaths.values()) >= TRIES_TO_START)
            for slot in slots
        )
        if hopeless:
            raise RenderError(f"no worker serves: {slots[0].last_error}")

    def _take_back(self, _ring: RingReader | None, refs: Sequence[PictureRef]) -> None:
        self._pool.release(refs)
        self._performance.released(len(refs))


def _refuse(gap: Gap) -> None:
    last = gap.first + gap.count - 1
    raise RenderError(f"pictures {gap.first} to {last} cannot be rendered: {gap.reason}")
