"""What the dispatcher orders whoever owns the worker processes to do.

Values only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gpu_pool.contracts import AvatarRef, Batch, PictureRef


@dataclass(frozen=True, slots=True)
class Start:
    """Start a worker on a slot; it prepares ``avatars``, by serial, before any batch."""

    slot: int
    avatars: tuple[tuple[int, AvatarRef], ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Learn:
    """Have a worker prepare one more avatar."""

    slot: int
    serial: int
    avatar: AvatarRef


@dataclass(frozen=True, slots=True)
class Unlearn:
    """Tell a worker that an avatar is not rendered any more."""

    slot: int
    name: str


@dataclass(frozen=True, slots=True)
class Send:
    """Give a worker a batch."""

    slot: int
    serial: int
    batch: Batch
    pictures: tuple[PictureRef, ...]


@dataclass(frozen=True, slots=True)
class SendTogether:
    """Give a worker several batches, to be drawn by one pass."""

    slot: int
    batches: tuple[Send, ...]


@dataclass(frozen=True, slots=True)
class Abandon:
    """Tell a worker that nobody waits for a batch of its."""

    slot: int
    serial: int


@dataclass(frozen=True, slots=True)
class Dump:
    """Ask a hung worker for its stacks."""

    slot: int
    reason: str


@dataclass(frozen=True, slots=True)
class Kill:
    """End a worker."""

    slot: int


Order = Start | Learn | Unlearn | Send | SendTogether | Abandon | Dump | Kill
