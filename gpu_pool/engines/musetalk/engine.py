"""The engine ``musetalk``: the authors' networks (1.0 and 1.5), the user's weights, a photo avatar.

Inside a worker; needs torch. One pass of the UNet a picture, no steps. Drawn faces go into the idle
loop's pictures at their ticks. Nothing is remembered from batch to batch but what every batch would
find the same.

Options::

    unet: /models/musetalkV15/unet.pth                          required
    vae: /models/sd-vae/diffusion_pytorch_model.bin             required
    whisper: /models/whisper/pytorch_model.bin                  required; or tiny.pt
    parser: /models/face-parse-bisent/79999_iter.pth            optional: masks that follow the skin
    version: "1.5"             or "1.0": which generation the UNet's weights are; they look alike
    precision: auto            float32, bfloat16 or float16; auto is bfloat16 on a GPU and
                               on a CPU with matrix units for it, else float32
    conformance: false         pasted in the authors' own arithmetic, from the first picture to the
                               last, on the host; needs the parser
    batch_pictures: 8          pictures of a batch: 0.32 s at 25 fps
    batches_together: 0        batches of any tasks drawn by one pass; 0: 4 on a GPU, 1 on a CPU
    paste: auto                device or host: where faces are put into pictures, by torch or by
                               OpenCV; auto is the device on a GPU, the host on a CPU
    graphs: true               a GPU records passes once and replays them (CUDA graphs)
    threads: 1                 of a CPU worker
    disk_mb: 1024              of what the networks saw, per avatar, kept beside it
    keep_mb: 1024              of pictures and latents, per avatar
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_pool.contracts import (
    AvatarRef,
    EngineNeeds,
    Job,
    Json,
    Picture,
    Sound,
)
from gpu_pool.engines.diffusion.engine import DiffusionEngine
from gpu_pool.engines.diffusion.loading import (
    MUSETALK_INPUTS,
    load_parser,
    load_unet,
    load_vae,
    load_whisper,
    weights_hash,
)
from gpu_pool.engines.diffusion.unet import UNet
from gpu_pool.engines.diffusion.vae import Vae
from gpu_pool.engines.musetalk.avatar import MuseFace, Shown
from gpu_pool.engines.musetalk.parser import FaceParser
from gpu_pool.engines.options import OptionsRefused, check_least, read_options
from gpu_pool.engines.pasting import check_way
from gpu_pool.engines.portions import PassSizes, filled
from gpu_pool.engines.precision import dtype_of
from gpu_pool.engines.spoken import shares
from gpu_pool.engines.together import Opened, Pass, Spot
from gpu_pool.engines.whisper.hearing import LOOKAHEAD_S, LOOKBACK_S, Hearing
from gpu_pool.engines.whisper.windows import place_encoding
from gpu_pool.windows import sound_span

Heard = Opened[Tensor, Shown]


@dataclass(frozen=True, slots=True)
class Options:
    """See the module."""

    unet: str
    vae: str
    whisper: str
    parser: str = ""
    version: str = "1.5"
    precision: str = "auto"
    batch_pictures: int = 8
    threads: int = 1
    keep_mb: int = 1024
    disk_mb: int = 1024
    conformance: bool = False
    batches_together: int = 0
    graphs: bool = True
    paste: str = "auto"


@dataclass(frozen=True, slots=True)
class Networks:
    """Everything that is loaded."""

    unet: UNet
    vae: Vae
    hearing: Hearing
    parser: FaceParser | None = None
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
        load_unet(Path(options.unet), MUSETALK_INPUTS, device, dtype),
        load_vae(Path(options.vae), device, dtype),
        Hearing(whisper, options.version == "1.0"),
        load_parser(Path(options.parser), device) if options.parser else None,
        weights_hash(options.vae, options.parser) if options.disk_mb else "",
    )


class MuseTalkEngine(DiffusionEngine[Options, Networks, MuseFace, Heard, Shown]):
    """Follows the protocol ``Engine``. An avatar's ``source`` is the folder of a photo avatar.

    Args:
        options: checked.
        networks: how they are come by.
    """

    def __init__(
        self, options: Options, networks: Callable[[Options, str], Networks] = load_networks
    ) -> None:
        super().__init__(options, networks)
        self.needs = EngineNeeds(LOOKBACK_S, LOOKAHEAD_S, options.batch_pictures)

    def prepare(self, avatar: AvatarRef) -> None:
        """Read an avatar's folder for the picture's size.

        Raises:
            AvatarRefused: it is none, or its face is too small.
        """
        networks = self._loaded()
        self._avatars[avatar.name] = MuseFace(
            Path(avatar.source),
            avatar.picture,
            networks.vae,
            networks.parser,
            self._options.version == "1.0",
            self._options.keep_mb << 20,
            self._keeping(avatar, networks.looking),
            pasted_on=self._pasted_on,
        )

    def work_out(self, avatar: str) -> Iterator[tuple[int, int, int]]:
        """As ``WorksOut``."""
        return self._avatars[avatar].work_out(self._options.batch_pictures)

    def features(self, sound: Sound, first: int, count: int, fps: int) -> Tensor:
        """What every picture hears, (count, 50, 384), with the places of its tokens added."""
        networks = self._loaded()
        origin, _ = sound_span(self.needs, fps, first, count)
        with torch.inference_mode():
            heard = networks.hearing.tokens(sound, origin, first, count, fps)
            return heard + place_encoding(heard.device, heard.dtype)

    def _opened(self, number: int, job: Job[Tensor]) -> Heard:
        batch = job.batch
        ticks = [batch.base_tick + index for index in range(batch.count)]
        found = shares(batch, hard=self._options.conformance)
        return Opened(number, job, self._avatars[batch.avatar].shown(ticks), found)

    def _paste(self, picture: Picture, idle: Shown, face: NDArray[np.uint8], share: float) -> None:
        if self._options.conformance:
            idle.paste_as_published(picture, face, self._options.version == "1.0")
        else:
            idle.patch.paste(picture, face, share)

    def _taken(self, waiting: Sequence[Spot[Heard]]) -> Pass[Heard]:
        weight = self._loaded().vae.quant_conv.weight
        size, wish = self._options.batch_pictures, self.needs.batches_together
        real, whole = PassSizes.of(size, wish, weight.device, weight.dtype).next(len(waiting))
        spots = waiting[:real]
        return Pass(spots, lambda abandoned: self._drawn(spots, whole, abandoned))

    def _drawn(
        self, spots: Sequence[Spot[Heard]], whole: int, abandoned: Callable[[], bool]
    ) -> Tensor | None:
        """The faces of a pass of ``whole`` pictures; None once nobody wants them."""
        networks = self._loaded()
        chosen = [spots[entry] for entry in filled(range(len(spots)), whole)]
        latents = torch.stack([each.opened.shown[each.index].latents for each in chosen])
        heard = torch.stack([each.opened.job.features[each.index] for each in chosen])
        painted = networks.unet(latents, 0.0, heard)
        if painted.device.type == "cpu":
            painted = painted[: len(spots)]  # decoded one by one
        pictures = self._decoded(networks.vae, painted, abandoned)
        return None if pictures is None else levels(pictures[: len(spots)])


def levels(pictures: Tensor) -> Tensor:
    """(n, 3, H, W) RGB about -1 to 1 to BGR as whole levels 0 to 255, rounded; float32."""
    return ((pictures.float() / 2 + 0.5).clamp_(0, 1) * 255).round_().flip(1)


def make(options: Mapping[str, Json]) -> MuseTalkEngine:
    """The engine, not yet loaded.

    Raises:
        OptionsRefused: an option is unknown, missing, or out of its range.
    """
    read = read_options(Options, "musetalk", options)
    check_least("musetalk", read, batch_pictures=1, threads=1, keep_mb=0, disk_mb=0)
    check_least("musetalk", read, batches_together=0)
    check_way("musetalk", read.paste)
    if read.version not in {"1.0", "1.5"}:
        raise OptionsRefused(f"musetalk: version has to be 1.0 or 1.5, not {read.version!r}")
    if read.conformance and not read.parser:
        raise OptionsRefused("musetalk: conformance needs the parser, as the authors' programs do")
    dtype_of(read.precision, "cpu")
    return MuseTalkEngine(read)
