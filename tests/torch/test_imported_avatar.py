"""Avatars imported from LiveTalking's layout, drawn by their engines: in the boxes they brought."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gpu_pool.contracts import AvatarRef, EngineSpec, PictureFormat
from gpu_pool.engines.livetalking import Import, engine_of, import_avatar
from gpu_pool.engines.musetalk.engine import MuseTalkEngine, Networks, Options
from gpu_pool.engines.photo.looped import LoopedPictures
from gpu_pool.engines.registry import make_engine
from gpu_pool.engines.wav2lip.engine import Wav2LipEngine
from gpu_pool.engines.whisper.hearing import Hearing
from tests.doubles import brought_avatar as brought
from tests.doubles import recipe_networks
from tests.doubles.engine_run import FIRST_TICK, FPS, idle, rendered
from tests.doubles.plain_wav2lip import weights
from tests.oracles import recipe

FORMAT = PictureFormat(brought.WIDTH, brought.HEIGHT, FPS)
PICTURES = 6


def imported(source: Path) -> Path:
    ours = source.with_name(f"{source.name}-ours")
    wanted = Import(source, "anna", engine_of(source), models=source / "none")
    import_avatar(wanted, ours, lambda _part, _step: None)
    return ours


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    return recipe.waveform("imported_avatar", PICTURES / FPS)


@pytest.fixture(scope="module")
def wav2lip_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Removed at once: it has 145 MB."""
    file = tmp_path_factory.mktemp("weights") / "wav2lip.pth"
    torch.save(weights("wav2lip96"), file)
    yield file
    file.unlink()


def changed(pictures: NDArray[np.uint8], folder: Path) -> NDArray[np.int16]:
    """How far each picture's luma is from the idle loop's."""
    away = np.abs(pictures.astype(np.int16) - idle(folder, FORMAT, PICTURES))
    return away[:, : FORMAT.height]


def numbers(folder: Path) -> list[int]:
    """Which stored picture each of the task shows."""
    loop = LoopedPictures(folder, FORMAT)
    return [loop.number(loop.place(FIRST_TICK + tick)) for tick in range(PICTURES)]


def test_wav2lip_draws_into_the_boxes_that_were_brought(
    wav2lip_file: Path, speech: NDArray[np.float32], tmp_path: Path
) -> None:
    folder = imported(brought.wav2lip(tmp_path / "wav2lip"))
    options = {"weights": str(wav2lip_file), "precision": "float32", "conformance": True}
    engine = make_engine(EngineSpec("wav2lip", options))
    assert isinstance(engine, Wav2LipEngine)
    engine.load("cpu")
    engine.prepare(AvatarRef("clip", str(folder), FORMAT))
    away = changed(rendered(engine, FORMAT, speech, [4, 2], PICTURES), folder)
    shown = numbers(folder)
    assert len(set(shown)) > 1, "boxes of several pictures"
    for number, own in zip(shown, away, strict=True):
        left, top, right, bottom = brought.moved(brought.WAV2LIP_BOX, number)
        assert (own[top:bottom, left:right] > 0).mean() > 0.9, "the whole box is overwritten"
        own[top:bottom, left:right] = 0
        assert not own.any(), "and nothing else"


def small_networks(options: Options, device: str) -> Networks:
    assert device == "cpu"
    unet = recipe_networks.tiny_unet("musetalk_unet_small", 8)
    whisper = recipe_networks.whisper(recipe_networks.whisper_file())
    return Networks(unet, recipe_networks.tiny_vae(), Hearing(whisper, options.version == "1.0"))


@pytest.fixture(scope="module")
def musetalk() -> MuseTalkEngine:
    options = Options(unet="unet", vae="vae", whisper="whisper", batch_pictures=3)
    engine = MuseTalkEngine(options, small_networks)
    engine.load("cpu")
    return engine


def test_musetalk_draws_through_the_masks_that_were_brought(
    musetalk: MuseTalkEngine, speech: NDArray[np.float32], tmp_path: Path
) -> None:
    folder = imported(brought.musetalk(tmp_path / "musetalk"))
    musetalk.prepare(AvatarRef("clip", str(folder), FORMAT))
    away = changed(rendered(musetalk, FORMAT, speech, [PICTURES], PICTURES), folder)
    assert not away[0].any(), "the first picture is the idle loop's"
    loop = LoopedPictures(folder, FORMAT)
    for number, own in list(zip(numbers(folder), away, strict=True))[2:4]:
        found = loop.mask_for("musetalk", number)
        assert found is not None
        left, top, right, bottom = found.around
        part = own[top:bottom, left:right]
        assert part[found.mask > 200].mean() > 8, "drawn where the mask is white"
        assert part[found.mask == 0].max() <= 1, "untouched where it is black"
        own[top:bottom, left:right] = 0
        assert not own.any()


def test_a_black_mask_lets_nothing_through(
    musetalk: MuseTalkEngine, speech: NDArray[np.float32], tmp_path: Path
) -> None:
    source = brought.musetalk(tmp_path / "black")
    for file in (source / "mask").iterdir():
        grey = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(file), np.zeros_like(grey))
    folder = imported(source)
    musetalk.prepare(AvatarRef("clip", str(folder), FORMAT))
    assert not changed(rendered(musetalk, FORMAT, speech, [PICTURES], PICTURES), folder).any()


@pytest.mark.parametrize("engine", ["wav2lip", "musetalk"])
def test_the_fixture_of_that_layout_is_drawn_at_any_size(
    engine: str,
    wav2lip_file: Path,
    musetalk: MuseTalkEngine,
    speech: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    source = tmp_path / "brought"
    source.symlink_to(brought.FIXTURES / f"avatar_{engine}")  # the operator's own path may be one
    folder = imported(source)
    drawn: MuseTalkEngine | Wav2LipEngine = musetalk
    if engine == "wav2lip":
        made = make_engine(EngineSpec("wav2lip", {"weights": str(wav2lip_file)}))
        assert isinstance(made, Wav2LipEngine)
        made.load("cpu")
        drawn = made
    tall = PictureFormat(270, 480, FPS)
    drawn.prepare(AvatarRef("clip", str(folder), tall))
    pictures = rendered(drawn, tall, speech, [PICTURES], PICTURES)
    away = np.abs(pictures.astype(np.int16) - idle(folder, tall, PICTURES))[2:4, :480]
    box = LoopedPictures(folder, tall).boxes_for(engine)
    assert box is not None
    assert away.max() > 8
    rows = np.argwhere(away.max(axis=0) > 8)[:, 0]
    assert rows.min() >= min(each.top for each in box) - 2
    assert rows.max() <= max(each.bottom for each in box) + 2
