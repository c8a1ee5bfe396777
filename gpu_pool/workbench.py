"""The engines of one worker with their avatars, and the ring that they write into.

Inside a worker, behind its line to the pool. An engine is made when its first avatar comes and
stays: models are loaded once. Must never be called by two threads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpu_pool.contracts import (
    TOGETHER_AT_MOST,
    Answer,
    AvatarRef,
    Batch,
    BatchKey,
    BatchRefused,
    Engine,
    EngineNeeds,
    EngineSpec,
    Job,
    Picture,
    PoolError,
    RendersTogether,
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


@dataclass(frozen=True, slots=True)
class Given:
    """A batch with its slots of the ring; ``abandoned`` once nobody wants it any more."""

    batch: Batch
    slots: Sequence[int]
    abandoned: Callable[[], bool]


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
            of two is taken, unless the first took so long that this hardly matters. An engine that
            draws several together does so with every number of them, too: its shapes are set up
            before the air.

        Raises:
            AvatarRefused: it can never be ready.
        """
        engine = self._engines[_key(avatar.engine)]
        engine.prepare(avatar)
        needs = _needs(engine)
        self._avatars[avatar.name] = _Prepared(avatar, engine)
        try:
            took_s = self._render_silence(avatar, needs, abandoned)
            if took_s < WARM_ONCE_S:
                took_s = self._render_silence(avatar, needs, abandoned)
                for together in range(2, needs.batches_together + 1):
                    self._render_silence_together(avatar, needs, together, abandoned)
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
        prepared, out = self._place(batch, slots)
        return self._run(batch, prepared, out, abandoned)

    def render_together(self, given: Sequence[Given]) -> Iterator[tuple[Answer, float]]:
        """Render batches by one pass per engine, as far as engines do that.

        Yields:
            One answer per batch, by its index, as soon as it is through, and the seconds since the
            beginning. What nobody wanted from the start takes none.
        """
        began = time.monotonic()
        by_engine: dict[int, tuple[Engine[Any], list[int], list[Job[Any]]]] = {}
        for index, each in enumerate(given):
            if each.abandoned():
                yield Answer(index), 0.0
                continue
            try:
                engine, job = self._job(each)
            except BatchRefused as refusal:
                yield Answer(index, _reason(refusal)), time.monotonic() - began
                continue
            _, indices, jobs = by_engine.setdefault(id(engine), (engine, [], []))
            indices.append(index)
            jobs.append(job)
        for engine, indices, jobs in by_engine.values():
            for answer in _draw(engine, jobs):
                took_s = time.monotonic() - began
                yield Answer(indices[answer.job], answer.refused), took_s

    def _job(self, given: Given) -> tuple[Engine[Any], Job[Any]]:
        batch = given.batch
        prepared, out = self._place(batch, given.slots)
        fps = prepared.avatar.picture.fps
        heard = prepared.engine.features(batch.sound, batch.key.first, batch.count, fps)
        return prepared.engine, Job(batch, heard, out, given.abandoned)

    def _place(self, batch: Batch, slots: Sequence[int]) -> tuple[_Prepared, list[Picture]]:
        prepared = self._avatars.get(batch.avatar)
        if prepared is None:
            raise BatchRefused(f"no avatar {batch.avatar!r} was prepared")
        return prepared, [self._ring.picture(slot, prepared.avatar.picture) for slot in slots]

    def _render_silence(
        self, avatar: AvatarRef, needs: EngineNeeds, abandoned: Callable[[], bool]
    ) -> float:
        """Into memory of our own."""
        batch, out = _silence(avatar, needs)
        return self._run(batch, self._avatars[avatar.name], out, abandoned)

    def _render_silence_together(
        self,
        avatar: AvatarRef,
        needs: EngineNeeds,
        together: int,
        abandoned: Callable[[], bool],
    ) -> None:
        """All into the same memory: they are the same pictures."""
        batch, out = _silence(avatar, needs)
        engine = self._engines[_key(avatar.engine)]
        heard = engine.features(batch.sound, 0, batch.count, avatar.picture.fps)
        for answer in _draw(engine, [Job(batch, heard, out, abandoned)] * together):
            if answer.refused:
                raise BatchRefused(answer.refused)

    @staticmethod
    def _run(
        batch: Batch, prepared: _Prepared, out: Sequence[Picture], abandoned: Callable[[], bool]
    ) -> float:
        began, fps = time.monotonic(), prepared.avatar.picture.fps
        heard = prepared.engine.features(batch.sound, batch.key.first, batch.count, fps)
        prepared.engine.render(batch, heard, out, abandoned)
        return time.monotonic() - began


def _draw(engine: Engine[Any], jobs: Sequence[Job[Any]]) -> Iterator[Answer]:
    """Jobs of one engine, together if it can and there are several; one after the other if not."""
    left = dict(enumerate(jobs))
    if len(jobs) > 1 and isinstance(engine, RendersTogether):
        try:
            for answer in engine.render_together(jobs):
                del left[answer.job]
                yield answer
        except BatchRefused:
            pass  # one of those that are left, which is not said: each shows by itself
        else:
            if left:
                raise PoolError(f"the engine has not answered {len(left)} of {len(jobs)} batches")
    for index, job in left.items():
        try:
            engine.render(job.batch, job.features, job.out, job.abandoned)
        except BatchRefused as refusal:
            yield Answer(index, _reason(refusal))
        else:
            yield Answer(index)


def _reason(refusal: BatchRefused) -> str:
    return str(refusal) or "its engine gives no reason"


def _needs(engine: Engine[Any]) -> EngineNeeds:
    """What an engine wants; batches together only where it can draw them so."""
    most = TOGETHER_AT_MOST if isinstance(engine, RendersTogether) else 1
    return replace(engine.needs, batches_together=min(engine.needs.batches_together, most))


def _silence(avatar: AvatarRef, needs: EngineNeeds) -> tuple[Batch, list[Picture]]:
    """A batch without sound, and memory of our own to draw it into."""
    count = needs.batch_pictures
    start, stop = sound_span(needs, avatar.picture.fps, 0, count)
    sound = np.zeros(stop - start, np.float32)
    batch = Batch(BatchKey("", "", 0, 0), count, avatar.name, 0, sound)
    return batch, list(np.zeros((count, *avatar.picture.shape), np.uint8))


def _key(spec: EngineSpec) -> str:
    """The same for the same engine with the same options."""
    return json.dumps([spec.name, spec.options], sort_keys=True)
