"""The neural engines beside a plain port in their authors' manner, random weights of true size.

    python benchmarks/engines.py [--device cpu] [--variants wav2lip96 wav2lip256] [--batches 8 16]
        [--pictures 200] [--rounds 3] [--only model|final|scale]

Needs torch (requirements/setup.sh gpu, or .venv-torch).

model: windows of sound and faces in, drawn faces out, one thread. Plain: eager float32, nothing
folded, the face looked at again by every picture. Ours: the loop's pictures are known already.
final: a task's pictures at 1280x720. Ours: through pool, engine and ring, as I420. Plain: faces cut
anew, float32, pasted into a copy of the frame, pickled to another process, as BGR.
scale: two workers of one thread against one, in turn; two cores have to be idle.

Models are counted by CPU time on a CPU, final pictures by CPU time of all processes beside the
clock's: ratios then hold on a machine that others use. First batch is that of a worker at rest.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from benchmarks.cpu import memory, tree, tree_cpu_s
from gpu_pool.contracts import (
    AvatarRef,
    Batch,
    BatchDone,
    BatchKey,
    EngineSpec,
    PictureFormat,
    SlotState,
)
from gpu_pool.engines.checkpoint import open_checkpoint
from gpu_pool.engines.photo.looped import LoopedPictures
from gpu_pool.engines.precision import fast_dtype
from gpu_pool.engines.wav2lip.boxes import boxes_in
from gpu_pool.engines.wav2lip.mel import COLUMNS, column_of, whole_mel
from gpu_pool.engines.wav2lip.network import SIZES, Wav2Lip
from gpu_pool.pool import Pool
from gpu_pool.reorder import Gap, Reorder
from gpu_pool.ring import Ring, RingReader
from gpu_pool.windows import batch_spans, cut_sound, sound_span
from tests.doubles.drawn_avatar import clip_avatar
from tests.doubles.plain_wav2lip import plain_inputs, plain_network, plain_paste, weights

FORMAT = PictureFormat(1280, 720, 25)
SPEECH = Path(__file__).parents[1] / "tests" / "fixtures" / "slt.opus"
LOOP_PICTURES = 50
MODEL_GOAL, FINAL_GOAL, SCALE_GOAL = 1.2, 1.5, 1.7
READY_S = 120.0


def goal(name: str, value: float, least: float) -> bool:
    met = value >= least
    print(f"  {name:58}{value:8.2f} >= {least:<5g}{'ok' if met else 'MISSED'}", flush=True)
    return met


@dataclass(frozen=True)
class Home:
    """Where weights and avatar lie; ``sound`` is mono at 16 kHz."""

    folder: Path
    sound: NDArray[np.float32]
    device: str

    def weights(self, variant: str) -> Path:
        return self.folder / f"{variant}.pth"

    def avatar(self, variant: str, batch: int, precision: str) -> AvatarRef:
        options = {
            "weights": str(self.weights(variant)),
            "batch_pictures": batch,
            "precision": precision,
        }
        source = str(self.folder / "clip")
        return AvatarRef("her", source, FORMAT, engine=EngineSpec("wav2lip", options))


@contextlib.contextmanager
def home(device: str, variants: Sequence[str], pictures: int) -> Iterator[Home]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip_avatar(folder / "clip", LOOP_PICTURES)
        for variant in variants:
            torch.save({"state_dict": weights(variant)}, folder / f"{variant}.pth")
        spoken = soundfile.read(SPEECH, dtype="float32")[0]
        wanted = pictures * 16_000 // FORMAT.fps
        sound = np.tile(spoken, -(-wanted // len(spoken)))[:wanted]
        yield Home(folder, np.ascontiguousarray(sound, np.float32), device)


# --- model ----------------------------------------------------------------------------------


def spent_s(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def model_fps(run: Callable[[], object], batch: int, device: str, repeats: int) -> float:
    run()
    best = float("inf")
    for _ in range(repeats):
        begun = spent_s(device)
        run()
        best = min(best, spent_s(device) - begun)
    return batch / best


def measure_model(at: Home, variant: str, batches: Sequence[int], rounds: int) -> bool:
    torch.set_num_threads(1)
    size, device = SIZES[variant], torch.device(at.device)
    plain, checkpoint = plain_network(variant).to(device), open_checkpoint(at.weights(variant))
    kinds = dict.fromkeys((torch.float32, fast_dtype(device)))
    met = True
    for batch in batches:
        ours = {str(kind)[6:]: Wav2Lip(checkpoint, at.device, kind) for kind in kinds}
        mel, face = (
            torch.rand(batch, *shape, device=device) for shape in ((1, 80, 16), (6, size, size))
        )
        runs: dict[str, Callable[[], object]] = {"plain": lambda: plain(mel, face)}  # noqa: B023
        for kind, network in ours.items():
            heard = mel.to(network.dtype)
            seen = network.see(face.to(network.dtype).contiguous(memory_format=torch.channels_last))
            runs[kind] = lambda n=network, h=heard, s=seen: n.draw(n.hear(h), s)
        best = dict.fromkeys(runs, 0.0)
        for _ in range(rounds):
            for name, run in runs.items():
                best[name] = max(best[name], model_fps(run, batch, at.device, 3))
        told = ", ".join(f"{name} {fps:.1f}" for name, fps in best.items())
        print(f"{variant} model, batch {batch}, pictures/s: {told}", flush=True)
        for name in ours:
            met &= goal(
                f"{variant} batch {batch} {name} / plain", best[name] / best["plain"], MODEL_GOAL
            )
    return met


# --- final: ours ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Final:
    """Of one round: pictures per second by the clock and by CPU, and seconds to the first batch."""

    fps: float
    cpu_fps: float
    first_s: float
    memory_mb: float


class OurWay:
    """Pool, engine and ring, read in place as the playout does."""

    def __init__(
        self, at: Home, variant: str, batch: int, precision: str, workers: int = 1
    ) -> None:
        self._at, self._batch = at, batch
        self._ring = Ring(4 * batch * workers, FORMAT.picture_bytes)
        self._reader = RingReader(self._ring.path)
        avatar = at.avatar(variant, batch, precision)
        self._pool = Pool([avatar], [at.device] * workers, self._ring)
        deadline = time.monotonic() + READY_S
        while not all(each.state is SlotState.READY for each in self._pool.report().slots):
            assert time.monotonic() < deadline, self._pool.report()
            time.sleep(0.05)
        self._tasks = 0

    def speak(self) -> float:
        """Render the whole sound; seconds until the first picture."""
        self._tasks += 1
        pictures, sound = len(self._at.sound) * FORMAT.fps // 16_000, self._at.sound
        order, needs = Reorder(), self._pool.needs("her")
        assert needs is not None
        spans = list(batch_spans(pictures, self._batch))[::-1]
        begun, first_s = time.monotonic(), 0.0
        while order.released < pictures:
            while spans:
                first, count = spans[-1]
                window = cut_sound(sound, 0, sound_span(needs, FORMAT.fps, first, count))
                key = BatchKey("main", str(self._tasks), 0, first)
                cues = {"spoken": pictures}
                if not self._pool.submit(Batch(key, count, "her", first, window, cues=cues)):
                    break
                spans.pop()
                order.expect(first, count, float("inf"))
            for result in self._pool.poll(5.0):
                assert isinstance(result, BatchDone), result
                order.put(result)
            for run in order.release(0.0):
                assert not isinstance(run, Gap)
                assert all(self._reader.picture(ref, FORMAT) is not None for ref in run.pictures)
                first_s = first_s or time.monotonic() - begun
                self._pool.release(run.pictures)
        return first_s

    def close(self) -> None:
        self._pool.close()
        self._ring.close()


# --- final: plain ---------------------------------------------------------------------------


def plain_worker(line: Connection, at: Home, variant: str, batch: int) -> None:
    """Batches of a task as BGR frames, the way the authors' scripts go."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network, size = plain_network(variant).to(at.device), SIZES[variant]
    loop = LoopedPictures(at.folder / "clip", FORMAT)
    boxes = boxes_in(loop)
    frames, places = [], []
    for tick in range(loop.loop_ticks):  # in memory, as theirs
        picture = loop.picture(tick)
        frames.append(np.asarray(cv2.cvtColor(picture, cv2.COLOR_YUV2BGR_I420), np.uint8))
        box = boxes[loop.number(loop.place(tick))]
        places.append((box.top, box.bottom, box.left, box.right))
    pictures = len(at.sound) * FORMAT.fps // 16_000
    while line.recv():
        mel = whole_mel(at.sound)
        for first, count in batch_spans(pictures, batch):
            which = [index % len(frames) for index in range(first, first + count)]
            starts = [
                min(column_of(i, FORMAT.fps), mel.shape[1] - COLUMNS)
                for i in range(first, first + count)
            ]
            heard = np.stack([mel[None, :, start : start + COLUMNS] for start in starts])
            faces = plain_inputs([frames[i] for i in which], [places[i] for i in which], size)
            with torch.no_grad():
                drawn = network(
                    torch.FloatTensor(heard).to(at.device), torch.FloatTensor(faces).to(at.device)
                )
            back = drawn.cpu().numpy().transpose(0, 2, 3, 1) * 255.0
            for i, face in zip(which, back, strict=True):
                line.send(plain_paste(frames[i], places[i], face))


class PlainWay:
    """One process that draws, this one that takes."""

    def __init__(self, at: Home, variant: str, batch: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pictures = len(at.sound) * FORMAT.fps // 16_000
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=plain_worker, args=(theirs, at, variant, batch))
        self._process.start()

    def speak(self) -> float:
        begun, first_s = time.monotonic(), 0.0
        self._line.send(True)
        for _ in range(self._pictures):
            self._line.recv()
            first_s = first_s or time.monotonic() - begun
        return first_s

    def close(self) -> None:
        self._line.send(False)
        self._process.join(30)


def once(way: OurWay | PlainWay, pictures: int) -> Final:
    begun, cpu_s = time.monotonic(), tree_cpu_s([os.getpid()])
    first_s = way.speak()
    took_s, used_s = time.monotonic() - begun, tree_cpu_s([os.getpid()]) - cpu_s
    children = [each for each in tree(os.getpid()) if each != os.getpid()]
    rss_mb = max(found.rss_mb for each in children if (found := memory(each)))
    return Final(pictures / took_s, pictures / used_s, first_s, rss_mb)


def measure_final(at: Home, variant: str, batch: int, pictures: int, rounds: int) -> bool:
    makers: dict[str, Callable[[], Any]] = {
        "plain": lambda: PlainWay(at, variant, batch),
        "float32": lambda: OurWay(at, variant, batch, "float32"),
        "auto": lambda: OurWay(at, variant, batch, "auto"),
    }
    found: dict[str, list[Final]] = {name: [] for name in makers}
    for _ in range(rounds):
        for name, make in makers.items():
            way = make()
            try:
                way.speak()  # every face of the loop was seen
                found[name].append(once(way, pictures))
            finally:
                way.close()
    for name, each in found.items():
        print(
            f"{variant} final, batch {batch}, {name:8} {max(r.fps for r in each):7.1f} pictures/s, "
            f"{statistics.median(r.cpu_fps for r in each):7.1f} per CPU second, "
            f"first {min(r.first_s for r in each):.3f} s, {max(r.memory_mb for r in each):.0f} MB",
            flush=True,
        )
    plain = statistics.median(each.cpu_fps for each in found["plain"])
    met = True
    for name in ("float32", "auto"):
        ratio = statistics.median(each.cpu_fps for each in found[name]) / plain
        met &= goal(f"{variant} batch {batch} end to end, {name} / plain", ratio, FINAL_GOAL)
    return met


# --- scale ----------------------------------------------------------------------------------


def measure_scale(at: Home, variant: str, batch: int, pictures: int, rounds: int) -> bool:
    ways = {workers: OurWay(at, variant, batch, "float32", workers) for workers in (1, 2)}
    fps: dict[int, list[float]] = {1: [], 2: []}
    try:
        for way in ways.values():
            way.speak()
        for _ in range(rounds):
            for workers, way in ways.items():
                fps[workers].append(once(way, pictures).fps)
    finally:
        for way in ways.values():
            way.close()
    best = {workers: max(each) for workers, each in fps.items()}
    print(f"{variant} one worker {best[1]:.1f}, two {best[2]:.1f} pictures/s", flush=True)
    return goal(f"{variant} two workers of one thread / one", best[2] / best[1], SCALE_GOAL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--variants", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--batches", nargs="+", type=int, default=[8, 16])
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("model", "final", "scale"))
    asked = parser.parse_args()
    met, only = True, asked.only
    with home(asked.device, asked.variants, asked.pictures) as at, torch.inference_mode():
        for variant in asked.variants:
            if only in (None, "model"):
                met &= measure_model(at, variant, asked.batches, asked.rounds)
            if only in (None, "final"):
                met &= measure_final(at, variant, asked.batches[0], asked.pictures, asked.rounds)
        if only in (None, "scale") and asked.device == "cpu":
            met &= measure_scale(
                at, asked.variants[0], asked.batches[0], asked.pictures, asked.rounds
            )
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
