"""The engine ``photo``: the mouth network drives any portrait, a picture or a clip.

Inside a worker. Needs numpy, OpenCV and PyAV only. The body is the idle loop's at the picture's
tick, so nothing jumps where a task begins or ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.contracts import AvatarRef, Batch, EngineNeeds, Json, Picture, Sound
from gpu_pool.engines.mouth import LOOKAHEAD_S, LOOKBACK_S, MouthNet, MouthTrack
from gpu_pool.engines.photo.body import Body, load
from gpu_pool.engines.presenter.gestures import AFTER_S, BEFORE_S, accents, gesture
from gpu_pool.engines.presenter.values import REST, Mouth
from gpu_pool.windows import sound_span

BATCH_PICTURES = 10
"""0.4 s at 25 fps: about 40 ms of work, and one group of a clip's pictures."""

_EASE_PICTURES = 2
"""A task's first and last picture are those of the idle loop; so soon the mouth is free."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a window of sound says about its pictures: ``mouths`` (n, 6), ``accents`` (n,)."""

    mouths: MouthTrack
    accents: NDArray[np.float32]


class PhotoEngine:
    """Follows the protocol ``Engine``.

    An avatar's ``source`` is its folder. Cues as the presenter's: ``spoken`` is how many pictures
    of the task carry sound; ``mouths`` are rows of the mouth track for the batch.
    """

    needs = EngineNeeds(
        max(LOOKBACK_S, BEFORE_S), max(LOOKAHEAD_S, AFTER_S), batch_pictures=BATCH_PICTURES
    )

    def __init__(self) -> None:
        self._bodies: dict[str, tuple[Body, int]] = {}
        self._net: MouthNet | None = None

    def load(self, device: str) -> None:
        """Load the network; the device is of no matter."""
        cv2.setNumThreads(1)
        self._net = MouthNet.load()

    def prepare(self, avatar: AvatarRef) -> None:
        """Read an avatar's folder for the picture's size."""
        body = load(Path(avatar.source), avatar.picture)
        self._bodies[avatar.name] = body, avatar.picture.fps

    def forget(self, name: str) -> None:
        """Let the pictures go."""
        self._bodies.pop(name, None)

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
        body, fps = self._bodies[batch.avatar]
        told = batch.cues.get("mouths")
        mouths = np.asarray(told, np.float32) if told else features.mouths
        spoken = int(cast(float, batch.cues.get("spoken", batch.key.first + batch.count)))
        for offset, picture in enumerate(out):
            if abandoned():
                return
            index = batch.key.first + offset
            mouth = eased(mouths[offset], index, spoken)
            moved = gesture(index, spoken, fps, float(features.accents[offset]))
            body.draw(picture, batch.base_tick + offset, fps, mouth, moved)


def eased(row: NDArray[np.float32], index: int, spoken: int) -> Mouth:
    """The mouth of a task's picture; shut in its first one and in the last that has sound."""
    part = min(index, spoken - 1 - index) / _EASE_PICTURES
    if part <= 0:
        return REST
    return Mouth(*(min(1.0, part) * float(value) for value in row))


def make(options: Mapping[str, Json]) -> PhotoEngine:
    """The engine; it has no options."""
    if options:
        raise ValueError(f"the photo engine has no options, so not {', '.join(options)}")
    return PhotoEngine()
