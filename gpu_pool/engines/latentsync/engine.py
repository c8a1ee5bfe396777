"""The engine ``latentsync``: LatentSync 1.0, the user's weights, a photo avatar.

Inside a worker; needs torch. Chunks of sixteen pictures lie on a fixed grid of the task. A batch
that cuts a chunk has all of it drawn and keeps its part, so that a picture is the same in every
batch; batches of sixteen from the task's beginning waste nothing.

Options::

    unet: /models/latentsync_unet.pt                    required
    vae: /models/sd-vae-ft-mse/diffusion_pytorch_model.bin   required
    whisper: /models/whisper/tiny.pt                    required
    steps: 20                  1 to 200; time grows with them
    guidance: 1.0              above 1 the sound is followed more closely, at twice the cost
    precision: auto            float32, bfloat16 or float16; auto is bfloat16 on a GPU and
                               on a CPU with matrix units for it, else float32
    batches_together: 0        chunks of any tasks drawn by one pass; 0: 4 on a GPU, 1 on a CPU
    paste: auto                device or host: where faces are put into pictures, by torch or by
                               OpenCV; auto is the device on a GPU, the host on a CPU
    graphs: true               a GPU records passes once and replays them (CUDA graphs)
    conformance: false         pasted in the authors' own arithmetic, from the first picture to the
                               last, on the host
    resampling: lanczos        or bilinear, as LatentsyncRealtime cuts faces out and puts them back
    threads: 1                 of a CPU worker
    disk_mb: 1024              of what the networks saw, per avatar, kept beside it
    keep_mb: 1024              of pictures, faces and latents, per avatar

A task's own cues ``inference_steps`` and ``guidance_scale`` go before the options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_pool.contracts import (
    AvatarRef,
    Batch,
    BatchRefused,
    EngineNeeds,
    Job,
    Json,
    Picture,
    Sound,
)
from gpu_pool.engines.diffusion.ddim import MOST_STEPS
from gpu_pool.engines.diffusion.engine import DiffusionEngine
from gpu_pool.engines.diffusion.loading import (
    LATENTSYNC_INPUTS,
    load_unet,
    load_vae,
    load_whisper,
    weights_hash,
)
from gpu_pool.engines.diffusion.unet import UNet
from gpu_pool.engines.diffusion.vae import Vae
from gpu_pool.engines.latentsync.avatar import AlignedFace, Shown
from gpu_pool.engines.latentsync.face import Resampling, restored
from gpu_pool.engines.latentsync.picture import combined, levels
from gpu_pool.engines.latentsync.sampler import FRAMES, painted
from gpu_pool.engines.options import OptionsRefused, check_least, read_options
from gpu_pool.engines.pasting import check_way
from gpu_pool.engines.photo.paste import repaint
from gpu_pool.engines.precision import dtype_of
from gpu_pool.engines.spoken import shares
from gpu_pool.engines.together import Opened, Pass, Spot
from gpu_pool.engines.transfer import chosen
from gpu_pool.engines.whisper.hearing import LOOKAHEAD_S, LOOKBACK_S, Hearing
from gpu_pool.windows import sound_span

MOST_GUIDANCE = 100.0
"""As the API takes it."""

_LOOKED_AT_ONCE = 8
"""Pictures, where nobody waits for them."""

_SLOWEST_FPS = 24
_CHUNK_S = (FRAMES - 1) / _SLOWEST_FPS
"""The chunk of a batch's first and last picture may reach so far to either side."""


@dataclass(frozen=True, slots=True)
class Options:
    """See the module."""

    unet: str
    vae: str
    whisper: str
    steps: int = 20
    guidance: float = 1.0
    precision: str = "auto"
    threads: int = 1
    keep_mb: int = 1024
    disk_mb: int = 1024
    conformance: bool = False
    resampling: str = Resampling.LANCZOS.value
    batches_together: int = 0
    graphs: bool = True
    paste: str = "auto"


@dataclass(frozen=True, slots=True)
class Networks:
    """Everything that is loaded."""

    unet: UNet
    vae: Vae
    hearing: Hearing
    looking: str = ""
    """Hash of the weights that look at pictures; empty where nothing is kept on the disk."""


def load_networks(options: Options, device: str) -> Networks:
    """Read the user's files.

    Raises:
        CheckpointRefused: one is not what it should be.
    """
    dtype = dtype_of(options.precision, device)
    whisper = load_whisper(Path(options.whisper), device, dtype)
    return Networks(
        load_unet(Path(options.unet), LATENTSYNC_INPUTS, device, dtype),
        load_vae(Path(options.vae), device, dtype),
        Hearing(whisper, first_generation=True),
        weights_hash(options.vae) if options.disk_mb else "",
    )


@dataclass(frozen=True, slots=True, eq=False)
class Heard(Opened[Tensor, Shown]):
    """A job, and what is drawn around its own pictures.

    Attributes:
        wish: steps and guidance.
        chunks: the pictures of all chunks that it touches.
        around: what stands in the idle loop at each of them.
    """

    wish: tuple[int, float]
    chunks: range
    around: Sequence[Shown]

    def place(self, index: int) -> int:
        """Where a picture of the job lies in its chunks."""
        return self.job.batch.key.first - self.chunks.start + index


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Sixteen pictures of a job that go through the UNet together."""

    opened: Heard
    number: int

    @property
    def shown(self) -> Sequence[Shown]:
        """What stands in the idle loop at each of them."""
        return self.opened.around[self._part]

    @property
    def heard(self) -> Tensor:
        """(16, 50, 384)."""
        return self.opened.job.features[self._part]

    @property
    def _part(self) -> slice:
        return slice(self.number * FRAMES, (self.number + 1) * FRAMES)


class LatentSyncEngine(DiffusionEngine[Options, Networks, AlignedFace, Heard, Shown]):
    """Follows the protocol ``Engine``. An avatar's ``source`` is the folder of a photo avatar.

    Args:
        options: checked.
        networks: how they are come by.
    """

    def __init__(
        self, options: Options, networks: Callable[[Options, str], Networks] = load_networks
    ) -> None:
        super().__init__(options, networks)
        self.needs = EngineNeeds(LOOKBACK_S + _CHUNK_S, LOOKAHEAD_S + _CHUNK_S, FRAMES)

    def prepare(self, avatar: AvatarRef) -> None:
        """Read an avatar's folder for the picture's size.

        Raises:
            AvatarRefused: it is none, or its face is too small.
        """
        networks = self._loaded()
        self._avatars[avatar.name] = AlignedFace(
            Path(avatar.source),
            avatar.picture,
            networks.vae,
            self._options.keep_mb << 20,
            self._keeping(avatar, networks.looking),
            Resampling(self._options.resampling),
            pasted_on=self._pasted_on,
        )

    def work_out(self, avatar: str) -> Iterator[tuple[int, int, int]]:
        """As ``WorksOut``."""
        return self._avatars[avatar].work_out(_LOOKED_AT_ONCE)

    def features(self, sound: Sound, first: int, count: int, fps: int) -> Tensor:
        """What every picture of the batch's chunks hears, (n * 16, 50, 384)."""
        origin, _ = sound_span(self.needs, fps, first, count)
        chunks = chunks_of(first, count)
        with torch.inference_mode():
            return self._loaded().hearing.tokens(sound, origin, chunks.start, len(chunks), fps)

    def _opened(self, number: int, job: Job[Tensor]) -> Heard:
        batch, wish = job.batch, self._wishes(job.batch)
        chunks = chunks_of(batch.key.first, batch.count)
        begin, skipped = batch.base_tick - batch.key.first, batch.key.first - chunks.start
        around = self._avatars[batch.avatar].shown([begin + index for index in chunks])
        own = around[skipped : skipped + batch.count]
        found = shares(batch, hard=self._options.conformance)
        return Heard(number, job, own, found, wish, chunks, around)

    def _paste(self, picture: Picture, idle: Shown, face: NDArray[np.uint8], share: float) -> None:
        if self._options.conformance:
            repaint(picture, idle.patch.box, lambda area: restored(area, face, idle.seat))
        else:
            idle.patch.paste(picture, idle.seat.laid(face), share)

    def _wishes(self, batch: Batch) -> tuple[int, float]:
        """Steps and guidance of a task.

        Raises:
            BatchRefused: out of their range.
        """
        steps = int(cast(float, batch.cues.get("inference_steps", self._options.steps)))
        guidance = float(cast(float, batch.cues.get("guidance_scale", self._options.guidance)))
        if not 1 <= steps <= MOST_STEPS:
            raise BatchRefused(f"inference_steps has to be 1 to {MOST_STEPS}")
        if not 0 <= guidance <= MOST_GUIDANCE:
            raise BatchRefused(f"guidance_scale has to be 0 to {MOST_GUIDANCE:g}")
        return steps, guidance

    def _taken(self, waiting: Sequence[Spot[Heard]]) -> Pass[Heard]:
        """The next chunks of equal wishes; what waits elsewhere stays."""
        wish, most = waiting[0].opened.wish, self.needs.batches_together
        chunks: dict[tuple[int, int], list[Spot[Heard]]] = {}
        for spot in waiting:
            if spot.opened.wish == wish:
                key = spot.opened.number, spot.opened.place(spot.index) // FRAMES
                if key in chunks or len(chunks) < most:
                    chunks.setdefault(key, []).append(spot)
        drawn = [Chunk(spots[0].opened, number) for (_, number), spots in chunks.items()]
        within = [spot for spots in chunks.values() for spot in spots]
        places = [
            start * FRAMES + spot.opened.place(spot.index) % FRAMES
            for start, spots in enumerate(chunks.values())
            for spot in spots
        ]
        return Pass(within, lambda abandoned: self._drawn(drawn, places, abandoned))

    def _drawn(
        self, chunks: Sequence[Chunk], places: Sequence[int], abandoned: Callable[[], bool]
    ) -> Tensor | None:
        """The faces at these places of the chunks; None once nobody wants them.

        On a GPU whole chunks are decoded, so that shapes are few.
        """
        networks = self._loaded()
        shown = [each for chunk in chunks for each in chunk.shown]
        latents = torch.stack([each.latents for each in shown])
        heard = torch.cat([chunk.heard for chunk in chunks])
        made = painted(networks.unet, latents, heard, *chunks[0].opened.wish, abandoned)
        if made is None:
            return None
        if made.device.type == "cpu":
            made, shown = chosen(made, places), [shown[place] for place in places]
            places = range(len(places))
        drawn = self._decoded(networks.vae, made, abandoned)
        if drawn is None:
            return None
        seen = torch.stack([each.seen for each in shown])
        return chosen(levels(combined(drawn.float(), seen)), places)


def chunks_of(first: int, count: int) -> range:
    """The pictures of all chunks that a batch touches."""
    return range(first // FRAMES * FRAMES, -(-(first + count) // FRAMES) * FRAMES)


def make(options: Mapping[str, Json]) -> LatentSyncEngine:
    """The engine, not yet loaded.

    Raises:
        OptionsRefused: an option is unknown, missing, or out of its range.
    """
    read = read_options(Options, "latentsync", options)
    check_least("latentsync", read, steps=1, guidance=0, threads=1, keep_mb=0, disk_mb=0)
    check_least("latentsync", read, batches_together=0)
    check_way("latentsync", read.paste)
    if read.steps > MOST_STEPS or read.guidance > MOST_GUIDANCE:
        raise OptionsRefused(f"latentsync: up to {MOST_STEPS} steps and guidance {MOST_GUIDANCE:g}")
    known = [each.value for each in Resampling]
    if read.resampling not in known:
        said = f"has to be {' or '.join(known)}, not {read.resampling!r}"
        raise OptionsRefused(f"latentsync: resampling {said}")
    dtype_of(read.precision, "cpu")
    return LatentSyncEngine(read)
