"""The engine ``wav2lip``: the authors' network, the user's weights, a photo avatar's face.

Inside a worker; needs torch. Drawn faces go into the idle loop's pictures at their ticks. Nothing
is remembered from batch to batch but what every batch would find the same.

Options::

    weights: /models/wav2lip.pth   the file, 96 or 256 pixels; required
    precision: auto                float32, bfloat16 or float16; auto is bfloat16 on a GPU and on a
                                   CPU with matrix units for it, else float32
    batch_pictures: 8              faces of a batch: 0.32 s at 25 fps
    batches_together: 0            batches of any tasks drawn by one pass; 0: 4 on a GPU, 1 on a CPU
    paste: auto                    device or host: where faces are put into pictures, by torch or by
                                   OpenCV; auto is the device on a GPU, the host on a CPU
    graphs: true                   a GPU records passes once and replays them (CUDA graphs)
    threads: 1                     of a CPU worker
    keep_mb: 512                   of pictures and of what the network sees in them, per avatar
    disk_mb: 1024                  of what the network sees in them, kept beside the avatar
    conformance: false             the whole box overwritten with hard edges, as the authors do; on
                                   the host
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_pool.contracts import (
    SOUND_RATE_HZ,
    AvatarRef,
    BatchRefused,
    EngineNeeds,
    Job,
    Json,
    Picture,
    Sound,
)
from gpu_pool.engines.checkpoint import open_checkpoint
from gpu_pool.engines.options import check_least, read_options
from gpu_pool.engines.pasting import check_way
from gpu_pool.engines.portions import PassSizes, filled
from gpu_pool.engines.precision import dtype_of
from gpu_pool.engines.prepared import Keeping
from gpu_pool.engines.spoken import shares
from gpu_pool.engines.together import Opened, Pass, Spot
from gpu_pool.engines.together_engine import TogetherEngine
from gpu_pool.engines.transfer import uploaded
from gpu_pool.engines.wav2lip import mel
from gpu_pool.engines.wav2lip.avatar import LoopedFace, Shown
from gpu_pool.engines.wav2lip.levels import levels
from gpu_pool.engines.wav2lip.network import Wav2Lip
from gpu_pool.windows import sound_span

Windows = NDArray[np.float32]
"""(pictures, 80, 16): what each picture hears."""

Heard = Opened[Windows, Shown]

# A column hears 400 samples to both sides, and one more before for the pre-emphasis; a picture's
# first column begins up to one column (200 samples) before the picture.
LOOKBACK_S = (mel.WINDOW // 2 + mel.HOP + 1) / SOUND_RATE_HZ
LOOKAHEAD_S = ((mel.COLUMNS - 1) * mel.HOP + mel.WINDOW // 2) / SOUND_RATE_HZ
"""At any rate of pictures: their own length would have to be taken off."""


@dataclass(frozen=True, slots=True)
class Options:
    """See the module."""

    weights: str
    precision: str = "auto"
    batch_pictures: int = 8
    threads: int = 1
    keep_mb: int = 512
    disk_mb: int = 1024
    conformance: bool = False
    batches_together: int = 0
    graphs: bool = True
    paste: str = "auto"


class Wav2LipEngine(TogetherEngine[Windows, Heard, Shown]):
    """Follows the protocol ``Engine``.

    An avatar's ``source`` is the folder of a photo avatar. Cue ``spoken``: how many pictures of the
    task carry sound.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self.needs = EngineNeeds(LOOKBACK_S, LOOKAHEAD_S, options.batch_pictures)
        self._network: Wav2Lip | None = None
        self._weights = ""
        self._avatars: dict[str, LoopedFace] = {}

    @property
    def network(self) -> Wav2Lip:
        """The loaded network."""
        assert self._network is not None, "load comes first"
        return self._network

    def load(self, device: str) -> None:
        """Load the weights.

        Raises:
            CheckpointRefused: the file is not a Wav2Lip's.
        """
        cv2.setNumThreads(1)
        torch.set_num_threads(self._options.threads)
        precision = dtype_of(self._options.precision, device)
        checkpoint = open_checkpoint(Path(self._options.weights))
        self._network = network = Wav2Lip(checkpoint, device, precision)
        self._weights = checkpoint.sha256()
        self._settle(self._options, network.device, network.replayed)

    def prepare(self, avatar: AvatarRef) -> None:
        """Read an avatar's folder for the picture's size.

        Raises:
            AvatarRefused: it is none, or its face is too small.
        """
        options = self._options
        self._avatars[avatar.name] = LoopedFace(
            Path(avatar.source),
            avatar.picture,
            self.network,
            batch=options.batch_pictures,
            keep_bytes=options.keep_mb << 20,
            keeping=Keeping(avatar.prepared, self._weights, options.disk_mb << 20),
            pasted_on=self._pasted_on,
        )

    def work_out(self, avatar: str) -> Iterator[tuple[int, int, int]]:
        """As ``WorksOut``."""
        return self._avatars[avatar].work_out(self._options.batch_pictures)

    def forget(self, name: str) -> None:
        """Let its pictures and what the network saw in them go."""
        self._avatars.pop(name, None)

    def features(self, sound: Sound, first: int, count: int, fps: int) -> Windows:
        """The mel window of every picture."""
        origin, _ = sound_span(self.needs, fps, first, count)
        starts = [mel.column_of(index, fps) for index in range(first, first + count)]
        whole = mel.mel_of_columns(sound, origin, starts[0], starts[-1] - starts[0] + mel.COLUMNS)
        return np.stack([whole[:, s - starts[0] :][:, : mel.COLUMNS] for s in starts])

    def _opened(self, number: int, job: Job[Windows]) -> Heard:
        if not np.isfinite(job.features).all():
            raise BatchRefused("the sound holds what is no number")
        batch = job.batch
        ticks = [batch.base_tick + index for index in range(batch.count)]
        found = shares(batch, hard=self._options.conformance)
        return Opened(number, job, self._avatars[batch.avatar].shown(ticks), found)

    def _taken(self, waiting: Sequence[Spot[Heard]]) -> Pass[Heard]:
        network, wish = self.network, self.needs.batches_together
        size = self._options.batch_pictures
        real, whole = PassSizes.of(size, wish, network.device, network.dtype).next(len(waiting))
        return Pass(waiting[:real], lambda _: self._draw(waiting[:real], whole))

    def _draw(self, spots: Sequence[Spot[Heard]], whole: int) -> Tensor:
        """The faces of a pass, the last spot filling it up."""
        network = self.network
        entries = filled(range(len(spots)), whole)
        windows = np.stack([each.opened.job.features[each.index] for each in spots])
        shown = [each.opened.shown[each.index] for each in spots]
        heard = network.hear(self._sound(windows[entries]))
        scales = zip(*(shown[entry].seen for entry in entries), strict=True)
        seen = [torch.cat(each).contiguous(memory_format=torch.channels_last) for each in scales]
        return levels(network.draw(heard, seen)[: len(spots)])

    def _sound(self, windows: Windows) -> Tensor:
        return uploaded(windows[:, None], self.network.device, self.network.dtype)

    def _paste(self, picture: Picture, idle: Shown, face: NDArray[np.uint8], share: float) -> None:
        if self._options.conformance:
            idle.patch.overwrite(picture, face)
        else:
            idle.patch.paste(picture, face, share)


def make(options: Mapping[str, Json]) -> Wav2LipEngine:
    """The engine, not yet loaded.

    Raises:
        OptionsRefused: an option is unknown, missing, or out of its range.
    """
    read = read_options(Options, "wav2lip", options)
    check_least("wav2lip", read, batch_pictures=1, threads=1, keep_mb=0, disk_mb=0)
    check_least("wav2lip", read, batches_together=0)
    check_way("wav2lip", read.paste)
    dtype_of(read.precision, "cpu")
    return Wav2LipEngine(read)
