"""The pool: one worker process per device, fed with batches, watched, started again.

Between the studio's tasks and the picture ring. One thread owns the processes and carries out what
the dispatcher decides; every public method returns at once. Must never block on a worker, never
lose a batch without saying so, and never import an engine.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from gpu_pool.contracts import (
    AvatarRef,
    AvatarStanding,
    Batch,
    BatchResult,
    EngineNeeds,
    PictureRef,
    PoolClosed,
    PoolReport,
)
from gpu_pool.crew import Crew
from gpu_pool.dispatch import Dispatcher
from gpu_pool.limits import Limits
from gpu_pool.ring import Ring

logger = logging.getLogger(__name__)

_LIMITS = Limits()


class Pool:
    """Workers on the given devices, each with every avatar; open it as a context manager.

    Avatars of several engines live in one worker, and come and go while it renders.

    Args:
        avatars: what every worker prepares before it takes a batch.
        devices: one worker each, as ``find_devices`` gives them; a slot keeps its device for good.
        ring: where pictures go; stays the caller's.
        limits: the times that are judged by.
        on_results: called from the pool's thread when answers wait, or an avatar stands otherwise
            than before; must only ring a bell.
        now: monotonic seconds.

    Raises:
        ValueError: the ring cannot hold the pictures of an avatar.
    """

    def __init__(
        self,
        avatars: Sequence[AvatarRef],
        devices: Sequence[str],
        ring: Ring,
        *,
        limits: Limits = _LIMITS,
        on_results: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        for avatar in avatars:
            _check_size(avatar, ring)
        self._ring, self._on_results, self._now = ring, on_results, now
        self._lock = threading.Condition()
        self._dispatcher = Dispatcher(devices, ring, limits, now())
        for avatar in avatars:
            self._dispatcher.roster.want(avatar, now())
        self._crew = Crew(devices, ring, limits, self._dispatcher)
        self._stopping = self._ended = False
        self._awake, self._bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._crew.selector.register(self._awake, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="gpu-pool", daemon=True)
        self._thread.start()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def submit(self, batch: Batch) -> bool:
        """Ask for a batch; False when too many wait already (try again after some answers).

        Every batch taken is answered once, by ``BatchDone`` or ``BatchLost``, unless it is dropped.
        Batches are begun in the order of submission, by workers that have their avatar ready; while
        that is being prepared they wait.

        Raises:
            PoolClosed: the pool has ended.
            ValueError: no worker could ever render it.
        """
        if not 0 < batch.count <= self._ring.slots:
            raise ValueError(f"a batch of {batch.count} pictures, a ring of {self._ring.slots}")
        with self._lock:
            self._refuse_when_ended()
            if batch.avatar not in self._dispatcher.roster:
                raise ValueError(f"no avatar {batch.avatar!r} in this pool")
            taken = self._dispatcher.ledger.add(batch)
        self._wake()
        return taken

    def poll(self, timeout_s: float = 0.0) -> list[BatchResult]:
        """Take the answers that are there; wait for one for up to ``timeout_s``.

        The pictures of a ``BatchDone`` are the caller's from then on, to be given to ``release``.
        """
        with self._lock:
            if timeout_s > 0:
                self._lock.wait_for(self._something_to_tell, timeout_s)
            return self._dispatcher.take_results()

    def release(self, pictures: Iterable[PictureRef]) -> None:
        """Pictures are not needed any more; waiting batches may have their place."""
        if self._ring.release(pictures):
            self._wake()

    def bump(self, channel: str, epoch: int) -> None:
        """Drop everything of a channel older than ``epoch``, now and whatever comes later.

        After this ``poll`` gives no older answer; workers leave off as soon as their engine looks.
        """
        with self._lock:
            self._dispatcher.bump(channel, epoch)
        self._wake()

    def drop(self, channel: str, task_id: str) -> None:
        """Drop everything there is of one task."""
        with self._lock:
            self._dispatcher.drop(lambda key: (key.channel, key.task_id) == (channel, task_id))
        self._wake()

    def report(self) -> PoolReport:
        """State of every slot, for ``/status`` and the metrics."""
        with self._lock:
            return self._dispatcher.report(self._now())

    def prepare(self, avatar: AvatarRef) -> None:
        """Have every worker prepare an avatar, beside its work, between batches.

        Does nothing when it is there already or under way; one that has failed is tried again.

        Raises:
            PoolClosed: the pool has ended.
            ValueError: the ring cannot hold its pictures.
        """
        _check_size(avatar, self._ring)
        with self._lock:
            self._refuse_when_ended()
            self._dispatcher.roster.want(avatar, self._now())
        self._wake()

    def forget(self, name: str) -> None:
        """Free an avatar in every worker; batches of it that wait are answered as lost."""
        with self._lock:
            self._dispatcher.forget(name)
        self._wake()

    def standing(self, name: str) -> AvatarStanding:
        """How far an avatar is; ready once some worker can render it."""
        with self._lock:
            return self._dispatcher.roster.standing(name)

    def needs(self, avatar: str) -> EngineNeeds | None:
        """What the engine of an avatar wants to be fed; None until it was ready somewhere."""
        with self._lock:
            return self._dispatcher.roster.needs(avatar)

    def close(self) -> None:
        """End every worker; whatever is unanswered is answered as lost. May be called twice."""
        self._stopping = True
        self._wake()
        if self._thread is not threading.current_thread():
            self._thread.join()

    # --- the pool's thread ------------------------------------------------------------------

    def _run(self) -> None:
        """Any way out, an error too, ends every worker and answers every batch."""
        try:
            while not self._stopping:
                self._run_once()
        finally:
            with self._lock:
                self._ended = True
                self._dispatcher.ledger.lose_all("the pool has ended")
            self._crew.stop(self._now)
            with self._lock:
                self._crew.selector.close()
                bell, self._bell = self._bell, -1
                os.close(bell)
                os.close(self._awake)
            self._tell()

    def _run_once(self) -> None:
        with self._lock:
            due = self._dispatcher.next_due()
        asked = self._now()
        timeout_s = None if due is None else max(0.0, due - asked)
        # Asked again when nothing came: a wait that this process slept through (stopped, starved)
        # reports nothing, whatever has arrived meanwhile, and somebody would be judged by that.
        ready = self._crew.selector.select(timeout_s) or self._crew.selector.select(0)
        now = self._now()
        with self._lock:
            self._crew.excuse_pause(asked, timeout_s, now)
            for key, _ in ready:
                if key.fd == self._awake:
                    self._swallow_bell()
                else:
                    self._crew.attend(key, now)
            self._crew.carry_out(self._dispatcher.decide(now), now)
            roster = self._dispatcher.roster
            waiting = self._something_to_tell() or roster.changed
            roster.changed = False
        if waiting:
            self._tell()

    def _refuse_when_ended(self) -> None:
        if self._stopping or self._ended:
            raise PoolClosed("the pool has ended")

    def _tell(self) -> None:
        with self._lock:
            self._lock.notify_all()
        self._on_results()

    def _something_to_tell(self) -> bool:
        return bool(self._dispatcher.ledger.results) or self._ended

    def _swallow_bell(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._awake, 4096):
                pass

    def _wake(self) -> None:
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._bell >= 0:
                os.write(self._bell, b"!")


def _check_size(avatar: AvatarRef, ring: Ring) -> None:
    if avatar.picture.picture_bytes > ring.slot_bytes:
        raise ValueError(f"pictures of avatar {avatar.name} do not fit into the ring")
