"""A worker's bench: batches drawn together are answered one by one, whatever their engine does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_pool.contracts import (
    Answer,
    AvatarRef,
    Batch,
    BatchRefused,
    EngineNeeds,
    EngineSpec,
    Job,
    Json,
    PictureRef,
    PoolError,
)
from gpu_pool.engines.simulated import Simulated, read_stamp, task_number
from gpu_pool.ring import Mapping as RingMapping
from gpu_pool.ring import Ring
from gpu_pool.workbench import Given, Workbench
from tests.doubles.pool_stage import AVATAR, TINY, PoolStage, no_sound

Heard = NDArray[np.uint32]


class Moody(Simulated):
    """Draws together what it is given, and as its option says refuses it, or forgets some of it."""

    passes: list[int]
    """How many batches each pass of the last engine made had."""

    def __init__(self, mood: str = "", **options: Any) -> None:
        super().__init__(**options)
        self._mood, Moody.passes = mood, []

    def render_together(self, jobs: Sequence[Job[Heard]]) -> Iterator[Answer]:
        warming_up = not jobs[0].batch.key.task_id
        self.passes.append(len(jobs))
        answers = super().render_together(jobs)
        if warming_up or not self._mood:
            yield from answers
            return
        yield next(answers)
        if self._mood == "refuses":
            raise BatchRefused("one of them")


def make(options: Mapping[str, Json]) -> Moody:
    given: dict[str, Any] = dict(options)
    return Moody(**given)


def avatar(name: str = AVATAR.name, **options: Json) -> AvatarRef:
    return replace(AVATAR, name=name, engine=EngineSpec(__name__, options))


class Bench:
    """A workbench with a ring of its own, and what it has drawn."""

    def __init__(self, folder: Path, *avatars: AvatarRef) -> None:
        self.ring = Ring(32, TINY.picture_bytes, folder)
        descriptor = self.ring.open_for_worker()
        self.bench = Workbench("cpu", RingMapping(descriptor, writable=True))
        os.close(descriptor)
        self.needs: list[EngineNeeds] = []
        for each in avatars:
            self.bench.load_engine_of(each)
            self.needs.append(self.bench.prepare(each)[0])
        self.given: list[tuple[Batch, Sequence[PictureRef]]] = []

    def give(self, task: str, avatar: str = AVATAR.name, wanted: bool = True) -> Given:
        batch = replace(PoolStage.batch(task, no_sound(4), 0, 4), avatar=avatar)
        refs = self.ring.take(4)
        self.given.append((batch, refs))
        return Given(batch, [ref.slot for ref in refs], lambda: not wanted)

    def drawn(self, number: int) -> bool:
        """Whether every picture of a batch is there."""
        batch, refs = self.given[number]
        pictures = [self.ring.picture(ref, TINY) for ref in refs]
        if not np.any(pictures):
            return False
        stamps = [read_stamp(picture) for picture in pictures]
        return [(s.task, s.picture) for s in stamps] == [
            (task_number(batch.key.task_id), index) for index in range(4)
        ]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:

        def opened(*avatars: AvatarRef) -> Bench:
            made = Bench(tmp_path, *avatars)
            stack.callback(made.ring.close)
            return made

        yield opened


def test_batches_of_several_avatars_are_drawn_by_one_pass(bench: Any) -> None:
    made: Bench = bench(avatar(together=4), avatar("leon", together=4))
    Moody.passes.clear()
    given = [made.give("a"), made.give("b", "leon"), made.give("c")]
    answers = list(made.bench.render_together(given))
    assert [answer for answer, _ in answers] == [Answer(0), Answer(1), Answer(2)]
    assert Moody.passes == [3]
    assert all(made.drawn(n) for n in range(3))
    seconds = [took_s for _, took_s in answers]
    assert 0 < seconds[0] <= seconds[1] <= seconds[2]


def test_silent_batches_of_the_beginning_are_drawn_in_every_number_together(bench: Any) -> None:
    made: Bench = bench(avatar(together=4))
    assert Moody.passes == [2, 3, 4]
    assert made.needs[0].batches_together == 4


def test_an_engine_that_draws_one_at_a_time_is_warmed_up_as_ever(bench: Any) -> None:
    bench(avatar())
    assert Moody.passes == []


def test_no_engine_draws_more_together_than_it_can(bench: Any) -> None:
    """It says so, but has nothing to do it with; or it says a number that cannot be meant."""
    boastful = EngineSpec("tests.doubles.boastful_engine", {"together": 4})
    assert bench(replace(AVATAR, engine=boastful)).needs[0].batches_together == 1
    assert bench(avatar(together=500)).needs[0].batches_together == 64


def test_batches_of_two_engines_are_drawn_by_a_pass_each(bench: Any) -> None:
    made: Bench = bench(avatar(together=4), avatar("leon", together=4, picture_s=0.0))
    Moody.passes.clear()
    given = [made.give("a"), made.give("b", "leon"), made.give("c"), made.give("d", "leon")]
    answers = [answer.job for answer, _ in made.bench.render_together(given)]
    assert answers == [0, 2, 1, 3]
    assert all(made.drawn(n) for n in range(4))


def test_what_nobody_wants_and_what_has_no_avatar_is_left_out(bench: Any) -> None:
    made: Bench = bench(avatar(together=4))
    given = [made.give("a", wanted=False), made.give("b", "nobody"), made.give("c")]
    answers = list(made.bench.render_together(given))
    assert answers[0] == (Answer(0), 0.0)
    assert answers[1][0] == Answer(1, "no avatar 'nobody' was prepared")
    assert answers[2][0] == Answer(2)
    assert [made.drawn(n) for n in range(3)] == [False, False, True]


def test_when_one_of_several_is_refused_unnamed_each_of_the_others_is_drawn_alone(
    bench: Any,
) -> None:
    made: Bench = bench(avatar(together=4, mood="refuses"))
    answers = [answer for answer, _ in made.bench.render_together([*map(made.give, "abc")])]
    assert answers == [Answer(0), Answer(1), Answer(2)]
    assert all(made.drawn(n) for n in range(3))


def test_an_engine_that_forgets_a_batch_is_not_trusted_any_more(bench: Any) -> None:
    made: Bench = bench(avatar(together=4, mood="forgets"))
    with pytest.raises(PoolError, match="not answered 2 of 3"):
        list(made.bench.render_together([*map(made.give, "abc")]))
