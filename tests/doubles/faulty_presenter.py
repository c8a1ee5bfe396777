"""The presenter as it is, with the faults of the simulated engine: named by its module.

Options: ``faults``, as the simulated engine takes them. A fault strikes before (or behind) a
picture while the real engine draws it, in the real worker: what dies or hangs has the atlas, the
network and half a batch in its hands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpu_pool.contracts import AvatarRef, Batch, Json, Picture
from gpu_pool.engines.presenter.engine import Heard, PresenterEngine
from gpu_pool.engines.scripted_faults import FAULTS, LOADING, Fault

NAME = __name__


class FaultyPresenter(PresenterEngine):
    """Draws what the presenter draws, picture by picture, until a fault strikes."""

    def __init__(self, faults: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self._faults = [Fault(**each) for each in faults]

    def prepare(self, avatar: AvatarRef) -> None:
        """Load the atlas, then strike: a load that fails late."""
        super().prepare(avatar)
        self._strike(LOADING, "", False)

    def render(
        self,
        batch: Batch,
        features: Heard,
        out: Sequence[Picture],
        abandoned: Callable[[], bool],
    ) -> None:
        """Every picture by itself, through the engine's own check whether it is wanted."""
        drawn = 0

        def between() -> bool:
            nonlocal drawn
            if drawn:
                self._strike(batch.key.first + drawn - 1, batch.key.task_id, True)
            self._strike(batch.key.first + drawn, batch.key.task_id, False)
            drawn += 1
            return abandoned()

        super().render(batch, features, out, between)
        self._strike(batch.key.first + batch.count - 1, batch.key.task_id, True)

    def _strike(self, index: int, task_id: str, after: bool) -> None:
        for fault in self._faults:
            if fault.is_due(index, task_id, after):
                FAULTS[fault.fault]()


def make(options: Mapping[str, Json]) -> FaultyPresenter:
    given: Any = options.get("faults", [])
    return FaultyPresenter(given)
