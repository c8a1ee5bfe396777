"""Wav2Lip in the real worker pool: two CPU workers, one killed in the middle of a task."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from gpu_pool.contracts import (
    AvatarRef,
    Batch,
    BatchDone,
    BatchKey,
    EngineSpec,
    PictureFormat,
    SlotState,
)
from gpu_pool.engines.registry import make_engine
from gpu_pool.pool import Pool
from gpu_pool.reorder import Gap, Reorder
from gpu_pool.ring import Ring, RingReader
from gpu_pool.windows import batch_spans, cut_sound, sound_span
from tests.doubles.drawn_avatar import clip_avatar
from tests.doubles.plain_wav2lip import weights
from tests.doubles.pool_stage import LIVENESS_S

FORMAT = PictureFormat(480, 270, 25)
PICTURES, BATCH = 40, 4


@pytest.fixture(scope="module")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AvatarRef]:
    folder = tmp_path_factory.mktemp("wav2lip")
    file = folder / "wav2lip.pth"
    torch.save({"state_dict": weights("wav2lip96")}, file)
    engine = EngineSpec("wav2lip", {"weights": str(file), "batch_pictures": BATCH})
    yield AvatarRef("anna", str(clip_avatar(folder / "clip")), FORMAT, engine=engine)
    file.unlink()


@pytest.fixture(scope="module")
def batches(avatar: AvatarRef) -> list[Batch]:
    file = Path(__file__).parents[1] / "fixtures" / "slt.opus"
    sound = np.ascontiguousarray(soundfile.read(file, dtype="float32")[0][: PICTURES * 640])
    needs = make_engine(avatar.engine).needs
    return [
        Batch(
            BatchKey("main", "a", 0, first),
            count,
            "anna",
            40 + first,
            cut_sound(sound, 0, sound_span(needs, FORMAT.fps, first, count)),
            cues={"spoken": PICTURES},
        )
        for first, count in batch_spans(PICTURES, BATCH)
    ]


@pytest.fixture(scope="module")
def alone(avatar: AvatarRef, batches: list[Batch]) -> NDArray[np.uint8]:
    """What the engine draws in this process."""
    engine = make_engine(avatar.engine)
    engine.load("cpu")
    engine.prepare(avatar)
    out = np.zeros((PICTURES, *FORMAT.shape), np.uint8)
    for batch in batches:
        first, count = batch.key.first, batch.count
        heard = engine.features(batch.sound, first, count, FORMAT.fps)
        engine.render(batch, heard, list(out[first : first + count]), lambda: False)
    return out


def test_a_task_survives_the_death_of_a_worker_whole_and_in_order(
    avatar: AvatarRef,
    batches: list[Batch],
    alone: NDArray[np.uint8],
    tmp_path: Path,
) -> None:
    shown: list[NDArray[np.uint8]] = []
    waiting, order, slots = list(batches), Reorder(), set[int]()
    deadline = time.monotonic() + 2 * LIVENESS_S  # two loadings of torch, one more after the kill
    with contextlib.closing(Ring(PICTURES, FORMAT.picture_bytes, tmp_path)) as ring:
        reader = RingReader(ring.path)
        with Pool([avatar], ["cpu", "cpu"], ring) as pool:
            while any(s.state is not SlotState.READY for s in pool.report().slots):
                assert time.monotonic() < deadline, pool.report()
                time.sleep(0.05)
            killed = pool.report().slots[0].pid
            assert killed is not None
            while len(shown) < PICTURES:
                assert time.monotonic() < deadline, pool.report()
                while waiting and pool.submit(waiting[0]):
                    batch = waiting.pop(0)
                    order.expect(batch.key.first, batch.count, float("inf"))
                for result in pool.poll(0.2):
                    assert isinstance(result, BatchDone), result
                    slots.add(result.slot)
                    assert order.put(result) == ()
                for run in order.release(time.monotonic()):
                    assert not isinstance(run, Gap)
                    assert run.first == len(shown)
                    for ref in run.pictures:
                        picture = reader.picture(ref, FORMAT)
                        assert picture is not None
                        shown.append(picture.copy())
                    pool.release(run.pictures)
                    if killed and len(shown) >= 3 * BATCH:
                        os.kill(killed, signal.SIGKILL)
                        killed = 0
            report = pool.report()
    assert slots == {0, 1}, "both have drawn"
    assert sum(report.slots[0].deaths.values()) == 1
    assert report.lost == 0
    off = np.abs(np.stack(shown).astype(np.int16) - alone)
    assert off.max() <= 1  # the encoder sees other faces together than in one process
