"""The engines as they are measured: random weights of true size, one avatar, speech."""

from __future__ import annotations

import contextlib
import multiprocessing
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks.true_size import CASES, Case, write_weights
from gpu_pool.contracts import SOUND_RATE_HZ, AvatarRef, EngineSpec, Json, PictureFormat
from gpu_pool.engines.latentsync.sampler import FRAMES
from tests.doubles.drawn_avatar import clip_avatar

FORMAT = PictureFormat(1280, 720, 25)
SPEECH = Path(__file__).parents[2] / "tests" / "fixtures" / "slt.opus"

LOOP_PICTURES = 50

MARGIN_S = 1.0
"""Sound behind the last picture that is drawn: a task does not end there."""

WIDE = replace(CASES["wav2lip"], files={"weights": ("wav2lip256", "wav2lip256", False)})
ENGINES: Mapping[str, Case] = {
    "wav2lip96": CASES["wav2lip"],
    "wav2lip256": WIDE,
    "musetalk": CASES["musetalk"],
    "latentsync": CASES["latentsync"],
}
HEAVY = {"musetalk", "latentsync"}
"""A picture takes seconds on a CPU."""

SLOW = {"wav2lip256", *HEAVY}
"""What a CPU does not draw twice to warm up."""


@dataclass(frozen=True)
class Job:
    """One engine in one batch size; goes to other processes.

    Attributes:
        name: of ``ENGINES``.
        device: of torch.
        clip: an avatar's folder.
        options: of the engine: files, and what was asked for.
        batch: pictures drawn by one pass.
        steps: of LatentSync.
        pictures: of a task.
        workers: of ours.
    """

    name: str
    device: str
    clip: Path
    options: Mapping[str, Json]
    batch: int
    steps: int
    pictures: int
    workers: int = 1
    threads: int = 1
    sound: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)

    @property
    def engine(self) -> str:
        return self.name.rstrip("0123456789")

    @property
    def light(self) -> bool:
        """Whether drawing something twice costs next to nothing."""
        return self.name not in SLOW or self.device != "cpu"

    @property
    def first(self) -> int:
        """Index of the first picture that is drawn: those at a task's beginning show nothing."""
        return self.batch

    @property
    def end(self) -> int:
        return self.first + self.pictures

    def tick(self, index: int) -> int:
        """Where a picture stands in the loop, which goes there and back.

        A short task lies about its turn: a picture of a heavy engine is waited for, where it is
        only prepared, half as often.
        """
        return max(0, LOOP_PICTURES - self.pictures // 2) + index - self.first

    def file(self, option: str) -> Path:
        return Path(str(self.options[option]))

    def avatar(self, precision: str) -> AvatarRef:
        told: dict[str, Json] = {"threads": self.threads, "precision": precision}
        if self.engine == "latentsync":
            told["steps"] = self.steps
        else:
            told["batch_pictures"] = self.batch
        engine = EngineSpec(self.engine, {**told, **self.options})
        return AvatarRef("her", str(self.clip), FORMAT, engine=engine)

    def of(self, batch: int) -> Job:
        """The same in another batch size."""
        return replace(self, batch=batch)

    def with_speech(self) -> Job:
        """The same with its sound, mono at 16 kHz: a voice, over and over."""
        spoken = soundfile.read(SPEECH, dtype="float32")[0]
        wanted = self.end * SOUND_RATE_HZ // FORMAT.fps + round(MARGIN_S * SOUND_RATE_HZ)
        sound = np.tile(spoken, -(-wanted // len(spoken)))[:wanted]
        return replace(self, sound=np.ascontiguousarray(sound, np.float32))


@contextlib.contextmanager
def home(
    models: Path | None, names: Sequence[str]
) -> Iterator[tuple[Path, dict[str, dict[str, Json]]]]:
    """An avatar's folder, and the files of every engine."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip_avatar(folder / "clip", LOOP_PICTURES)
        written = models or folder / "models"
        yield folder / "clip", write_files(written, names)


def write_files(folder: Path, names: Sequence[str]) -> dict[str, dict[str, Json]]:
    """Their files, those that are not there yet by two processes: a UNet takes a minute."""
    single = {}
    for name in names:
        for option, (tag, layout, half) in ENGINES[name].files.items():
            single[layout] = replace(ENGINES[name], files={option: (tag, layout, half)})
    absent = [case for layout, case in single.items() if not (folder / f"{layout}.pt").exists()]
    if absent:
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
            list(pool.map(write_weights, [folder] * len(absent), absent))
    found = {}
    for name in names:
        written = write_weights(folder, ENGINES[name])
        found[name] = {option: written[option] for option in ENGINES[name].files}
    return found


def chunk_batches(name: str, batches: Sequence[int]) -> Sequence[int]:
    """LatentSync has one size."""
    return (FRAMES,) if name == "latentsync" else batches
