"""The UNet of MuseTalk and LatentSync against the originals, and its sampler."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_pool.engines.checkpoint import layout
from gpu_pool.engines.diffusion import ddim
from gpu_pool.engines.diffusion.unet import UNet, UNetShape, our_names, shape_of
from gpu_pool.engines.latentsync.sampler import Wanted, steps_of
from gpu_pool.engines.whisper.windows import place_encoding
from tests.doubles.recipe_networks import CONFORMANCE, TOLERANCE, names_in, off, shapes_of, unet
from tests.oracles.recipe import normalish, uniform

MUSETALK, LATENTSYNC = "musetalk_unet_small", "latentsync10_unet_small"
LOOP_TOLERANCE = 1e-4
"""As ``TOLERANCE``, after so many steps."""


@pytest.fixture(scope="module")
def latentsync() -> UNet:
    return unet(LATENTSYNC, "latentsync10_unet", 13)


@pytest.fixture(scope="module")
def musetalk() -> UNet:
    return unet(MUSETALK, "musetalk_unet", 8)


def given(name: str, *shape: int) -> Tensor:
    return torch.from_numpy(normalish(name, shape))


@torch.inference_mode()
def painted(network: UNet, sample: Tensor, sound: Tensor, time: int) -> NDArray[np.float32]:
    """A chunk (1, channels, frames, rows, columns) as the originals lay it."""
    _, channels, frames, rows, columns = sample.shape
    flat = sample.transpose(1, 2).reshape(frames, channels, rows, columns)
    made = network(flat, float(time), sound, frames=frames)
    return np.asarray(made.view(1, frames, 4, rows, columns).transpose(1, 2).numpy())


@torch.inference_mode()
def test_musetalks_picture_is_the_originals(musetalk: UNet) -> None:
    latents, sound = (
        given(f"{MUSETALK}/latents", 2, 8, 32, 32),
        given(f"{MUSETALK}/audio", 2, 50, 384),
    )
    golden = np.load(CONFORMANCE / f"{MUSETALK}.npz")["output"]
    placed = sound + place_encoding(sound.device)
    assert off(musetalk(latents, 0.0, placed), golden) < TOLERANCE
    assert off(musetalk(latents, 0.0, sound), golden) > 0.01, "places are heard"
    assert off(musetalk(latents, 1.0, placed), golden) > 0.001, "the time counts"


def test_latentsyncs_noise_is_the_originals_and_frames_hear_each_other(latentsync: UNet) -> None:
    golden = np.load(CONFORMANCE / f"{LATENTSYNC}.npz")
    sample, sound = (
        given(f"{LATENTSYNC}/sample", 1, 13, 16, 32, 32),
        given(f"{LATENTSYNC}/audio", 16, 50, 384),
    )
    whole = painted(latentsync, sample, sound, 951)
    assert off(whole[..., ::2, ::2], golden["f16_t951_sub2"]) < TOLERANCE
    one = painted(latentsync, sample[:, :, :1], sound[:1], 951)
    assert off(one, golden["f1_t951"]) < TOLERANCE
    assert off(whole[:, :, :1], golden["f1_t951"]) > 0.05, "alone a frame looks different"


def test_a_chunk_of_any_length_and_size_is_the_originals(latentsync: UNet) -> None:
    sample, sound = (
        given(f"{LATENTSYNC}/s25", 1, 13, 25, 16, 16),
        given(f"{LATENTSYNC}/a25", 25, 50, 384),
    )
    golden = np.load(CONFORMANCE / f"{LATENTSYNC}.npz")["f25_t1"]
    assert off(painted(latentsync, sample, sound, 1), golden) < TOLERANCE


def test_two_chunks_in_one_batch_do_not_hear_each_other(latentsync: UNet) -> None:
    sample = given("two chunks", 8, 13, 16, 16)
    sound, time = given("two sounds", 8, 50, 384), 500.0
    with torch.inference_mode():
        together = latentsync(sample, time, sound, frames=4)
        apart = [latentsync(sample[i : i + 4], time, sound[i : i + 4], frames=4) for i in (0, 4)]
    assert off(together, torch.cat(apart).numpy()) < TOLERANCE


@pytest.mark.parametrize(("file", "inputs"), [("musetalk_unet", 8), ("latentsync10_unet", 13)])
def test_a_published_file_fits_to_the_last_tensor(file: str, inputs: int) -> None:
    with torch.device("meta"):
        network = UNet(UNetShape(inputs))
        tensors = {key: torch.empty(shape) for key, shape in layout(file).items()}
    theirs = names_in(file)
    assert {theirs[name]: shape for name, shape in shapes_of(network).items()} == layout(file)
    assert shape_of(our_names(tensors)) == UNetShape(inputs)


def test_the_samplers_steps_are_the_originals() -> None:
    golden = np.load(CONFORMANCE / "latentsync_ddim.npz")
    np.testing.assert_allclose(ddim.alphas(), golden["alphas_cumprod"], atol=1e-6)
    sample, noise = given("ddim/x", 1, 4, 2, 8, 8), given("ddim/eps", 1, 4, 2, 8, 8)
    tried = 0
    for key in golden.files:
        kind, *rest = key.split("_")
        if kind == "timesteps":
            assert [step.time for step in ddim.steps(int(rest[0]))] == golden[key].tolist()
        elif kind == "step":
            count, index, time = (int(each[1:]) for each in rest)
            step = ddim.steps(count)[index]
            assert step.time == time
            assert off(ddim.step_back(step, sample, noise), golden[key]) < TOLERANCE
            tried += 1
    assert tried == 9
    assert ddim.steps(20)[-1].then == pytest.approx(float(golden["final_alpha_cumprod"]), abs=1e-6)
    assert golden["init_noise_sigma"] == 1.0, "the noise is taken as it is"


@pytest.mark.parametrize("count", [0, 201])
def test_no_steps_and_too_many_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 200"):
        ddim.steps(count)


@pytest.mark.parametrize(("guidance", "count"), [(1.0, 10), (1.5, 20)])
@torch.inference_mode()
def test_a_chunk_comes_out_of_the_noise_step_by_step_as_the_originals(
    latentsync: UNet, guidance: float, count: int
) -> None:
    golden = np.load(CONFORMANCE / f"{LATENTSYNC}.npz")
    done = loop(latentsync, guidance, count)
    for step in (1, 2, count):
        key = f"loop_g{guidance}_n{count}_after{step}_sub2"
        assert off(done[step - 1][..., ::2, ::2], golden[key]) < LOOP_TOLERANCE, key


def loop(network: UNet, guidance: float, count: int) -> list[NDArray[np.float32]]:
    """Four frames after each step, as the originals lay them."""
    name, frames = "latentsync_loop", 4
    both = [
        torch.from_numpy(normalish(f"{name}/{key}", (1, 4, frames, 32, 32), 0.8))[0].transpose(0, 1)
        for key in ("masked4", "ref4")
    ]
    keep = torch.from_numpy(uniform(f"{name}/mask", (32, 32)) > 0.4).float()
    start, sound = given(f"{name}/noise", 4, 32, 32), given(f"{name}/audio4", frames, 50, 384)
    wanted = Wanted(count, guidance, frames)
    steps = steps_of(network, torch.cat(both, dim=1), sound, wanted, start, keep)
    return [np.asarray(step().transpose(0, 1)[None].numpy()) for step in steps]
