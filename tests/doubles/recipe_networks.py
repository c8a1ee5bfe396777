"""Networks of the recipe's random weights, small or of true size."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gpu_pool.engines.checkpoint import layout
from gpu_pool.engines.diffusion.unet import UNet, UNetShape, our_names
from gpu_pool.engines.diffusion.vae import Vae
from gpu_pool.engines.whisper.encoder import WhisperEncoder, encoder_tensors
from tests.oracles import recipe

CONFORMANCE = Path(__file__).parents[1] / "fixtures" / "conformance"

SMALL_UNET = (64, 128, 256, 256)
SMALL_VAE = (32, 64, 128, 128)

TOLERANCE = 2e-5
"""Of the largest golden value: what float32 differs by between machines, ten times over."""


def off(own: Tensor | np.ndarray, golden: np.ndarray) -> float:
    """The largest difference, as a part of the largest golden value."""
    made = own.detach().numpy() if isinstance(own, Tensor) else own
    assert made.shape == golden.shape
    return float(np.abs(made - golden).max() / np.abs(golden).max())


def shapes_of(network: nn.Module) -> Mapping[str, Sequence[int]]:
    return {name: tuple(each.shape) for name, each in network.state_dict().items()}


def names_in(file: str) -> Mapping[str, str]:
    """Our name -> the file's, for a UNet's checkpoint."""
    return {next(iter(our_names({key: torch.empty(0)}))): key for key in layout(file)}


def unet(tag: str, file: str, inputs: int) -> UNet:
    """A small UNet; ``file`` is the checkpoint whose names its weights go by."""
    made = UNet(UNetShape(inputs, SMALL_UNET)).eval()
    theirs = names_in(file)
    tensors = {
        theirs[name]: torch.from_numpy(recipe.param(tag, theirs[name], shape))
        for name, shape in shapes_of(made).items()
    }
    made.load_state_dict(our_names(tensors))
    return made


def vae() -> Vae:
    made = Vae(SMALL_VAE).eval()
    made.load_state_dict(
        {
            name: torch.from_numpy(recipe.param("sdvae_small", name, shape))
            for name, shape in shapes_of(made).items()
        }
    )
    return made


@cache
def whisper_file() -> Mapping[str, Tensor]:
    """The encoder's part of a file with OpenAI's names."""
    return {
        key: torch.from_numpy(recipe.param("whisper_tiny_openai", key, shape))
        for key, shape in layout("whisper_tiny_openai").items()
        if key.startswith("encoder.")
    }


def whisper_names() -> Mapping[str, str]:
    """OpenAI's name of the encoder's tensors -> Hugging Face's."""
    found: Mapping[str, str] = json.loads((CONFORMANCE / "whisper_names.json").read_text())
    return found


def whisper(tensors: Mapping[str, Tensor]) -> WhisperEncoder:
    made = WhisperEncoder().eval()
    made.load_state_dict(encoder_tensors(tensors))
    return made


def tiny_unet(tag: str, inputs: int) -> UNet:
    """As little as the class allows: what an engine does with it is the same."""
    made = UNet(UNetShape(inputs, (32, 32, 32, 32))).eval()
    made.load_state_dict(_random(tag, made))
    return made


def tiny_vae() -> Vae:
    made = Vae((32, 32, 32, 32)).eval()
    made.load_state_dict(_random("sdvae_small", made))
    return made


def _random(tag: str, network: nn.Module) -> dict[str, Tensor]:
    shapes = shapes_of(network).items()
    return {name: torch.from_numpy(recipe.param(tag, name, shape)) for name, shape in shapes}
