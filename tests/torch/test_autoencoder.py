"""The autoencoder of Stable Diffusion 1 against the original, under both namings of its file."""

from __future__ import annotations

import numpy as np
import torch

from gpu_pool.engines.checkpoint import layout
from gpu_pool.engines.diffusion.vae import SCALE, WIDTHS, Vae, to_unit, vae_names, vae_widths
from tests.doubles.recipe_networks import (
    CONFORMANCE,
    SMALL_VAE,
    TOLERANCE,
    off,
    shapes_of,
    vae,
)
from tests.oracles.recipe import normalish, uniform

GOLDEN = np.load(CONFORMANCE / "sd_vae_small.npz")


@torch.inference_mode()
def test_pictures_become_the_originals_latents_and_back() -> None:
    network = vae()
    pictures = torch.from_numpy(uniform("sdvae_small/image", (2, 3, 64, 64), -1, 1))
    mean, spread = network.encode(pictures)
    assert off(mean, GOLDEN["enc_mean"]) < TOLERANCE
    assert off(spread, GOLDEN["enc_logvar"]) < TOLERANCE
    assert off(network.latents(pictures), SCALE * GOLDEN["enc_mean"]) < TOLERANCE
    latents = torch.from_numpy(normalish("sdvae_small/z", (2, 4, 8, 8), 4 * SCALE))
    assert off(network.pictures(latents), GOLDEN["decode"]) < TOLERANCE


def test_both_namings_of_the_published_file_fit_to_the_last_tensor() -> None:
    with torch.device("meta"):
        shapes = shapes_of(Vae())
        for file in ("sd_vae_file", "sd_vae_diffusers"):
            tensors = {key: torch.empty(shape) for key, shape in layout(file).items()}
            named = vae_names(tensors)
            assert {key: tuple(each.shape) for key, each in named.items()} == shapes, file
            assert vae_widths(named) == WIDTHS


def test_the_old_names_are_those_of_the_same_layers() -> None:
    network = vae()
    new = network.state_dict()
    assert vae_widths(new) == SMALL_VAE
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = {}
    for key, tensor in new.items():
        for ours, theirs in names.items():
            key = key.replace(f".{ours}.", f".{theirs}.")  # noqa: PLW2901 (one after the other)
        old[key] = tensor
    assert old.keys() != new.keys()
    renamed = vae_names(old)
    assert all(renamed[key] is tensor for key, tensor in new.items())


def test_bytes_reach_from_minus_one_to_one() -> None:
    ends = to_unit(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
    assert ends.flatten().tolist() == [-1.0, 1.0]
