"""An engine that says that it draws several batches by one pass, and cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gpu_pool.contracts import AvatarRef, Batch, EngineNeeds, Json, Picture, Sound


class Boastful:
    """Draws black pictures."""

    def __init__(self, together: int) -> None:
        self.needs = EngineNeeds(0.2, 0.2, 8, together)

    def load(self, device: str) -> None:
        """Nothing."""

    def prepare(self, avatar: AvatarRef) -> None:
        """Nothing."""

    def forget(self, name: str) -> None:
        """Nothing."""

    def features(self, _sound: Sound, _first: int, _count: int, _fps: int) -> None:
        """Nothing."""

    def render(
        self, _batch: Batch, _heard: None, out: Sequence[Picture], _abandoned: Callable[[], bool]
    ) -> None:
        for picture in out:
            picture[:] = 16


def make(options: Mapping[str, Json]) -> Boastful:
    return Boastful(int(str(options["together"])))
