"""The ticks of a film: idle, the task with its fades, idle; by the mixer that mixes the air.

Between the task's sound and pictures and the file. A tick that is not there yet is waited for, so
nothing ever runs dry here. Must never change a sample of the task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from broadcaster.errors import RenderError
from broadcaster.formats import AUDIO_CHANNELS
from broadcaster.mixer.blend import Picture
from broadcaster.mixer.mixer import Composition, Mixer
from broadcaster.mixer.schedule import Segment
from broadcaster.playout.rendered import RenderedPictures
from broadcaster.playout.spoken import SpokenSource

WAIT_S = 0.05
"""For an answer of the pool, before anything else is looked at again."""


class FilmTick(NamedTuple):
    """One picture, I420, and its samples, float32 of shape (2, samples per tick)."""

    picture: Picture
    sound: NDArray[np.float32]


class Programme:
    """See the module.

    Args:
        source: the task's sound, with ``pictures``.
        pictures: the task's pictures.
        bring_forward: fetches more of them, waiting for up to the seconds it is given.
        idle: what the idle loop shows at a tick.
        mixer: of the film.
        samples_per_tick: sound samples of one tick.
    """

    def __init__(
        self,
        source: SpokenSource,
        pictures: RenderedPictures,
        bring_forward: Callable[[float], None],
        idle: Callable[[int], Picture],
        mixer: Mixer,
        samples_per_tick: int,
    ) -> None:
        self._source, self._pictures, self._bring_forward = source, pictures, bring_forward
        self._idle, self._mixer = idle, mixer
        self._silence = np.zeros((AUDIO_CHANNELS, samples_per_tick), np.float32)
        self._under: Picture | None = None

    def ticks(self, first: int, start: int, pictures: int, end: int) -> Iterator[FilmTick]:
        """Ticks ``first`` to ``end - 1``.

        Args:
            first: the moment of the idle loop with which the film begins.
            start: at which the task's sound begins.
            pictures: of the task, the fade out included.
            end: one past the last tick.

        Raises:
            RenderError: sound or pictures will never come.
        """
        source = self._source
        self._wait_for(0)  # what is counted from here on is rendering, not loading
        self._mixer.schedule.add(Segment(source, start, start + source.length_ticks, 0))
        for tick in range(first, end):
            if start <= tick < start + pictures:
                self._wait_for(tick - start)
            mixed = self._mixer.sound(tick, lambda: self._silence)
            composition = self._mixer.compose(tick)
            under = self._seen_under(composition, tick)
            picture = self._mixer.draw(composition, tick, under)
            yield FilmTick(picture, self._silence if mixed is None else mixed)

    def _wait_for(self, index: int) -> None:
        """Until the task's picture and sound of ``index`` are there; ask for more on the way."""
        self._bring_forward(0.0)
        while not self._is_there(index):
            if self._source.error:
                raise RenderError(self._source.error)
            self._bring_forward(WAIT_S)

    def _is_there(self, index: int) -> bool:
        if index < self._source.length_ticks:
            return self._source.ready_from(index) > 0
        return self._pictures.ready_from(index) > 0

    def _seen_under(self, composition: Composition, tick: int) -> Picture:
        """The idle picture; an old one where nothing of it shows."""
        covered = not composition.is_idle and self._mixer.idle_shows_from(composition, tick) > tick
        if self._under is None or not covered:
            self._under = self._idle(tick)
        return self._under
