"""The networks of MuseTalk and LatentSync out of the user's own files, ready on their device.

Between the reader of checkpoints and the engines. Strict: a file that is not exactly the wanted
network is refused by name before any memory is taken for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from gpu_pool.engines.checkpoint import Checkpoint, identify, open_checkpoint
from gpu_pool.engines.diffusion.unet import UNet, UNetShape, our_names
from gpu_pool.engines.diffusion.vae import Vae, vae_names
from gpu_pool.engines.musetalk.parser import FaceParser
from gpu_pool.engines.whisper.encoder import WhisperEncoder, encoder_tensors

N = TypeVar("N", bound=nn.Module)

Renamed = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]

MUSETALK_INPUTS, LATENTSYNC_INPUTS = 8, 13


def load_unet(file: Path, inputs: int, device: str, dtype: torch.dtype) -> UNet:
    """The UNet with 8 (MuseTalk) or 13 (LatentSync) input channels.

    Raises:
        CheckpointRefused: the file is another network, or broken.
    """
    wanted = {MUSETALK_INPUTS: "musetalk_unet", LATENTSYNC_INPUTS: "latentsync10_unet"}[inputs]
    checkpoint = _opened(file, [wanted])
    made = _filled(lambda: UNet(UNetShape(inputs)), checkpoint, our_names, device, dtype)
    if device != "cpu" or dtype is not torch.float32:  # there it costs 2 to 8 %
        made.to(memory_format=torch.channels_last)
    return made


def load_vae(file: Path, device: str, dtype: torch.dtype) -> Vae:
    """The autoencoder, in either naming.

    Raises:
        CheckpointRefused: as above.
    """
    checkpoint = _opened(file, ["sd_vae_file", "sd_vae_diffusers"])
    made = _filled(Vae, checkpoint, vae_names, device, dtype)
    made.to(memory_format=torch.channels_last)
    return made


def load_whisper(file: Path, device: str, dtype: torch.dtype) -> WhisperEncoder:
    """The encoder of whisper-tiny, from either publisher's file.

    Raises:
        CheckpointRefused: as above.
    """
    checkpoint = _opened(file, ["whisper_tiny_openai", "whisper_tiny_hf"])
    return _filled(WhisperEncoder, checkpoint, encoder_tensors, device, dtype)


def load_parser(file: Path, device: str) -> FaceParser:
    """The face parser, float32: it runs once per picture of an avatar.

    Raises:
        CheckpointRefused: as above.
    """
    return _filled(FaceParser, _opened(file, ["bisenet"]), dict, device, torch.float32)


def weights_hash(*files: str) -> str:
    """Of these files together; empty names are left out.

    Raises:
        CheckpointRefused: as above.
    """
    return " ".join(open_checkpoint(Path(each)).sha256() for each in files if each)


def _opened(file: Path, wanted: Iterable[str]) -> Checkpoint:
    checkpoint = open_checkpoint(file)
    identify(checkpoint, wanted)
    return checkpoint


def _filled(
    make: Callable[[], N],
    checkpoint: Checkpoint,
    renamed: Renamed,
    device: str,
    dtype: torch.dtype,
) -> N:
    """A network whose tensors are read one by one, straight to the device."""
    with torch.device("meta"):
        made = make()
    wanted = made.state_dict()
    found: dict[str, Tensor] = {}
    for name in checkpoint.tensors:
        key = next(iter(renamed({name: torch.empty(0)})), "")
        if key in wanted:
            array = np.array(checkpoint.array(name))
            tensor = torch.from_numpy(array).reshape(wanted[key].shape)
            kind = dtype if wanted[key].is_floating_point() else wanted[key].dtype
            found[key] = tensor.to(device, kind)
    for key, tensor in wanted.items():
        if key not in found and not tensor.is_floating_point():
            found[key] = torch.zeros(tensor.shape, dtype=tensor.dtype, device=device)
    made.load_state_dict(found, strict=True, assign=True)
    made.eval()
    made.requires_grad_(False)
    return made
