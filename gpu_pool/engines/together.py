"""Jobs of any tasks, channels and avatars on their way through one engine's networks together.

Inside a worker, between the pool's jobs and a neural engine. The next pass is launched before the
faces of the one before are waited for, and the idle pictures are copied meanwhile: on a GPU all of
it overlaps, on a CPU it happens one after the other. A job that is refused or that nobody wants any
more fails alone. After a job's answer its pictures must never be written to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from gpu_pool.contracts import Answer, BatchRefused, Job, Picture
from gpu_pool.engines.pasting import Finish, Paste
from gpu_pool.engines.spoken import speaking


class Idle(Protocol):
    """What stands in the idle loop at a tick."""

    @property
    def picture(self) -> Picture:
        """I420."""
        ...


F = TypeVar("F")
S = TypeVar("S", bound=Idle)


@dataclass(frozen=True, slots=True, eq=False)
class Opened(Generic[F, S]):
    """A job that can be drawn.

    Attributes:
        number: which of the jobs it is.
        job: with what the engine hears.
        shown: what stands in the idle loop at each of its pictures.
        shares: how much of a drawn face each of them shows, 0 to 1.
    """

    number: int
    job: Job[F]
    shown: Sequence[S]
    shares: Sequence[float]


O = TypeVar("O", bound=Opened[Any, Any])  # noqa: E741 (opened)


@dataclass(frozen=True, slots=True, eq=False)
class Spot(Generic[O]):
    """One picture of an opened job into which a face is to be drawn."""

    opened: O
    index: int


@dataclass(frozen=True, slots=True)
class Pass(Generic[O]):
    """What goes through the networks at once.

    Attributes:
        spots: whose faces come of it, in their order.
        draw: launches it; asks before every step whether nobody wants it any more, and gives the
            faces as ``Paste`` takes them, or None then.
    """

    spots: Sequence[Spot[O]]
    draw: Callable[[Callable[[], bool]], Tensor | None]


@dataclass(frozen=True, slots=True)
class Drawing(Generic[F, O]):
    """What an engine does.

    Attributes:
        open: a job by its number.  Raises ``BatchRefused``: it can never be rendered.
        take: of the spots that wait, those that go next.
        paste: how faces get into pictures.
    """

    open: Callable[[int, Job[F]], O]
    take: Callable[[Sequence[Spot[O]]], Pass[O]]
    paste: Paste[Any]


def rendered(drawing: Drawing[F, O], jobs: Sequence[Job[F]]) -> Iterator[Answer]:
    """As ``RendersTogether.render_together``."""
    return _Together(drawing, jobs).answers()


@dataclass(frozen=True, slots=True)
class _Launched(Generic[O]):
    spots: Sequence[Spot[O]]
    finish: Finish


class _Together(Generic[F, O]):
    """The jobs of one call."""

    def __init__(self, drawing: Drawing[F, O], jobs: Sequence[Job[F]]) -> None:
        self._drawing, self._jobs = drawing, jobs
        self._waiting: list[Spot[O]] = []
        self._left: dict[int, int] = {}
        """Number of a job that goes on -> how many of its faces are not in their pictures yet."""
        self._bare: set[int] = set()
        """Jobs in whose pictures the idle loop's do not stand yet."""
        self._told: list[Answer] = []

    def answers(self) -> Iterator[Answer]:
        for number, job in enumerate(self._jobs):
            self._open(number, job)
            yield from self._tell()
        launched: _Launched[O] | None = None
        while self._waiting or launched is not None:
            self._ask(list(self._left))
            yield from self._tell()
            before, launched = launched, self._launch() if self._waiting else None
            if before is not None:
                self._finish(before)
            yield from self._tell()

    def _open(self, number: int, job: Job[F]) -> None:
        try:
            with torch.inference_mode():
                opened = self._drawing.open(number, job)
        except BatchRefused as refused:
            self._told.append(Answer(number, str(refused) or "it cannot be rendered"))
            return
        which = speaking(opened.shares)
        self._left[number] = len(which)
        if self._ask([number]):
            return
        self._waiting += [Spot(opened, index) for index in which]
        self._bare.add(number)
        if not which:
            self._put_idle(opened)
            self._end(number)

    def _launch(self) -> _Launched[O] | None:
        """Launch the next pass and its paste, and lay the idle pictures out meanwhile."""
        taken = self._drawing.take(self._waiting)
        own = set(map(id, taken.spots))
        self._waiting = [spot for spot in self._waiting if id(spot) not in own]
        numbers = list(dict.fromkeys(spot.opened.number for spot in taken.spots))
        with torch.inference_mode():
            levels = taken.draw(partial(self._ask, numbers))
            if levels is None:
                return None
            spots = taken.spots
            shown = [spot.opened.shown[spot.index] for spot in spots]
            shares = [spot.opened.shares[spot.index] for spot in spots]
            finish = self._drawing.paste.start(levels, shown, shares)
        for spot in spots:
            if spot.opened.number in self._left:
                self._put_idle(spot.opened)
        return _Launched(spots, finish)

    def _finish(self, launched: _Launched[O]) -> None:
        wanted = [spot.opened.number in self._left for spot in launched.spots]
        if not any(wanted):
            return
        launched.finish(
            [
                spot.opened.job.out[spot.index] if still else None
                for spot, still in zip(launched.spots, wanted, strict=True)
            ]
        )
        for spot, still in zip(launched.spots, wanted, strict=True):
            number = spot.opened.number
            if still:
                self._left[number] -= 1
                if not self._left[number]:
                    self._end(number)

    def _put_idle(self, opened: O) -> None:
        """Once a job; its drawn faces come later."""
        if opened.number in self._bare:
            self._bare.remove(opened.number)
            for picture, idle in zip(opened.job.out, opened.shown, strict=True):
                picture[:] = idle.picture

    def _ask(self, numbers: Sequence[int]) -> bool:
        """Ask jobs whether they are abandoned; whether all of them are by now."""
        for number in numbers:
            if number in self._left and self._jobs[number].abandoned():
                self._end(number)
                self._waiting = [s for s in self._waiting if s.opened.number != number]
        return not any(number in self._left for number in numbers)

    def _end(self, number: int) -> None:
        del self._left[number]
        self._told.append(Answer(number))

    def _tell(self) -> Iterator[Answer]:
        told, self._told = self._told, []
        yield from told
