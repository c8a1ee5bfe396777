"""The Wav2Lip network against the golden output, from every form of file it is published in."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_pool.engines.checkpoint import CheckpointRefused, layout, open_checkpoint
from gpu_pool.engines.wav2lip.network import (
    Layer,
    PackedLayer,
    Plan,
    Wav2Lip,
    can_pack,
)
from tests.doubles.plain_wav2lip import PlainWav2Lip, plain_network, weights
from tests.doubles.weight_files import zero_weights
from tests.oracles import recipe

GOLDEN = Path(__file__).parents[1] / "fixtures" / "conformance" / "wav2lip96_forward.npz"

TOLERANCE = 2e-5
"""Of the largest golden value: what float32 differs by between machines, ten times over."""

FORMS: Mapping[str, Callable[[dict[str, Tensor], Path], None]] = {
    "bare": torch.save,
    "training": lambda state, path: torch.save(
        {
            "state_dict": {f"module.{name}": each for name, each in state.items()},
            **{"optimizer": None, "global_step": 1, "global_epoch": 1},
        },
        path,
    ),
    "old": lambda state, path: torch.save(
        {"state_dict": state}, path, _use_new_zipfile_serialization=False
    ),
    "script": lambda _state, path: script(plain_network("wav2lip96"), path),
}


def script(network: PlainWav2Lip, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that TorchScript has no future; files have
        inputs = torch.zeros(1, 1, 80, 16), torch.zeros(1, 6, 96, 96)
        torch.jit.save(torch.jit.trace(network, inputs, check_trace=False), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Removed at once: a file has 145 MB."""
    made = tmp_path_factory.mktemp("weights")
    yield made
    for file in made.iterdir():
        file.unlink()


def golden_inputs() -> tuple[Tensor, Tensor]:
    mel = recipe.uniform("wav2lip96/mel", (2, 1, 80, 16), -4, 4)
    face = recipe.uniform("wav2lip96/face", (2, 6, 96, 96))
    face[:, :3, 48:] = 0
    return torch.from_numpy(mel), torch.from_numpy(face)


@torch.inference_mode()
def drawn(network: Wav2Lip, mel: Tensor, face: Tensor) -> tuple[NDArray[np.float32], ...]:
    as_loaded = (each.to(network.dtype) for each in (mel, face))
    mel, face = as_loaded
    heard = network.hear(mel)
    return heard.float().numpy(), network.draw(heard, network.see(face)).float().numpy()


@pytest.mark.parametrize("form", FORMS)
def test_the_96_network_draws_what_the_original_drew(form: str, folder: Path) -> None:
    file = folder / "wav2lip.pth"
    FORMS[form](weights("wav2lip96"), file)
    network = Wav2Lip(open_checkpoint(file))
    assert (network.variant.name, network.size) == ("wav2lip96", 96)
    heard, faces = drawn(network, *golden_inputs())
    golden = np.load(GOLDEN)
    for own, other in (
        (heard[:, :, 0, 0], golden["audio_embedding"]),
        (faces, golden["output"]),
    ):
        assert np.abs(own - other).max() <= TOLERANCE * np.abs(other).max()


def test_half_files_and_half_networks_stay_within_half_precision(folder: Path) -> None:
    golden = np.load(GOLDEN)["output"]
    halves = {name: each.half() for name, each in weights("wav2lip96").items()}
    torch.save(halves, folder / "half.pth")
    for dtype, limit in ((torch.float32, 5e-4), (torch.bfloat16, 1e-2)):
        network = Wav2Lip(open_checkpoint(folder / "half.pth"), dtype=dtype)
        own = drawn(network, *golden_inputs())[1]
        assert np.linalg.norm(own - golden) / np.linalg.norm(golden) <= limit


def test_the_plain_network_is_the_originals_layer_by_layer() -> None:
    """What our 256 network is measured against, for which there is no golden output."""
    network, golden = plain_network("wav2lip96"), np.load(GOLDEN)
    seen: dict[str, Tensor] = {}
    for name in golden["tap_names"].tolist():
        network.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: seen.update({name: output})
        )
    with torch.inference_mode():
        network(*golden_inputs())
    assert list(seen) == golden["tap_names"].tolist()
    shapes, figures, samples = (
        golden[f"tap_{kind}"].tolist() for kind in ("shapes", "mean_std_absmax", "samples")
    )
    for output, shape, figure, sample in zip(seen.values(), shapes, figures, samples, strict=True):
        assert ",".join(map(str, output.shape)) == shape
        own = output.double()
        found = [own.mean().item(), own.std().item(), own.abs().max().item()]
        most = figure[2]
        np.testing.assert_allclose(found, figure, atol=TOLERANCE * most)
        chosen = own.flatten()[:: max(1, own.numel() // 8)][:8]
        np.testing.assert_allclose(chosen, sample, atol=TOLERANCE * most)


def test_the_256_network_draws_what_the_plain_one_draws(folder: Path) -> None:
    torch.save(weights("wav2lip256"), folder / "wav2lip256.pth")
    network = Wav2Lip(open_checkpoint(folder / "wav2lip256.pth"))
    assert (network.variant.name, network.size) == ("wav2lip256", 256)
    mel = torch.from_numpy(recipe.uniform("wav2lip256/mel", (1, 1, 80, 16), -4, 4))
    face = torch.from_numpy(recipe.uniform("wav2lip256/face", (1, 6, 256, 256)))
    face[:, :3, 128:] = 0
    with torch.inference_mode():
        plain = plain_network("wav2lip256")(mel, face).numpy()
    own = drawn(network, mel, face)[1]
    assert own.shape == (1, 3, 256, 256)
    assert np.abs(own - plain).max() <= TOLERANCE * np.abs(plain).max()


def test_what_is_drawn_depends_on_sound_mask_and_reference(folder: Path) -> None:
    """Wrong wiring cannot hide inside the tolerance."""
    torch.save(weights("wav2lip96"), folder / "wav2lip.pth")
    network = Wav2Lip(open_checkpoint(folder / "wav2lip.pth"))
    mel, face = golden_inputs()
    right = drawn(network, mel, face)[1]
    for wrong in (
        (torch.zeros_like(mel), face),
        (mel, face[:, [0, 1, 2, 5, 4, 3]]),
        (mel, face[:, [3, 4, 5, 0, 1, 2]]),
    ):
        other = drawn(network, *wrong)[1]
        assert np.linalg.norm(other - right) / np.linalg.norm(right) > 1e-2


@pytest.mark.parametrize(("name", "said"), [("s3fd", "S3FD"), ("bisenet", "BiSeNet")])
def test_weights_of_another_network_are_refused_by_name(
    name: str, said: str, tmp_path: Path
) -> None:
    file = zero_weights(tmp_path / "wav2lip.pth", layout(name))
    with pytest.raises(CheckpointRefused, match=f"this is {said}.*, not Wav2Lip, 96 pixels, Wav2"):
        Wav2Lip(open_checkpoint(file))


def test_weights_that_were_laid_out_for_one_batch_serve_any_other() -> None:
    plans = (
        (Plan(stride=2), (16, 8, 3, 3)),
        (Plan(residual=True), (8, 8, 3, 3)),
        (Plan(padding=0), (4, 8, 1, 1)),
        (Plan(stride=2, up=True), (8, 6, 3, 3)),
        (Plan(padding=0, up=True), (8, 6, 3, 3)),
    )
    assert can_pack(torch.device("cpu"))
    for plan, shape in plans:
        weight = torch.from_numpy(recipe.uniform(f"packed {shape}", shape, -1, 1))
        weight = weight.contiguous(memory_format=torch.channels_last)
        layer = Layer(weight, torch.ones(shape[1] if plan.up else shape[0]), plan)
        packed = PackedLayer(layer)
        for count, side in ((8, 12), (3, 12), (1, 7), (8, 12)):
            x = torch.from_numpy(recipe.uniform(f"x {count} {side}", (count, 8, side, side), -1, 1))
            torch.testing.assert_close(packed(x), layer(x), rtol=1e-5, atol=1e-5)
