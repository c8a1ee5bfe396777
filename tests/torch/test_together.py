"""Jobs that go through an engine together: in which order, and what becomes of each alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from gpu_pool.contracts import Answer, Batch, BatchKey, BatchRefused, Job, Picture
from gpu_pool.engines.pasting import Finish
from gpu_pool.engines.portions import PassSizes, batches_together, filled
from gpu_pool.engines.together import Drawing, Opened, Pass, Spot, rendered

IDLE, DRAWN, UNTOUCHED = 1, 2, 7
CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")


@dataclass(frozen=True, slots=True)
class Standing:
    picture: Picture


Sounding = Opened[str, Standing]


@dataclass
class Painter:
    """An engine of passes of ``size`` pictures that writes down what it does; a job's features are
    the reason why it cannot be rendered, or ""."""

    size: int
    events: list[str] = field(default_factory=list)

    def drawing(self) -> Drawing[str, Sounding]:
        return Drawing(self.open, self.take, self)

    def open(self, number: int, job: Job[str]) -> Sounding:
        if job.features:
            raise BatchRefused(job.features)
        count = job.batch.count
        shares = [1.0 if index < job.batch.cues["spoken"] else 0.0 for index in range(count)]  # type: ignore[operator]
        standing = [Standing(np.full((6, 4), IDLE, np.uint8)) for _ in range(count)]
        return Opened(number, job, standing, shares)

    def take(self, waiting: Sequence[Spot[Sounding]]) -> Pass[Sounding]:
        spots = waiting[: self.size]

        def draw(abandoned: Callable[[], bool]) -> Tensor | None:
            names = "".join(f"{spot.opened.number}{'abcdefgh'[spot.index]}" for spot in spots)
            self.events.append(f"launch {names}")
            return None if abandoned() else torch.zeros(len(spots), 3, 2, 2)

        return Pass(spots, draw)

    def start(self, levels: Tensor, shown: Sequence[Standing], shares: Sequence[float]) -> Finish:
        assert len(levels) == len(shown) == len(shares)
        number = sum(event.startswith("launch") for event in self.events) - 1

        def finish(out: Sequence[Picture | None]) -> None:
            self.events.append(f"finish {number}")
            for picture in out:
                if picture is not None:
                    assert (picture == IDLE).all(), "the idle picture stands there already"
                    picture[:] = DRAWN

        return finish


def asked(*answers: bool) -> Callable[[], bool]:
    """These, and the last one again and again."""
    left: Iterator[bool] = iter(answers)
    return lambda: next(left, answers[-1])


def job(
    count: int,
    spoken: int | None = None,
    refused: str = "",
    abandoned: Callable[[], bool] = lambda: False,
) -> Job[str]:
    cues = {"spoken": count if spoken is None else spoken}
    sound = np.zeros(0, np.float32)
    batch = Batch(BatchKey("main", "a", 0, 0), count, "her", 0, sound, cues=cues)
    out = [np.full((6, 4), UNTOUCHED, np.uint8) for _ in range(count)]
    return Job(batch, refused, out, abandoned)


def looks(one: Job[str]) -> list[int]:
    assert all((picture == picture[0, 0]).all() for picture in one.out)
    return [int(picture[0, 0]) for picture in one.out]


def answers(painter: Painter, *jobs: Job[str]) -> list[Answer]:
    return list(rendered(painter.drawing(), jobs))


def test_the_next_pass_is_launched_before_the_one_before_is_waited_for() -> None:
    painter = Painter(2)
    assert answers(painter, job(5)) == [Answer(0)]
    assert painter.events == [
        *("launch 0a0b", "launch 0c0d", "finish 0", "launch 0e", "finish 1", "finish 2"),
    ]


def test_pictures_of_several_jobs_share_a_pass_and_each_is_answered_when_it_is_done() -> None:
    painter, jobs = Painter(3), [job(2), job(3), job(1)]
    found = []
    for answer in rendered(painter.drawing(), jobs):
        found.append(answer.job)
        assert looks(jobs[answer.job]) == [DRAWN] * jobs[answer.job].batch.count
        if answer.job == 0:
            assert painter.events == ["launch 0a0b1a", "launch 1b1c2a", "finish 0"]
    assert found == [0, 1, 2]
    assert painter.events[-1] == "finish 1"


def test_where_nothing_is_said_idle_pictures_are_enough() -> None:
    painter, silent, ending = Painter(4), job(3, spoken=0), job(3, spoken=1)
    assert answers(painter, silent, ending) == [Answer(0), Answer(1)]
    assert looks(silent) == [IDLE] * 3
    assert looks(ending) == [DRAWN, IDLE, IDLE]
    assert painter.events == ["launch 1a", "finish 0"]


def test_a_refused_job_fails_alone() -> None:
    painter, jobs = Painter(8), [job(2), job(2, refused="no number"), job(2)]
    assert answers(painter, *jobs) == [Answer(1, "no number"), Answer(0), Answer(2)]
    assert [looks(each) for each in jobs] == [[DRAWN] * 2, [UNTOUCHED] * 2, [DRAWN] * 2]


@pytest.mark.parametrize("before", [0, 1, 2])
def test_an_abandoned_job_fails_alone_wherever_it_is(before: int) -> None:
    """When its pass is under way nothing of it is written any more, before that nothing drawn."""
    gone = job(2, abandoned=asked(*[False] * before, True))
    painter, jobs = Painter(8), [job(2), gone, job(2)]
    found = answers(painter, *jobs)
    assert sorted(each.job for each in found) == [0, 1, 2]
    assert found[0] == Answer(1)
    assert painter.events[0] == ("launch 0a0b1a1b2a2b" if before == 2 else "launch 0a0b2a2b")
    assert [looks(each) for each in jobs] == [[DRAWN] * 2, [UNTOUCHED] * 2, [DRAWN] * 2]


def test_an_abandoned_jobs_pictures_that_still_wait_are_not_drawn() -> None:
    # Asked when it is opened, before each of two passes, and in both of them.
    gone = job(6, abandoned=asked(*[False] * 4, True))
    painter, other = Painter(2), job(1)
    assert answers(painter, gone, other) == [Answer(0), Answer(1)]
    assert painter.events == ["launch 0a0b", "launch 0c0d", "launch 1a", "finish 2"]
    assert looks(other) == [DRAWN]


def test_after_its_answer_a_jobs_pictures_are_left_alone() -> None:
    gone = job(4, abandoned=asked(*[False] * 3, True))
    painter, other = Painter(2), job(1)
    for answer in rendered(painter.drawing(), [gone, other]):
        if answer.job == 0:
            for picture in gone.out:
                picture[:] = UNTOUCHED
    assert looks(gone) == [UNTOUCHED] * 4
    assert looks(other) == [DRAWN]


def test_a_pass_that_nobody_wants_any_more_ends() -> None:
    painter, gone = Painter(8), job(2, abandoned=asked(False, False, True))
    assert answers(painter, gone) == [Answer(0)]
    assert painter.events == ["launch 0a0b"]
    assert looks(gone) == [UNTOUCHED] * 2


def test_no_jobs_are_no_answers() -> None:
    assert answers(Painter(2)) == []


@pytest.mark.parametrize(
    ("device", "dtype", "passes"),
    [
        (CPU, torch.float32, [(21, 21)]),
        (CPU, torch.bfloat16, [(4, 4)] * 5 + [(1, 4)]),
        (CUDA, torch.bfloat16, [(12, 12), (9, 12)]),
        (CUDA, torch.float32, [(12, 12), (9, 12)]),
    ],
)
def test_passes_have_few_sizes_where_sizes_matter(
    device: torch.device, dtype: torch.dtype, passes: list[tuple[int, int]]
) -> None:
    sizes = PassSizes.of(4, 3, device, dtype)
    cut = list(sizes.portions(21))
    assert [(real, len(entries)) for entries, real in cut] == passes
    assert [n for entries, real in cut for n in entries[:real]] == list(range(21))


@pytest.mark.parametrize(("waiting", "whole"), [(1, 4), (4, 4), (5, 8), (12, 12), (13, 12)])
def test_a_pass_is_as_large_as_it_has_to_be(waiting: int, whole: int) -> None:
    real, size = PassSizes(4, 3, fixed=True).next(waiting)
    assert (real, size) == (min(waiting, 12), whole)
    assert filled(range(real), size)[real:] == [real - 1] * (size - real)


def test_how_many_batches_one_pass_draws_is_the_devices_matter_unless_told() -> None:
    assert [batches_together(0, each) for each in (CPU, CUDA)] == [1, 4]
    assert [batches_together(3, each) for each in (CPU, CUDA)] == [3, 3]
