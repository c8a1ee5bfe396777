"""What the pool and its workers tell each other, as frames on a stream socket.

A frame is two 32-bit lengths, a JSON object, raw bytes (the sound). No pickle: a frame that a dying
worker left half-written is told from a whole one, and nothing that arrives can run code. Values and
their form on the wire only; must never touch a socket.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gpu_pool.contracts import (
    AvatarRef,
    Batch,
    BatchKey,
    EngineNeeds,
    EngineSpec,
    PictureFormat,
)

_LENGTHS = struct.Struct("<II")

MAX_FRAME_BYTES = 64 << 20
"""A minute of sound is 4 MB; what is longer than this is no frame of ours."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """To a worker: have this avatar ready, called ``serial`` in its answers."""

    serial: int
    avatar: AvatarRef


@dataclass(frozen=True, slots=True)
class Begin:
    """First to a worker: its device, and the avatars that it takes before any batch."""

    avatars: tuple[Prepare, ...]
    device: str
    beat_s: float


@dataclass(frozen=True, slots=True)
class Forget:
    """To a worker: no batch of this avatar comes any more."""

    name: str


@dataclass(frozen=True, slots=True)
class Render:
    """To a worker: render this into these slots of the ring."""

    serial: int
    batch: Batch
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Together:
    """To a worker: the next so many messages are batches to be drawn by one pass."""

    batches: int


@dataclass(frozen=True, slots=True)
class LeaveOff:
    """To a worker: nobody waits for the batch any more."""

    serial: int


@dataclass(frozen=True, slots=True)
class Preparing:
    """From a worker: it begins with an avatar, or first (``loads``) with the models for it."""

    serial: int
    loads: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """From a worker: an avatar is ready; a silent batch of ``pictures`` took ``warm_s``."""

    serial: int
    needs: EngineNeeds
    warm_s: float
    pictures: int


@dataclass(frozen=True, slots=True)
class NotPrepared:
    """From a worker: an avatar will never be ready, and why; the worker is well."""

    serial: int
    reason: str


@dataclass(frozen=True, slots=True)
class Ready:
    """From a worker: it is through with the avatars of its beginning and takes batches."""


@dataclass(frozen=True, slots=True)
class Beat:
    """From a worker: a sign of life; ``steps`` is how often its engine has gone on so far."""

    steps: int = 0


@dataclass(frozen=True, slots=True)
class Rendered:
    """From a worker: through with a batch, so many seconds after it began with its flight."""

    serial: int
    render_s: float


@dataclass(frozen=True, slots=True)
class Refused:
    """From a worker: its engine will never render this batch."""

    serial: int
    reason: str


ToWorker = Begin | Prepare | Forget | Render | Together | LeaveOff
FromWorker = Ready | Preparing | Prepared | NotPrepared | Beat | Rendered | Refused
Message = ToWorker | FromWorker

_KINDS: Mapping[str, type[Message]] = {
    each.__name__: each
    for each in (
        *(Begin, Prepare, Forget, Render, Together, LeaveOff),
        *(Ready, Preparing, Prepared, NotPrepared, Beat, Rendered, Refused),
    )
}


def encode(message: Message) -> bytes:
    """One frame."""
    sound: bytes | memoryview = b""
    if isinstance(message, Render):
        # Not copied before it is joined: hundreds of kilobytes are new pages each time.
        sound = np.ascontiguousarray(message.batch.sound, np.float32).view(np.uint8).data
        batch = message.batch
        fields: dict[str, Any] = {
            "serial": message.serial,
            "slots": message.slots,
            "key": asdict(batch.key),
            "batch": [batch.count, batch.avatar, batch.base_tick],
            "cues": batch.cues,
        }
    else:
        fields = asdict(message)
    head = json.dumps([type(message).__name__, fields], separators=(",", ":")).encode()
    return b"".join((_LENGTHS.pack(len(head), len(sound)), head, sound))


class FrameReader:
    """Cuts a byte stream into messages; feed it what ``recv`` gave."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes | memoryview) -> list[Message]:
        """The messages completed by ``data``.

        Raises:
            ValueError: what came is no frame of ours.
        """
        self._pending += data
        found: list[Message] = []
        while len(self._pending) >= _LENGTHS.size:
            head, sound = _LENGTHS.unpack_from(self._pending)
            size = _LENGTHS.size + head + sound
            if size > MAX_FRAME_BYTES:
                raise ValueError(f"a frame of {size} bytes")
            if len(self._pending) < size:
                break
            with memoryview(self._pending) as frame:
                body = _LENGTHS.size + head
                parts = bytes(frame[_LENGTHS.size : body]), bytes(frame[body:size])
            del self._pending[:size]
            found.append(_decode(*parts))
        return found


def _decode(head: bytes, sound: bytes) -> Message:
    try:
        name, fields = json.loads(head)
        kind = _KINDS[name]
        if kind is Begin:
            avatars = tuple(_prepare(each) for each in fields["avatars"])
            return Begin(avatars, fields["device"], fields["beat_s"])
        if kind is Prepare:
            return _prepare(fields)
        if kind is Render:
            return _render(fields, sound)
        if kind is Prepared:
            return Prepared(**{**fields, "needs": EngineNeeds(**fields["needs"])})
        return kind(**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no frame of ours: {error!r}") from error


def _prepare(fields: Mapping[str, Any]) -> Prepare:
    avatar: Mapping[str, Any] = fields["avatar"]
    made = {"picture": PictureFormat(**avatar["picture"]), "engine": EngineSpec(**avatar["engine"])}
    return Prepare(fields["serial"], AvatarRef(**{**avatar, **made}))


def _render(fields: Mapping[str, Any], sound: bytes) -> Render:
    count, avatar, base_tick = fields["batch"]
    batch = Batch(
        key=BatchKey(**fields["key"]),
        count=count,
        avatar=avatar,
        base_tick=base_tick,
        sound=np.frombuffer(sound, np.float32),
        cues=fields["cues"],
    )
    return Render(fields["serial"], batch, tuple(fields["slots"]))
