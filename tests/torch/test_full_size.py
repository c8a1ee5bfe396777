"""Every network of true size, written as its authors' file is and read by its engine's loader.

Not part of `make test`, which has not the time: 8 GB are written, one file after the other.

    .venv-torch/bin/python -m pytest tests/torch/test_full_size.py -m full_size
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gpu_pool.engines.checkpoint import CheckpointRefused, identify, layout, open_checkpoint
from gpu_pool.engines.diffusion.loading import (
    LATENTSYNC_INPUTS,
    MUSETALK_INPUTS,
    load_parser,
    load_unet,
    load_vae,
    load_whisper,
)
from gpu_pool.engines.diffusion.vae import vae_names
from gpu_pool.engines.s3fd.network import S3fd
from gpu_pool.engines.wav2lip.network import Wav2Lip
from tests.doubles.recipe_networks import whisper_names
from tests.oracles import recipe

pytestmark = pytest.mark.full_size

FEW = (1, 4, 32, 32)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """Gone at once when the test is over: the next one needs the space."""
    yield tmp_path / "weights.pt"
    (tmp_path / "weights.pt").unlink(missing_ok=True)


def same(key: str) -> str:
    return key


def renamed_vae(key: str) -> str:
    return next(iter(vae_names({key: torch.empty(0)})))


def openai_whisper(key: str) -> str:
    """The recipe names whisper's numbers as OpenAI does, as far as the encoder goes."""
    theirs = {hf: openai for openai, hf in whisper_names().items()}
    return theirs.get(key, key)


def written(
    file: Path,
    name: str,
    tag: str,
    recipe_key: Callable[[str], str] = same,
    dtype: torch.dtype = torch.float32,
) -> Mapping[str, Tensor]:
    """A file with every tensor of the network, counters as batch norms have them included."""
    tensors = {}
    for key, shape in layout(name).items():
        made = torch.from_numpy(recipe.param(tag, recipe_key(key), shape))
        tensors[key] = made.to(dtype)
        if key.endswith("running_var"):
            tensors[key.replace("running_var", "num_batches_tracked")] = torch.tensor(7)
    torch.save(tensors, file)
    assert identify(open_checkpoint(file)).name == name
    return tensors


def holds(tensors: Mapping[str, Tensor], found: Mapping[str, Tensor], key: str) -> None:
    """A network has the file's numbers under this name."""
    assert torch.equal(found[key].float(), tensors[key].float()), key


def alive(drawn: Tensor, shape: tuple[int, ...]) -> None:
    assert drawn.shape == shape
    assert torch.isfinite(drawn).all()
    assert drawn.float().std() > 0


def refused(load: Callable[[], object], file: Path) -> None:
    with pytest.raises(CheckpointRefused, match=file.name):
        load()


@pytest.mark.parametrize(
    ("name", "inputs", "other"),
    [
        ("musetalk_unet", MUSETALK_INPUTS, LATENTSYNC_INPUTS),
        ("latentsync10_unet", LATENTSYNC_INPUTS, MUSETALK_INPUTS),
    ],
)
def test_a_unet(file: Path, name: str, inputs: int, other: int) -> None:
    tensors = written(file, name, name)
    refused(lambda: load_unet(file, other, "cpu", torch.float32), file)
    network = load_unet(file, inputs, "cpu", torch.float32)
    for key in ("conv_in.weight", "mid_block.resnets.1.conv2.weight", "conv_out.bias"):
        holds(tensors, network.state_dict(), key)
    assert sum(each.numel() for each in network.parameters()) == sum(
        each.numel() for each in tensors.values()
    )
    del tensors
    with torch.inference_mode():
        sample, heard = torch.ones(1, inputs, 32, 32), torch.ones(1, 50, 384)
        alive(network(sample, torch.zeros(1), heard), FEW)


def test_the_autoencoder_in_both_namings(file: Path) -> None:
    pictures = []
    for name in ("sd_vae_file", "sd_vae_diffusers"):
        written(file, name, "sdvae", renamed_vae)
        network = load_vae(file, "cpu", torch.float32)
        with torch.inference_mode():
            latents = network.latents(torch.from_numpy(recipe.uniform("x", (1, 3, 256, 256), -1)))
            alive(latents, FEW)
            pictures.append(network.pictures(latents))
    alive(pictures[0], (1, 3, 256, 256))
    assert torch.equal(*pictures), "the same network by either name"


def test_whisper_of_both_publishers(file: Path) -> None:
    heard = []
    mel = torch.from_numpy(recipe.normalish("mel", (1, 80, 3000), 0.5))
    for name in ("whisper_tiny_openai", "whisper_tiny_hf"):
        half = torch.float16 if name == "whisper_tiny_openai" else torch.float32
        written(file, name, "whisper_tiny_openai", openai_whisper, half)
        network = load_whisper(file, "cpu", torch.float32)
        with torch.inference_mode():
            heard.append(network(mel, last_norm=True))
    alive(heard[0], heard[1].shape)
    assert torch.allclose(*heard, atol=0.05), "the same, but for half precision"


def test_the_face_parser(file: Path) -> None:
    tensors = written(file, "bisenet", "bisenet")
    network = load_parser(file, "cpu")
    holds(tensors, network.state_dict(), "cp.resnet.conv1.weight")
    labels = network.labels(recipe.image("face", 512, 512))
    assert labels.shape == (512, 512)
    assert labels.dtype == np.uint8


def test_the_face_detector(file: Path) -> None:
    written(file, "s3fd", "s3fd")
    network = S3fd(open_checkpoint(file))
    with torch.inference_mode():
        for scores, boxes in network(torch.zeros(1, 3, 128, 128)):
            assert torch.isfinite(scores).all()
            assert torch.isfinite(boxes).all()


@pytest.mark.parametrize(("name", "size"), [("wav2lip96", 96), ("wav2lip256", 256)])
def test_wav2lip(file: Path, name: str, size: int) -> None:
    written(file, name, name)
    network = Wav2Lip(open_checkpoint(file), "cpu", torch.float32)
    with torch.inference_mode():
        heard = network.hear(torch.ones(1, 1, 80, 16))
        drawn = network.draw(heard, network.see(torch.ones(1, 6, size, size)))
    alive(drawn, (1, 3, size, size))
