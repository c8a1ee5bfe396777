"""Which avatars the pool has: those on the channels, those wished there, those still in a task.

Between the studio's casting and the pool. An avatar that nobody needs any more is forgotten, never
one that a task began with.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from broadcaster.avatars.found import FoundAvatar
from broadcaster.avatars.pooled import EngineOptions, avatar_ref, with_options
from broadcaster.studio.backdrop import Backdrop
from gpu_pool.contracts import (
    AvatarRef,
    AvatarStanding,
    AvatarState,
    EngineSpec,
    PoolError,
)
from gpu_pool.pool import Pool


class Wardrobe:
    """The avatars of all channels.

    Args:
        channels: who is on which channel at first.
        in_tasks: the avatars of the tasks that are being rendered, by the pool's names.
        engine: in place of those of the avatars, for tests and drills.
        engines: options of the avatars' own.
    """

    def __init__(
        self,
        channels: dict[str, Backdrop],
        in_tasks: Callable[[], set[str]],
        engine: EngineSpec | None,
        engines: EngineOptions,
    ) -> None:
        self.channels = channels
        self._in_tasks, self._engine, self._engines = in_tasks, engine, engines
        self._pool: Pool | None = None
        self._wished: dict[str, str] = {}
        """Channel -> the avatar that it is to change to, by the pool's name."""
        self._had = {each.avatar.name for each in channels.values()}

    def first(self) -> list[AvatarRef]:
        """What the pool is to begin with."""
        return list({b.avatar.name: self._made(b.avatar) for b in self.channels.values()}.values())

    def serve(self, pool: Pool) -> None:
        """Say what is needed to this pool from now on."""
        self._pool = pool

    def prepare(self, channel: str, avatar: FoundAvatar) -> None:
        """Have the workers prepare an avatar that a channel is to change to."""
        wished = avatar_ref(avatar, self.channels[channel].avatar.picture)
        self._wished[channel] = wished.name
        if self._pool is not None:
            with contextlib.suppress(PoolError):
                self._pool.prepare(self._made(wished))
        self.tidy()

    def standing(self, channel: str, avatar: FoundAvatar) -> AvatarStanding:
        """How far that is; without a pool there is nothing to wait for."""
        if self._pool is None:
            return AvatarStanding(AvatarState.READY)
        return self._pool.standing(avatar_ref(avatar, self.channels[channel].avatar.picture).name)

    def cast(self, channel: str, avatar: FoundAvatar) -> None:
        """Tasks that begin from now on show this avatar; the others keep theirs to their end."""
        backdrop = self.channels[channel]
        shown = avatar_ref(avatar, backdrop.avatar.picture)
        if avatar != backdrop.shown:
            self.channels[channel] = replace(backdrop, shown=avatar, avatar=shown)
            if self._pool is not None:
                with contextlib.suppress(PoolError):
                    self._pool.prepare(self._made(shown))
        if self._wished.get(channel) == shown.name:
            del self._wished[channel]
        self.tidy()

    def give_up(self, channel: str) -> None:
        """A channel does not change after all."""
        self._wished.pop(channel, None)
        self.tidy()

    def tidy(self) -> None:
        """Free what is on no channel, wished on none, and in no task."""
        used = {each.avatar.name for each in self.channels.values()} | set(self._wished.values())
        used |= self._in_tasks()
        if self._pool is not None:
            for name in self._had - used:
                self._pool.forget(name)
        self._had = used

    def _made(self, avatar: AvatarRef) -> AvatarRef:
        if self._engine is not None:
            return replace(avatar, engine=self._engine)
        return with_options(avatar, self._engines)
