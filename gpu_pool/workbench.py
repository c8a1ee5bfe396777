"""The engines of one worker with their avatars, and the ring that they write into.

Inside a worker, behind its line to the pool. An engine is made when its first avatar comes and
stays: models are loaded once. Must never be called by two threads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_pool.contracts import (
    AvatarRef,
    Batch,
    BatchKey,
    BatchRefused,
    Engine,
    EngineNeeds,
    EngineSpec,
    Picture,
)
from gpu_pool.engines.registry import make_engine
from gpu_pool.ring import Mapping
from gpu_pool.windows import sound_span

WARM_ONCE_S = 5.0
"""A silent batch that took so long is not drawn again for a better measure: everybody waits."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    avatar: AvatarRef
    engine: Engine[Any]


class Workbench:
    """See the module.

    Args:
        device: ``cpu`` or ``cuda:0``.
        ring: where pictures go.
    """

    def __init__(self, device: str, ring: Mapping) -> None:
        self._device, self._ring = device, ring
        self._engines: dict[str, Engine[Any]] = {}
        self._avatars: dict[str, _Prepared] = {}

    def load_engine_of(self, avatar: AvatarRef) -> None:
        """Load the models that an avatar needs, unless they are.

        Raises:
            PoolError: there is no such engine.
            ImportError: it needs what is not installed.
        """
        key = _key(avatar.engine)
        if key not in self._engines:
            engine = make_engine(avatar.engine)
            engine.load(self._device)
            self._engines[key] = engine

    def prepare(
        self, avatar: AvatarRef, abandoned: Callable[[], bool] = lambda: False
    ) -> tuple[EngineNeeds, float, int]:
        """Have an avatar ready and warm.

        Args:
            avatar: whose.
            abandoned: asked by the engine between the steps of its silent batches.

        Returns:
            What its engine needs, and the seconds that a silent batch of so many pictures took.
            Once is not enough for a measure: what is set up on first use would count, so the second
            of two is taken, unless the first took so long that this hardly matters.

        Raises:
            AvatarRefused: it can never be ready.
        """
        engine = self._engines[_key(avatar.engine)]
        engine.prepare(avatar)
        needs = engine.needs
        self._avatars[avatar.name] = _Prepared(avatar, engine)
        try:
            took_s = self._render_silence(avatar, needs, abandoned)
            if took_s < WARM_ONCE_S:
                took_s = self._render_silence(avatar, needs, abandoned)
        except BatchRefused:
            self.forget(avatar.name)
            raise
        return needs, took_s, needs.batch_pictures

    def forget(self, name: str) -> None:
        """Free an avatar; one that is not here is no mistake."""
        prepared = self._avatars.pop(name, None)
        if prepared is not None:
            prepared.engine.forget(name)

    def render(self, batch: Batch, slots: Sequence[int], abandoned: Callable[[], bool]) -> float:
        """Render a batch into slots of the ring; seconds that it took.

        Raises:
            BatchRefused: it can never be rendered.
        """
        prepared = self._avatars.get(batch.avatar)
        if prepared is None:
            raise BatchRefused(f"no avatar {batch.avatar!r} was prepared")
        out = [self._ring.picture(slot, prepared.avatar.picture) for slot in slots]
        return self._run(batch, prepared, out, abandoned)

    def _render_silence(
        self, avatar: AvatarRef, needs: EngineNeeds, abandoned: Callable[[], bool]
    ) -> float:
        """Into memory of our own."""
        count = needs.batch_pictures
        start, stop = sound_span(needs, avatar.picture.fps, 0, count)
        key = BatchKey("", "", 0, 0)
        batch = Batch(key, count, avatar.name, 0, np.zeros(stop - start, np.float32))
        out = list(np.zeros((count, *avatar.picture.shape), np.uint8))
        return self._run(batch, self._avatars[avatar.name], out, abandoned)

    @staticmethod
    def _run(
        batch: Batch, prepared: _Prepared, out: Sequence[Picture], abandoned: Callable[[], bool]
    ) -> float:
        began, fps = time.monotonic(), prepared.avatar.picture.fps
        heard = prepared.engine.features(batch.sound, batch.key.first, batch.count, fps)
        prepared.engine.render(batch, heard, out, abandoned)
        return time.monotonic() - began


def _key(spec: EngineSpec) -> str:
    """The same for the same engine with the same options."""
    return json.dumps([spec.name, spec.options], sort_keys=True)
