"""The networks of MuseTalk and LatentSync, of true size, beside the originals' manner, in one run.

    python benchmarks/diffusion.py [--device cpu] [--models FOLDER] [--rounds 2] [--decoded 4]

Needs torch (requirements/setup.sh gpu, or .venv-torch), 8 GB of disk and 8 GB of memory.

Plain: eager float32, tensors laid out channel by channel, a batch decoded at once, as the authors'
scripts do. Ours: channels last, the decoder by portions, float32 and the precision that ``auto``
takes. One thread. Counted by CPU time on a CPU, by the clock on a GPU. Final pictures follow from
the parts: a MuseTalk picture is one pass and one decoding; a chunk of LatentSync is its steps and
16 decodings.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor

from benchmarks.true_size import CASES, write_weights
from gpu_pool.engines.diffusion.loading import (
    LATENTSYNC_INPUTS,
    MUSETALK_INPUTS,
    load_unet,
    load_vae,
)
from gpu_pool.engines.diffusion.unet import UNet
from gpu_pool.engines.diffusion.vae import SCALE, Vae
from gpu_pool.engines.precision import fast_dtype

GOAL = 1.0
"""Nobody set one for a CPU; slower than plain would be a fault."""

CHUNK, BATCH = 16, 8
STEPS = 20

Parts = dict[str, float]


def spent_s(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def least_s(run: Callable[[], object], device: str, rounds: int) -> float:
    """Of some rounds; the first one, in which things are set up, does not count."""
    found = []
    for _ in range(rounds + 1):
        begun = spent_s(device)
        run()
        found.append(spent_s(device) - begun)
    return min(found[1:])


class Way:
    """One way to compute.

    Args:
        name: for the table.
        dtype: of weights and tensors.
        plain: in the originals' manner.
    """

    def __init__(
        self, name: str, dtype: torch.dtype, plain: bool, asked: argparse.Namespace
    ) -> None:
        self.name, self._dtype, self._plain = name, dtype, plain
        self._device, self._rounds, self._decoded = asked.device, asked.rounds, asked.decoded

    def _laid_out(self, network: UNet | Vae) -> None:
        if self._plain:
            network.to(memory_format=torch.contiguous_format)

    def unet_s(self, file: Path, inputs: int, pictures: int, frames: int) -> float:
        """Seconds of one pass."""
        network = load_unet(file, inputs, self._device, self._dtype)
        self._laid_out(network)
        sample = torch.rand(pictures, inputs, 32, 32, device=self._device, dtype=self._dtype)
        if not self._plain:
            sample = sample.contiguous(memory_format=torch.channels_last)
        heard = torch.rand(pictures, 50, 384, device=self._device, dtype=self._dtype)
        at = torch.zeros(1, device=self._device)
        run: Callable[[], Tensor] = lambda: network(sample, at, heard, frames)  # noqa: E731
        return least_s(run, self._device, self._rounds)

    def decode_s(self, file: Path) -> float:
        """Seconds of one picture."""
        network = load_vae(file, self._device, self._dtype)
        self._laid_out(network)
        latents = torch.rand(self._decoded, 4, 32, 32, device=self._device, dtype=self._dtype)

        def at_once() -> Tensor:
            return network.decoder(network.post_quant_conv(latents / SCALE))

        def ours() -> Tensor:
            return network.pictures(latents)

        run = at_once if self._plain else ours
        return least_s(run, self._device, self._rounds) / self._decoded


def measured(way: Way, files: dict[str, Path]) -> Parts:
    """Seconds per picture of every part, and of both engines."""
    musetalk = way.unet_s(files["musetalk"], MUSETALK_INPUTS, BATCH, 1) / BATCH
    latentsync = way.unet_s(files["latentsync"], LATENTSYNC_INPUTS, CHUNK, CHUNK) / CHUNK
    decoding = way.decode_s(files["vae"])
    return {
        f"MuseTalk UNet, {BATCH} pictures": musetalk,
        f"LatentSync UNet, a step of {CHUNK}": latentsync,
        "decoder": decoding,
        "MuseTalk picture": musetalk + decoding,
        f"LatentSync picture, {STEPS} steps": STEPS * latentsync + decoding,
    }


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models", type=Path, help="keep the weights here, and use them again")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--decoded", type=int, default=4, help="pictures decoded at a time")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    fast = fast_dtype(torch.device(asked.device))
    ways = [Way("plain", torch.float32, True, asked), Way("float32", torch.float32, False, asked)]
    if fast is not torch.float32:
        ways.append(Way("auto", fast, False, asked))
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        models = asked.models or Path(folder)
        options = {name: write_weights(models, CASES[name]) for name in ("musetalk", "latentsync")}
        files = {name: Path(str(each["unet"])) for name, each in options.items()}
        files["vae"] = Path(str(options["musetalk"]["vae"]))
        found = {way.name: measured(way, files) for way in ways}
    met = True
    for part, plain_s in found["plain"].items():
        told = ", ".join(f"{name} {1 / each[part]:.3f}" for name, each in found.items())
        ratio = plain_s / found[ways[-1].name][part]
        ok = ratio >= GOAL
        print(f"{part:34} pictures/s: {told}; {ratio:.2f}x {'ok' if ok else 'MISSED'}", flush=True)
        met &= ok
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
