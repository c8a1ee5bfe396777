"""The engine ``presenter``: the mouth network drives the drawn presenter. The station's default.

Inside a worker. Needs numpy and OpenCV only. The body is the idle loop's at the picture's tick, so
nothing jumps where a task begins or ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.contracts import AvatarRef, AvatarRefused, Batch, EngineNeeds, Json, Picture, Sound
from gpu_pool.engines.mouth import LOOKAHEAD_S, LOOKBACK_S, MouthNet, MouthTrack
from gpu_pool.engines.presenter.body import atlas_in
from gpu_pool.engines.presenter.gestures import AFTER_S, BEFORE_S, accents, gesture
from gpu_pool.engines.presenter.presenter import Presenter
from gpu_pool.engines.presenter.values import AtlasError, Mouth
from gpu_pool.windows import sound_span

BATCH_PICTURES = 10
"""0.4 s at 25 fps: about 40 ms of work, and just the pre-roll that a task begins with."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a window of sound says about its pictures: ``mouths`` (n, 6), ``accents`` (n,)."""

    mouths: MouthTrack
    accents: NDArray[np.float32]


class PresenterEngine:
    """Follows the protocol ``Engine``.

    An avatar's ``source`` is a folder with an atlas for each orientation, or one atlas. Cues:
    ``spoken`` is how many pictures of the task carry sound; ``mouths`` are rows of the mouth track
    for the batch, from a voice that told its phonemes: then the network is not asked.
    """

    needs = EngineNeeds(
        max(LOOKBACK_S, BEFORE_S), max(LOOKAHEAD_S, AFTER_S), batch_pictures=BATCH_PICTURES
    )

    def __init__(self) -> None:
        self._presenters: dict[str, tuple[Presenter, int]] = {}
        self._net: MouthNet | None = None

    def load(self, device: str) -> None:
        """Load the network; the device is of no matter."""
        cv2.setNumThreads(1)
        self._net = MouthNet.load()

    def prepare(self, avatar: AvatarRef) -> None:
        """Load an atlas at the picture's size.

        Raises:
            AvatarRefused: there is none that can be used.
        """
        picture = avatar.picture
        try:
            atlas = atlas_in(Path(avatar.source), picture)
            presenter = Presenter.load(atlas, picture.width, picture.height)
        except (AtlasError, ValueError, OSError) as error:
            raise AvatarRefused(str(error)) from error
        self._presenters[avatar.name] = presenter, picture.fps

    def forget(self, name: str) -> None:
        """Let the atlas go."""
        self._presenters.pop(name, None)

    def features(self, sound: Sound, first: int, count: int, fps: int) -> Heard:
        """Mouth and stress of every picture."""
        assert self._net is not None, "load comes first"
        start, _ = sound_span(self.needs, fps, first, count)
        mouths = self._net.window(sound, start, first, count, fps)
        return Heard(mouths, accents(sound, start, first, count, fps))

    def render(
        self,
        batch: Batch,
        features: Heard,
        out: Sequence[Picture],
        abandoned: Callable[[], bool],
    ) -> None:
        """Draw every picture."""
        presenter, fps = self._presenters[batch.avatar]
        told = batch.cues.get("mouths")
        mouths = np.asarray(told, np.float32) if told else features.mouths
        spoken = int(cast(float, batch.cues.get("spoken", batch.key.first + batch.count)))
        for offset, picture in enumerate(out):
            if abandoned():
                return
            index = batch.key.first + offset
            mouth = Mouth(*(float(value) for value in mouths[offset]))
            moved = gesture(index, spoken, fps, float(features.accents[offset]))
            picture[:] = presenter.picture(batch.base_tick + offset, fps, mouth, moved)


def make(options: Mapping[str, Json]) -> PresenterEngine:
    """The engine; it has no options."""
    if options:
        raise ValueError(f"the presenter has no options, so not {', '.join(options)}")
    return PresenterEngine()
