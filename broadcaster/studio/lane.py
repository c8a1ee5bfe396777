"""What a channel's studio should do next: decisions only, no I/O, no clock.

A lane holds two tasks at most: the one that is said (or is about to be) and the one after it,
prepared ahead so that tasks go back to back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

HELD_AT_MOST = 2
"""The playout keeps one on air and one waiting."""

DEATHS_AT_MOST = 10
"""A task during which the playout died so often in a row, without being heard any further, is
given up: it may be what brings the playout down."""


class Step(StrEnum):
    """Where a held task is."""

    PREPARING = "preparing"
    READY = "ready"
    SENT = "sent"
    ON_AIR = "on_air"


@dataclass(frozen=True, slots=True)
class Held:
    """A task in the studio's hands; ``samples`` is 0 until its sound is decoded."""

    task_id: str
    step: Step
    samples: int = 0
    played_samples: int = 0
    deaths: int = 0
    heard_at_send: int = 0

    @property
    def hopeless(self) -> bool:
        """True once sending it again makes no sense."""
        return self.deaths >= DEATHS_AT_MOST


@dataclass(frozen=True, slots=True)
class Lane:
    """The tasks of one channel that the studio holds, in the order in which they are said."""

    channel: str
    held: tuple[Held, ...] = ()

    def find(self, task_id: str) -> Held | None:
        """The held task with this id."""
        return next((held for held in self.held if held.task_id == task_id), None)

    def wants_task(self) -> bool:
        """Whether another task should be taken: one at a time is prepared."""
        preparing = any(held.step is Step.PREPARING for held in self.held)
        return len(self.held) < HELD_AT_MOST and not preparing

    def to_send(self) -> Held | None:
        """The task to hand to the playout now; never one past another that was not handed over."""
        for held in self.held:
            if held.step is Step.READY:
                return held
            if held.step is Step.PREPARING:
                return None
        return None

    def added(self, held: Held) -> Lane:
        """With a task behind the others."""
        return replace(self, held=(*self.held, held))

    def adopted(self, held: Held) -> Lane:
        """With a task that the playout is saying already, before the others."""
        return replace(self, held=(held, *self.held))

    def dropped(self, task_id: str) -> Lane:
        """Without a task."""
        return replace(self, held=tuple(held for held in self.held if held.task_id != task_id))

    def prepared(self, task_id: str, samples: int) -> Lane:
        """A task's sound is decoded; one that an earlier studio had handed over stays so."""
        return self._changed(
            task_id,
            lambda held: replace(
                held,
                step=Step.READY if held.step is Step.PREPARING else held.step,
                samples=samples,
            ),
        )

    def sent(self, task_id: str) -> Lane:
        """The playout has taken a task."""
        return self._changed(
            task_id,
            lambda held: replace(held, step=Step.SENT, heard_at_send=held.played_samples),
        )

    def heard(self, task_id: str, played_samples: int) -> Lane:
        """A task is on air, and was heard up to ``played_samples``."""
        return self._changed(
            task_id,
            lambda held: replace(
                held,
                step=Step.ON_AIR,
                played_samples=max(held.played_samples, played_samples),
            ),
        )

    def unsent(self) -> Lane:
        """The playout was lost: what it had must be handed over again."""
        first = self.held[0].task_id if self.held else ""
        return replace(self, held=tuple(_unsent(held, held.task_id == first) for held in self.held))

    def _changed(self, task_id: str, change: Callable[[Held], Held]) -> Lane:
        return replace(
            self,
            held=tuple(change(held) if held.task_id == task_id else held for held in self.held),
        )


def _unsent(held: Held, first: bool) -> Held:
    if held.step not in {Step.SENT, Step.ON_AIR}:
        return held
    if held.played_samples > held.heard_at_send:
        return replace(held, step=Step.READY, deaths=0)
    return replace(held, step=Step.READY, deaths=held.deaths + (1 if first else 0))


def lane_state(lane: Lane, connected: bool) -> str:
    """One word for ``/status``."""
    if lane.held and not connected:
        return "playout_down"
    return lane.held[0].step.value if lane.held else "waiting"
