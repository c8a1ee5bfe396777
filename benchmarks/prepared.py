"""An avatar served for the first time and for the second: what is worked out, and what is read.

    python benchmarks/prepared.py [--device cpu] [--pictures 8] [--precision auto]

Networks of true size with random weights; the clip is the drawn presenter at 1280x720. Needs torch.
One row: the pictures of a loop with all that an engine needs to draw into them, per picture. First:
nothing is kept, and it is written; second: another worker reads it. Both with files in memory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from gpu_pool.contracts import PictureFormat
from gpu_pool.engines.checkpoint import open_checkpoint
from gpu_pool.engines.diffusion.vae import Vae
from gpu_pool.engines.latentsync.avatar import AlignedFace
from gpu_pool.engines.musetalk.avatar import MuseFace
from gpu_pool.engines.musetalk.parser import FaceParser
from gpu_pool.engines.precision import dtype_of
from gpu_pool.engines.prepared import Keeping
from gpu_pool.engines.wav2lip.avatar import LoopedFace
from gpu_pool.engines.wav2lip.network import SIZES, Wav2Lip
from tests.doubles.drawn_avatar import clip_avatar
from tests.doubles.plain_wav2lip import weights

FORMAT = PictureFormat(1280, 720, 25)
AT_ONCE = 8

Faces = Any
"""An avatar as one of the engines needs it."""


def makers(folder: Path, device: str, precision: str) -> dict[str, Callable[[Keeping], Faces]]:
    source, kind, keep = folder / "clip", dtype_of(precision, device), 4 << 30
    made: dict[str, Callable[[Keeping], Faces]] = {}
    for variant in SIZES:
        torch.save(weights(variant), folder / "w.pth")
        net = Wav2Lip(open_checkpoint(folder / "w.pth"), device, kind)
        made[variant] = lambda keeping, net=net: LoopedFace(  # type: ignore[misc]
            source, FORMAT, net, batch=AT_ONCE, keep_bytes=keep, keeping=keeping
        )
    torch.manual_seed(1)
    vae = Vae().eval().to(device, kind, memory_format=torch.channels_last)
    parser = FaceParser().eval().to(device)
    made["musetalk 1.5, parser"] = lambda keeping: MuseFace(
        source, FORMAT, vae, parser, False, keep, keeping
    )
    made["latentsync 1.0"] = lambda keeping: AlignedFace(source, FORMAT, vae, keep, keeping)
    return made


def served_s(faces: Faces, ticks: Sequence[int]) -> float:
    began = time.perf_counter()
    for first in range(0, len(ticks), AT_ONCE):
        faces.shown(ticks[first : first + AT_ONCE])
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--precision", default="auto")
    told = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        folder = Path(name)
        clip_avatar(folder / "clip", max(14, told.pictures + 2))
        for title, make in makers(folder, told.device, told.precision).items():
            make(Keeping()).shown([0])  # what is set up on first use
            keeping = Keeping(str(folder / "prepared"), title, 1 << 40)
            ticks = range(told.pictures)
            first, second = (served_s(make(keeping), ticks) / told.pictures for _ in range(2))
            size = sum(each.stat().st_size for each in (folder / "prepared").rglob("*.npz"))
            print(
                f"{title:22} first {1000 * first:9.1f} ms, second {1000 * second:6.1f} ms, "
                f"{first / second:7.1f}x; {size / told.pictures / 1e3:7.0f} kB a picture",
                flush=True,
            )
            for each in (folder / "prepared").rglob("*.npz"):
                each.unlink()


if __name__ == "__main__":
    main()
