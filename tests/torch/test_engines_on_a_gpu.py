"""The way of each engine on a GPU, led along one that is not there: devices never mix.

What is drawn is the matter of the tests beside this one, on a CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpu_pool.contracts import Answer, AvatarRef, Batch, BatchKey, Job, PictureFormat
from gpu_pool.engines.latentsync import engine as latentsync
from gpu_pool.engines.musetalk import engine as musetalk
from gpu_pool.engines.wav2lip import engine as wav2lip
from gpu_pool.engines.whisper.hearing import Hearing
from gpu_pool.windows import cut_sound, sound_span
from tests.doubles import recipe_networks
from tests.doubles.drawn_avatar import clip_avatar
from tests.doubles.plain_wav2lip import weights
from tests.doubles.pretended_gpu import moved, pretended_gpu
from tests.oracles import recipe

FORMAT = PictureFormat(480, 270, 25)
PICTURES = 32
HALF = torch.bfloat16
FILES = {"unet": "unet", "vae": "vae", "whisper": "whisper", "disk_mb": 0}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu")
    clip_avatar(folder / "clip")
    torch.save({"state_dict": weights("wav2lip96")}, folder / "wav2lip.pth")
    return folder


@pytest.fixture(scope="module", autouse=True)
def real_weights() -> None:
    """Kept for all tests: they must not be made first where tensors pretend."""
    recipe_networks.whisper_file()


def hearing(first: bool) -> Hearing:
    whisper = recipe_networks.whisper(recipe_networks.whisper_file())
    return Hearing(moved(whisper, HALF), first)


def wav2lip_engine(home: Path, **options: Any) -> Any:
    return wav2lip.make({"weights": str(home / "wav2lip.pth"), "disk_mb": 0, **options})


def musetalk_engine(_: Path, **options: Any) -> Any:
    unet, vae = recipe_networks.tiny_unet("musetalk_unet_small", 8), recipe_networks.tiny_vae()
    made = musetalk.Networks(moved(unet, HALF), moved(vae, HALF), hearing(False))
    asked = musetalk.Options(**{**FILES, **options})
    return musetalk.MuseTalkEngine(asked, lambda *_: made)


def latentsync_engine(_: Path, **options: Any) -> Any:
    unet = recipe_networks.tiny_unet("latentsync10_unet_small", 13)
    vae = recipe_networks.tiny_vae()
    made = latentsync.Networks(moved(unet, HALF), moved(vae, HALF), hearing(True))
    asked = latentsync.Options(**{**FILES, "steps": 2, **options})
    return latentsync.LatentSyncEngine(asked, lambda *_: made)


def jobs(engine: Any, tasks: int) -> list[Job[Any]]:
    """Two batches of each task."""
    sound, made = recipe.waveform("gpu", PICTURES / FORMAT.fps), []
    for task in range(tasks):
        for first in (0, PICTURES // 2):
            count = PICTURES // 2
            window = cut_sound(sound, 0, sound_span(engine.needs, FORMAT.fps, first, count))
            key = BatchKey("main", str(task), 0, first)
            batch = Batch(key, count, "clip", first, window, cues={"spoken": PICTURES})
            heard = engine.features(window, first, count, FORMAT.fps)
            out = list(np.zeros((count, *FORMAT.shape), np.uint8))
            made.append(Job(batch, heard, out, lambda: False))
    return made


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (wav2lip_engine, {}),
        (wav2lip_engine, {"paste": "host"}),
        (musetalk_engine, {"batch_pictures": 3}),
        (latentsync_engine, {}),
        (latentsync_engine, {"guidance": 1.5, "resampling": "bilinear"}),
        (latentsync_engine, {"conformance": True}),
    ],
)
def test_tasks_are_drawn_together_and_recorded_without_leaving_the_device(
    home: Path, make: Any, options: dict[str, Any]
) -> None:
    with pretended_gpu() as graphs:
        engine = make(home, **options)
        engine.load("cuda:0")
        assert engine.needs.batches_together > 1
        engine.prepare(AvatarRef("clip", str(home / "clip"), FORMAT))
        for _ in range(2):
            given = jobs(engine, 2)
            answers = list(engine.render_together(given))
            assert sorted(each.job for each in answers) == [0, 1, 2, 3]
            assert all(each == Answer(each.job) for each in answers)
            assert 0 < graphs.made <= 6, "few shapes, recorded once"
            assert all(picture.any() for each in given for picture in each.out)


def test_graphs_can_be_switched_off(home: Path) -> None:
    with pretended_gpu() as graphs:
        engine = wav2lip_engine(home, graphs=False)
        engine.load("cuda:0")
        engine.prepare(AvatarRef("clip", str(home / "clip"), FORMAT))
        assert len(list(engine.render_together(jobs(engine, 1)))) == 2
        assert not graphs.made


def test_a_tensor_left_on_the_host_is_noticed() -> None:
    with pretended_gpu(), pytest.raises(RuntimeError, match="on the same device"):
        torch.empty(3, device="cuda") + torch.empty(3)
