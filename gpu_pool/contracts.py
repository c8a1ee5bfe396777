"""What the station, the pool and an engine tell each other: values, and the engine's protocol.

Beside the signal path: the station imports this to ask for pictures, an engine to make them. It
must never import a framework, open anything, or read a clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

SOUND_RATE_HZ = 16_000
"""Sound for engines is mono float32 at this rate: every lip-sync network here was trained at it."""

Sound = NDArray[np.float32]
"""(samples,) mono, -1 to 1, at ``SOUND_RATE_HZ``."""

Picture = NDArray[np.uint8]
"""(height * 3 / 2, width): one I420 picture as a stack of planes."""

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]
"""What may travel in ``options`` and ``cues``."""

F = TypeVar("F")


class PoolError(Exception):
    """Base of what the pool raises on purpose; its text is fit for an operator."""


class RingError(PoolError):
    """The shared memory of the pictures cannot be made or mapped."""


class PoolClosed(PoolError):
    """The pool has ended; nothing can be rendered by it any more."""


class AvatarRefused(PoolError):
    """Raised by an engine's ``prepare``: this avatar can never be rendered, and why.

    It fails alone: the worker lives on, and with it every other avatar.
    """


class BatchRefused(Exception):
    """Raised by an engine: this input can never be rendered. The worker lives on, no retry.

    Every other exception of an engine ends its worker: after a failed kernel nothing on a device
    can be trusted.
    """


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """Progressive I420 at a constant rate."""

    width: int
    height: int
    fps: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of one picture as ``uint8``."""
        return self.height * 3 // 2, self.width

    @property
    def picture_bytes(self) -> int:
        """Bytes of one picture."""
        return self.width * self.height * 3 // 2


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine renders: a name of ``engines.registry`` and what its maker takes."""

    name: str
    options: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AvatarRef:
    """A presenter to prepare in every worker: what ``source`` means is the engine's matter.

    The same presenter in two formats, or made anew, is two avatars with two names. ``prepared`` is
    a folder for what an engine works out of it and would not work out again: it need not be there,
    is removed with the avatar, and is empty where nothing may be kept.
    """

    name: str
    source: str
    picture: PictureFormat
    options: Mapping[str, Json] = field(default_factory=dict)
    engine: EngineSpec = EngineSpec("presenter")
    prepared: str = ""


class AvatarState(StrEnum):
    """How far an avatar is."""

    PREPARING = "preparing"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class AvatarStanding:
    """An avatar in the pool: ready once one worker can render it; ``reason`` why it failed."""

    state: AvatarState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EngineNeeds:
    """What an engine wants to be fed.

    ``lookback_s`` and ``lookahead_s`` are the sound it hears before a batch's first and after its
    last picture; ``batch_pictures`` is the size of a batch at which it works best, and
    ``batches_together`` how many of them, of any tasks, it draws by one pass (``RendersTogether``).
    """

    lookback_s: float
    lookahead_s: float
    batch_pictures: int
    batches_together: int = 1


TOGETHER_AT_MOST = 64
"""Batches of one pass, whatever an engine says: far more than is ever on air at a time."""


@dataclass(frozen=True, slots=True)
class BatchKey:
    """Names one batch; ``first`` is the index of its first picture within the task."""

    channel: str
    task_id: str
    epoch: int
    first: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive pictures of one task, to be rendered by one call.

    Args:
        key: whose pictures these are, from which index on.
        count: how many.
        avatar: name of a prepared avatar; it decides the picture format.
        base_tick: tick at which picture ``key.first`` is to be on air: the idle loop's picture of
            that tick is what the engine draws on.
        sound: the batch's samples with the margins of ``EngineNeeds`` (``windows.sound_span``).
        needed_by: monotonic seconds after which the pictures are of no use any more.
        cues: what else the engine may want to know (a gesture).
    """

    key: BatchKey
    count: int
    avatar: str
    base_tick: int
    sound: Sound = field(compare=False)
    needed_by: float = math.inf
    cues: Mapping[str, Json] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class PictureRef:
    """Where a picture lies in the ring; worth nothing once the slot has a newer generation."""

    slot: int
    generation: int


@dataclass(frozen=True, slots=True)
class BatchDone:
    """A batch is rendered; the pictures stay until whoever holds the ring releases them.

    ``render_s`` is from when its worker began with it, and with those that it drew by the same
    pass.
    """

    key: BatchKey
    pictures: tuple[PictureRef, ...]
    slot: int
    render_s: float
    attempts: int


@dataclass(frozen=True, slots=True)
class BatchLost:
    """A batch will not come: idle pictures take its place. ``reason`` is for an operator."""

    key: BatchKey
    count: int
    reason: str
    attempts: int


BatchResult = BatchDone | BatchLost


DEATHS = ("signal", "exit", "hung", "load")
"""How a worker can end, in one word: "load" is any end before it was ready."""


class SlotState(StrEnum):
    """What the worker of one device is doing."""

    STARTING = "starting"
    READY = "ready"
    BUSY = "busy"
    PREPARING = "preparing"
    """Makes one more avatar ready; renders again right after."""
    ENDING = "ending"
    """Judged hung: its stacks are being dumped, then it is killed."""
    DEAD = "dead"
    """Waits to be started again."""
    PARKED = "parked"
    """Died too often; tried again later."""
    STOPPED = "stopped"


SERVING = frozenset({SlotState.READY, SlotState.BUSY, SlotState.PREPARING})
"""States in which a worker renders, or does so again in a moment."""


@dataclass(frozen=True, slots=True)
class SlotReport:
    """One device for ``/status`` and the metrics; ``since`` and ``retry_at`` monotonic seconds.

    ``deaths`` counts by reason (exit, signal, hung, load); ``fps`` is the measured speed of
    rendering, 0 until something was rendered; ``avatars`` has that speed for each avatar that is
    ready there, as one channel has it: less than ``fps`` where batches of several are drawn
    together.
    """

    slot: int
    device: str
    state: SlotState
    since: float
    pid: int | None
    deaths: Mapping[str, int]
    last_error: str
    batches: int
    batch_s: float
    fps: float
    retry_at: float | None
    avatars: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PoolReport:
    """The whole pool; ``retry_after_s`` is 0 while some device serves or is about to."""

    slots: tuple[SlotReport, ...]
    queued: int
    in_flight: int
    retried: int
    lost: int
    free_pictures: int
    retry_after_s: float

    @property
    def fps(self) -> float:
        """Pictures per second of all devices that serve, as measured."""
        return sum(each.fps for each in self.slots if each.state in SERVING)

    def serves(self, avatar: str) -> bool:
        """Whether some device has the avatar ready and renders, or does so again in a moment."""
        return any(each.state in SERVING and avatar in each.avatars for each in self.slots)

    def fps_of(self, avatar: str) -> float:
        """The same for one avatar; 0 while no device has it ready."""
        serving = [each for each in self.slots if each.state in SERVING]
        return sum(each.avatars.get(avatar, 0.0) for each in serving)


class Engine(Protocol[F]):
    """A lip-sync renderer inside a worker; all calls come from one thread.

    A worker makes the engine by ``registry.make_engine`` when its first avatar comes, and calls
    ``load`` once. For each avatar it calls ``prepare`` and renders a silent batch to warm up; then
    come ``features`` and ``render`` for each batch (``RendersTogether`` for several), at last
    ``forget``. Avatars come and go between batches. Nothing may be remembered from one batch to
    the next: the one before may have been rendered elsewhere.
    """

    @property
    def needs(self) -> EngineNeeds:
        """Constant from ``load`` on."""
        ...

    def load(self, device: str) -> None:
        """Load the models. ``device`` is ``cpu`` or ``cuda:0``: a worker sees one GPU only."""
        ...

    def prepare(self, avatar: AvatarRef) -> None:
        """Make an avatar ready to be rendered.

        Raises:
            AvatarRefused: it can never be; the worker lives on.
            Exception: it cannot be; the worker ends, and says why.
        """
        ...

    def forget(self, name: str) -> None:
        """Free what a prepared avatar holds; it is not rendered any more."""
        ...

    def features(self, sound: Sound, first: int, count: int, fps: int) -> F:
        """What the network hears in a sound window.

        Args:
            sound: pictures ``first`` to ``first + count - 1`` with the margins, as
                ``windows.sound_span`` gives them; silence stands for what lies outside the task.
            first: index of the first picture within the task.
            count: pictures.
            fps: pictures per second.
        """
        ...

    def render(
        self,
        batch: Batch,
        features: F,
        out: Sequence[Picture],
        abandoned: Callable[[], bool],
    ) -> None:
        """Write every picture of the batch into ``out``, which lies in shared memory.

        Args:
            batch: what is asked for; its ``sound`` is the window that ``features`` has seen.
            features: as ``features`` gave them.
            out: ``batch.count`` writable pictures of (height * 3 / 2, width) ``uint8``.
            abandoned: true once nobody wants the batch any more (an interrupt): return early.

        Raises:
            BatchRefused: this input can never be rendered.
        """
        ...


@dataclass(frozen=True, slots=True)
class Job(Generic[F]):
    """A batch to be rendered, with all that ``Engine.render`` takes."""

    batch: Batch
    features: F
    out: Sequence[Picture]
    abandoned: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the job of this index: ``refused`` is why it can never be rendered, or ""."""

    job: int
    refused: str = ""


@runtime_checkable
class RendersTogether(Protocol[F]):
    """An engine that draws batches of several tasks, channels and avatars by one pass."""

    def render_together(self, jobs: Sequence[Job[F]]) -> Iterator[Answer]:
        """Render jobs of avatars of this engine, in any mixture; a picture is that of ``render``.

        Never called with one job, nor with more than ``EngineNeeds.batches_together``. A batch that
        comes alone, or again after its worker died, goes to ``render``.

        Yields:
            One answer per job, as soon as all its pictures are written or it is given up.

        Raises:
            BatchRefused: one of those that are not answered; each is then rendered by itself.
        """
        ...


@runtime_checkable
class WorksOut(Protocol):
    """An engine that works things out of an avatar's pictures and keeps them on the disk."""

    def work_out(self, avatar: str) -> Iterator[tuple[int, int, int]]:
        """Do so for the whole loop of a prepared avatar, beside the air.

        Yields:
            How many pictures are done, how many there are, and how many were done before.
        """
        ...
