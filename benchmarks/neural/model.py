"""Networks alone: windows of sound and faces in, drawn faces out, in this process.

Plain looks at a Wav2Lip face again for every picture, and in a whole chunk of LatentSync encodes
every face twice; ours knows the loop's pictures already, as on air.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.neural.cases import Job
from benchmarks.neural.meters import spent_s
from benchmarks.neural.plain import LatentSyncPort, MuseTalkPort, Wav2LipPort
from gpu_pool.engines.checkpoint import open_checkpoint
from gpu_pool.engines.latentsync import engine as latentsync
from gpu_pool.engines.latentsync.sampler import FRAMES, painted
from gpu_pool.engines.musetalk import engine as musetalk
from gpu_pool.engines.precision import dtype_of
from gpu_pool.engines.wav2lip.network import Wav2Lip

Run = Callable[[], object]


@dataclass(frozen=True)
class Pass:
    """One thing that is timed: ``pictures`` by one call of ``run``; ``small`` is a little of it."""

    title: str
    pictures: int
    run: Run
    small: Run


def passes(job: Job, way: str, whole: bool) -> Iterator[Pass]:
    """What is timed of one way: ``plain``, or ours in a precision."""
    torch.manual_seed(1)
    make = {"wav2lip": _wav2lip, "musetalk": _musetalk, "latentsync": _latentsync}[job.engine]
    yield from make(job, way, whole)


def best_fps(job: Job, way: str, rounds: int, whole: bool) -> dict[str, float]:
    """Pictures per second of each of its passes, the best of some rounds."""
    found = {}
    for each in passes(job, way, whole):
        each.small()
        took = []
        for _ in range(rounds):
            begun = spent_s(job.device)
            each.run()
            took.append(spent_s(job.device) - begun)
        found[each.title] = each.pictures / min(took)
    return found


def _given(job: Job, dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.rand(*shape, device=job.device, dtype=dtype)


def _wav2lip(job: Job, way: str, whole: bool) -> Iterator[Pass]:
    size = int(job.name.removeprefix("wav2lip"))
    dtype = torch.float32 if way == "plain" else dtype_of(way, job.device)
    mel = _given(job, dtype, job.batch, 1, 80, 16)
    faces = _given(job, dtype, job.batch, 6, size, size)
    if way == "plain":
        plain = Wav2LipPort(job).network
        run: Run = lambda: plain(mel, faces)  # noqa: E731
    else:
        ours = Wav2Lip(open_checkpoint(job.file("weights")), job.device, dtype)
        seen = ours.see(faces.contiguous(memory_format=torch.channels_last))
        run = lambda: ours.draw(ours.hear(mel), seen)  # noqa: E731
    yield Pass(f"{job.name} network, batch {job.batch}", job.batch, run, run)


def _musetalk(job: Job, way: str, whole: bool) -> Iterator[Pass]:
    dtype = torch.float32 if way == "plain" else dtype_of(way, job.device)
    latents = _given(job, dtype, job.batch, 8, 32, 32)
    heard = _given(job, dtype, job.batch, 50, 384)
    if way == "plain":
        plain = MuseTalkPort(job).networks

        def drawn() -> object:
            return plain.draw(list(latents.split(1)), heard)

        def one() -> object:
            return plain.unet(latents[:1], torch.tensor([0], device=job.device), heard[:1])
    else:
        options = musetalk.Options(**job.options, precision=way, threads=job.threads, disk_mb=0)  # type: ignore[arg-type]
        ours = musetalk.load_networks(options, job.device)
        latents = latents.contiguous(memory_format=torch.channels_last)
        step = torch.zeros(1, device=job.device)

        def drawn() -> object:
            return ours.vae.pictures(ours.unet(latents, step, heard))

        def one() -> object:
            return ours.unet(latents[:1], step, heard[:1])

    title = f"musetalk UNet and decoder, batch {job.batch}"
    yield Pass(title, job.batch, drawn, one if job.device == "cpu" else drawn)


@dataclass(frozen=True)
class Chunk:
    """What LatentSync does, as far as it is timed."""

    step: Run
    frame: Run
    """One step of one picture."""
    decoded: Callable[[int], object]
    whole: Run


def _latentsync(job: Job, way: str, whole: bool) -> Iterator[Pass]:
    """A step and the decoder apart; the whole chunk where it is affordable."""
    made = _plain_chunk(job) if way == "plain" else _our_chunk(job, way)
    few = made.frame if job.device == "cpu" else made.step
    yield Pass(f"latentsync UNet, chunk of {FRAMES}, a step", FRAMES, made.step, few)
    decoded = 1 if job.device == "cpu" else FRAMES
    yield Pass(f"decoder, batch {decoded}", decoded, lambda: made.decoded(decoded), lambda: None)
    if whole:
        title = f"latentsync, chunk of {FRAMES}, {job.steps} steps, decoded"
        yield Pass(title, FRAMES, made.whole, lambda: None)


def _plain_chunk(job: Job) -> Chunk:
    heard = _given(job, torch.float32, FRAMES, 50, 384)
    latents = _given(job, torch.float32, FRAMES, 9, 32, 32)
    faces = torch.randint(0, 255, (FRAMES, 256, 256, 3), dtype=torch.uint8).numpy()
    networks, given = LatentSyncPort(job).networks, latents.transpose(0, 1)[None]
    return Chunk(
        lambda: networks.denoised(given, heard, 1, 1.0),
        lambda: networks.denoised(given[:, :, :1], heard[:1], 1, 1.0),
        lambda count: networks.vae.decode(latents[:count, :4]),
        lambda: networks.draw(faces, heard, job.steps),
    )


def _our_chunk(job: Job, way: str) -> Chunk:
    dtype = dtype_of(way, job.device)
    heard, latents = _given(job, dtype, FRAMES, 50, 384), _given(job, dtype, FRAMES, 8, 32, 32)
    one, time = _given(job, dtype, 1, 13, 32, 32), torch.ones(1, device=job.device)
    networks = latentsync.load_networks(
        latentsync.Options(**job.options, precision=way, threads=job.threads, disk_mb=0),  # type: ignore[arg-type]
        job.device,
    )

    def drawn(count: int) -> Tensor:
        made = painted(networks.unet, latents, heard, count, 1.0)
        assert made is not None
        return made.to(dtype)

    return Chunk(
        lambda: drawn(1),
        lambda: networks.unet(one, time, heard[:1], 1),
        lambda count: networks.vae.pictures(latents[:count, :4]),
        lambda: networks.vae.pictures(drawn(job.steps)),
    )
