"""What the neural engines have in common: rendering alone is rendering together, of one.

Inside a worker; knows nothing of any network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

import torch

from gpu_pool.contracts import Answer, Batch, BatchRefused, EngineNeeds, Job, Picture
from gpu_pool.engines.graphs import Replayed
from gpu_pool.engines.pasting import DevicePaste, HostPaste, LaidOut, Paste, pastes_on
from gpu_pool.engines.photo.box import Bgr
from gpu_pool.engines.portions import batches_together
from gpu_pool.engines.together import Drawing, F, O, Pass, Spot, rendered

S = TypeVar("S", bound=LaidOut)


class Wishes(Protocol):
    """Options that every neural engine has."""

    @property
    def batches_together(self) -> int:
        """0 leaves it to the device."""
        ...

    @property
    def paste(self) -> str:
        """See ``pasting.where``."""
        ...

    @property
    def graphs(self) -> bool:
        """A GPU replays passes it has recorded."""
        ...

    @property
    def conformance(self) -> bool:
        """Faces go back in the authors' own arithmetic."""
        ...


class TogetherEngine(ABC, Generic[F, O, S]):
    """Follows ``RendersTogether``, and the part of ``Engine`` that renders."""

    needs: EngineNeeds
    _pasted_on: torch.device | None = None
    """The device on which faces are pasted, or None: on the host."""

    def render(
        self,
        batch: Batch,
        features: F,
        out: Sequence[Picture],
        abandoned: Callable[[], bool],
    ) -> None:
        """Draw every picture.

        Raises:
            BatchRefused: this input can never be rendered.
        """
        for answer in self.render_together([Job(batch, features, out, abandoned)]):
            if answer.refused:
                raise BatchRefused(answer.refused)

    def render_together(self, jobs: Sequence[Job[F]]) -> Iterator[Answer]:
        """As ``RendersTogether``."""
        on_host = self._pasted_on is None
        paste: Paste[S] = HostPaste(self._paste) if on_host else DevicePaste()
        return rendered(Drawing(self._opened, self._taken, paste), jobs)

    def _settle(self, wishes: Wishes, device: torch.device, replayed: Iterable[Replayed]) -> None:
        """Settle what the options leave to the device; once it is loaded."""
        for each in replayed:
            each.enabled = wishes.graphs
        torch.backends.cudnn.benchmark = device.type == "cuda"  # shapes are few there
        together = batches_together(wishes.batches_together, device)
        self.needs = replace(self.needs, batches_together=together)
        self._pasted_on = pastes_on(wishes.paste, wishes.conformance, device)

    @abstractmethod
    def _opened(self, number: int, job: Job[F]) -> O:
        """See ``Drawing.open``."""

    @abstractmethod
    def _taken(self, waiting: Sequence[Spot[O]]) -> Pass[O]:
        """See ``Drawing.take``."""

    @abstractmethod
    def _paste(self, picture: Picture, idle: S, face: Bgr, share: float) -> None:
        """Put a face into a picture on the host."""
