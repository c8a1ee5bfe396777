"""What the mixer asks of a task: its sound and its pictures, by index. Fallible by type."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from broadcaster.mixer.blend import Picture


class TaskSource(Protocol):
    """One task's material, cut into ticks; index 0 is its first tick.

    Nothing here may block: what is not there yet is None, and the mixer goes to idle.
    """

    @property
    def task_id(self) -> str:
        """The task's id."""
        ...

    @property
    def length_ticks(self) -> int:
        """Ticks that carry sound; pictures go on after them for the fade out."""
        ...

    @property
    def error(self) -> str:
        """Why no more material will come, for people; empty while all is well."""
        ...

    def idle_from(self, index: int) -> int | None:
        """The first index from ``index`` on whose picture shows anything of idle, as far as known.

        None when none does: idle then need not be decoded for it.
        """
        ...

    def sound(self, index: int) -> NDArray[np.float32] | None:
        """The samples of tick ``index``, float32 of shape (2, samples per tick), or None if dry."""
        ...

    def ready_from(self, index: int) -> int:
        """How many ticks from ``index`` on could be played through now."""
        ...

    def picture(self, index: int, idle: Picture) -> Picture:
        """The picture of ``index`` (>= length in the fade out); ``idle`` is what idle shows."""
        ...

    def played_samples(self, index: int) -> int:
        """Samples of the whole task that have been on air once ``index`` ticks have."""
        ...

    def close(self) -> None:
        """Release what the source holds; called once, when it will not be asked again."""
        ...
