"""The neural engines beside plain ports in their authors' manner, random weights of true size.

    python benchmarks/engines.py [--device cpu] [--engines wav2lip96 wav2lip256 musetalk latentsync]
        [--only model|final|scale] [--models FOLDER] [--write benchmarks/results/engines.md]

Needs torch (requirements/setup.sh gpu, or .venv-torch), 5 GB of disk and 10 GB of memory. About 11
minutes on two idle cores, the first time one more for the weights. Float32 of the heavy two is left
out there: --only model --engines musetalk latentsync --precisions float32 auto.

model: windows of sound and faces in, drawn faces out, one thread. Of LatentSync on a CPU a step of
its UNet and the decoder; with --whole, and on a GPU, the chunk.
final: a task's pictures at 1280x720. Ours: through pool, engine and ring, as I420. Plain: float32,
eager, a batch at once, whisper or mel over the whole sound, each face pasted into a copy of its
whole frame, pickled to another process, as BGR.
scale: two workers of one thread against one, in turn; two cores have to be idle.

Models are counted by CPU time on a CPU, final pictures by CPU time of all processes beside the
clock's: ratios then hold on a machine that others use. What both prepare before a sound is known
(latents, masks, aligned faces) is prepared before the time is taken. First batch and memory are of
the worker; memory is the peak, its start included.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks.neural.cases import ENGINES, HEAVY, Job, chunk_batches, home
from benchmarks.neural.final import Final, OurWay, once, ways
from benchmarks.neural.goals import SCALE_GOAL, Judge
from benchmarks.neural.meters import machine
from benchmarks.neural.model import best_fps
from benchmarks.neural.table import Table
from gpu_pool.engines.precision import dtype_of

PICTURES_CPU = {"wav2lip96": 64, "wav2lip256": 8, "musetalk": 8, "latentsync": 16}
PICTURES_GPU = {"wav2lip96": 400, "wav2lip256": 400, "musetalk": 192, "latentsync": 96}
BATCHES_CPU = {"wav2lip96": (8, 16), "wav2lip256": (8,), "musetalk": (2,), "latentsync": (16,)}
BATCHES_GPU = {"wav2lip96": (16,), "wav2lip256": (8, 16, 64), "musetalk": (8, 16)}
SCALE_ROUNDS, SCALE_PICTURES = 3, 120
FINAL_BATCH = 8
"""On a CPU, where the size hardly matters and one is enough."""


def jobs(asked: argparse.Namespace, clip: Path, files: dict[str, Any]) -> Iterator[Job]:
    """Every engine in every batch size."""
    cpu = asked.device == "cpu"
    counts, sizes = (PICTURES_CPU, BATCHES_CPU) if cpu else (PICTURES_GPU, BATCHES_GPU)
    for name in asked.engines:
        for batch in chunk_batches(name, asked.batches or sizes.get(name, ())):
            options = {**files[name], **asked.options}
            pictures = asked.pictures or counts[name]
            job = Job(
                name, asked.device, clip, options, batch, asked.steps, pictures, asked.workers
            )
            yield job


def finals(wanted: list[Job], asked: argparse.Namespace) -> list[Job]:
    """Those whose final pictures are measured: on a CPU one of each engine, if none was asked."""
    if asked.batches or asked.device != "cpu":
        return wanted
    each = {job.name: job for job in wanted}.values()
    return [job if job.engine == "latentsync" else job.of(FINAL_BATCH) for job in each]


def precisions(asked: argparse.Namespace, final: bool, name: str) -> list[str]:
    """Ours: float32 and what is fast here; on a CPU in float32 too where that is affordable."""
    if asked.precisions:
        return list(asked.precisions)
    fast = dtype_of("auto", asked.device) is not torch.float32
    if not fast:
        return ["float32"]
    cpu = asked.device == "cpu"
    few = (cpu and name in HEAVY) or (final and not (cpu and name == "wav2lip96"))
    return ["auto"] if few else ["float32", "auto"]


def measure_model(job: Job, asked: argparse.Namespace, judge: Judge) -> None:
    torch.set_num_threads(job.threads)
    whole = asked.whole or job.device != "cpu"
    names = precisions(asked, False, job.name)
    best: dict[str, dict[str, float]] = {}
    for _ in range(asked.rounds):
        for way in ("plain", *names):
            again = 2 if job.light else 1
            for title, fps in best_fps(job, way, again, whole).items():
                row = best.setdefault(title, {})
                row[way] = max(row.get(way, 0.0), fps)
            gc.collect()  # networks are gigabytes
    for title, row in best.items():
        judge.model(job, title, row)


def measure_final(job: Job, asked: argparse.Namespace, judge: Judge) -> None:
    found: dict[str, list[Final]] = {}
    for _ in range(asked.rounds):
        for name, make in ways(job, precisions(asked, True, job.name)).items():
            found.setdefault(name, []).append(once(make, job))
            print(f"  {job.name} {name}: {found[name][-1]}", flush=True)
    judge.final(job, found)


def measure_scale(job: Job, rounds: int, judge: Judge) -> None:
    """Two workers of one thread each against one."""
    made = {n: OurWay(replace(job, workers=n), "float32") for n in (1, 2)}
    took_s: dict[int, list[float]] = {1: [], 2: []}
    try:
        for way in made.values():
            way.warm()
        for _ in range(rounds):
            for workers, way in made.items():
                begun = time.monotonic()
                way.speak()
                took_s[workers].append(time.monotonic() - begun)
    finally:
        for way in made.values():
            way.close()
    one, two = (job.pictures / min(took_s[workers]) for workers in (1, 2))
    judge.scale(job, one, two, SCALE_GOAL)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--only", choices=("model", "final", "scale"))
    parser.add_argument("--batches", nargs="+", type=int, help="LatentSync has its own, 16")
    parser.add_argument("--pictures", type=int, help="of a task (default: what is affordable)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--steps", type=int, help="of LatentSync (default: 2 on a CPU, else 20)")
    parser.add_argument("--workers", type=int, default=1, help="of ours, on the same device")
    parser.add_argument("--precisions", nargs="+", choices=("float32", "auto"))
    parser.add_argument("--whole", action="store_true", help="LatentSync's whole chunk as a model")
    parser.add_argument("--options", type=json.loads, default={}, help="more of ours, as JSON")
    parser.add_argument("--models", type=Path, help="keep the weights here, and use them again")
    parser.add_argument("--write", type=Path, help="append the table to this file")
    asked = parser.parse_args()
    asked.steps = asked.steps or (2 if asked.device == "cpu" else 20)
    return asked


def main() -> int:
    """Measure, print the table, say whether the goals are met."""
    asked = arguments()
    table = Table(machine(asked.device), asked.device)
    judge, only = Judge(table), asked.only
    with home(asked.models, asked.engines) as (clip, files), torch.inference_mode():
        wanted = list(jobs(asked, clip, files))
        for job in wanted if only in {None, "model"} else ():
            measure_model(job, asked, judge)
        for job in finals(wanted, asked) if only in {None, "final"} else ():
            measure_final(job.with_speech(), asked, judge)
        if only in {None, "scale"} and asked.device == "cpu" and "wav2lip96" in asked.engines:
            first = next(job for job in wanted if job.name == "wav2lip96")
            longer = replace(first.of(FINAL_BATCH), pictures=asked.pictures or SCALE_PICTURES)
            measure_scale(longer.with_speech(), SCALE_ROUNDS, judge)
    table.print()
    if asked.write:
        table.append(asked.write)
    return 0 if judge.met else 1


if __name__ == "__main__":
    raise SystemExit(main())
