"""The engine ``musetalk``: small random networks, a real face, however a task is cut."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpu_pool.contracts import (
    AvatarRef,
    AvatarRefused,
    Batch,
    BatchKey,
    BatchRefused,
    EngineSpec,
    PictureFormat,
)
from gpu_pool.engines.checkpoint import CheckpointRefused
from gpu_pool.engines.musetalk.boxes import face_box
from gpu_pool.engines.musetalk.engine import MuseTalkEngine, Networks, Options
from gpu_pool.engines.musetalk.parser import FaceParser
from gpu_pool.engines.options import OptionsRefused
from gpu_pool.engines.photo.box import Box
from gpu_pool.engines.registry import make_engine
from gpu_pool.engines.whisper.hearing import Hearing
from gpu_pool.windows import cut_sound, sound_span
from tests.doubles import recipe_networks
from tests.doubles.drawn_avatar import clip_avatar, still_avatar
from tests.doubles.engine_run import FPS, idle, rendered
from tests.oracles import recipe

FORMAT = PictureFormat(480, 270, FPS)
PICTURES = 6
FILES = Options(unet="unet", vae="vae", whisper="whisper", batch_pictures=3)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("musetalk")
    still_avatar(folder / "still")
    clip_avatar(folder / "clip")
    return folder


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    return recipe.waveform("musetalk_engine", PICTURES / FPS)


def networks(options: Options, device: str) -> Networks:
    assert device == "cpu"
    unet = recipe_networks.tiny_unet("musetalk_unet_small", 8)
    whisper = recipe_networks.whisper(recipe_networks.whisper_file())
    return Networks(unet, recipe_networks.tiny_vae(), Hearing(whisper, options.version == "1.0"))


def made(home: Path, load: object = networks) -> MuseTalkEngine:
    engine = MuseTalkEngine(FILES, load)  # type: ignore[arg-type]
    engine.load("cpu")
    for name in ("still", "clip"):
        engine.prepare(AvatarRef(name, str(home / name), FORMAT))
    return engine


@pytest.fixture(scope="module")
def engine(home: Path) -> MuseTalkEngine:
    return made(home)


@pytest.fixture(scope="module")
def offline(engine: MuseTalkEngine, speech: NDArray[np.float32]) -> NDArray[np.uint8]:
    return rendered(engine, FORMAT, speech, [PICTURES], PICTURES)


@settings(max_examples=2, deadline=None, database=None)
@given(sizes=st.lists(st.integers(1, PICTURES), min_size=PICTURES, max_size=PICTURES))
def test_a_streamed_task_is_the_same_as_the_whole_at_once(
    engine: MuseTalkEngine,
    speech: NDArray[np.float32],
    offline: NDArray[np.uint8],
    sizes: list[int],
) -> None:
    off = np.abs(rendered(engine, FORMAT, speech, sizes, PICTURES).astype(np.int16) - offline)
    assert off.max() <= 1  # a pass of another size rounds a last digit differently


@pytest.mark.parametrize("avatar", ["clip", "still"])
def test_the_mouths_part_changes_and_nothing_else(
    engine: MuseTalkEngine, home: Path, speech: NDArray[np.float32], avatar: str
) -> None:
    pictures = rendered(engine, FORMAT, speech, [3, 3], PICTURES, avatar)
    still = idle(home / avatar, FORMAT, PICTURES)
    away = np.abs(pictures.astype(np.int16) - still)
    assert not away[0].any(), "the first picture is the idle loop's"
    assert not away[-1].any(), "and so is the last"
    face = engine._avatars[avatar]._boxes[0]
    changed = np.argwhere(away[2:4, :270].max(axis=0) > 8)
    assert len(changed) > 200, "nothing was drawn"
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    middle = (face.top + face.bottom) / 2
    assert middle - 0.1 * face.height <= top
    assert bottom <= face.bottom + 2
    assert face.left - 2 <= left
    assert right <= face.right + 2


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_a_batch_that_nobody_wants_ends_at_the_next_step(
    engine: MuseTalkEngine, speech: NDArray[np.float32], asked: int
) -> None:
    answers = iter([False] * asked)
    start, stop = sound_span(engine.needs, FORMAT.fps, 0, PICTURES)
    window = cut_sound(speech, 0, (start, stop))
    heard = engine.features(window, 0, PICTURES, FORMAT.fps)
    batch = Batch(BatchKey("main", "a", 0, 0), PICTURES, "clip", 0, window)
    out = list(np.full((PICTURES, *FORMAT.shape), 7, np.uint8))
    engine.render(batch, heard, out, lambda: next(answers, True))
    assert all((picture == 7).all() for picture in out), "nothing half drawn"


def test_what_is_said_decides_what_is_drawn(
    engine: MuseTalkEngine, offline: NDArray[np.uint8], speech: NDArray[np.float32]
) -> None:
    other = rendered(engine, FORMAT, speech[::-1].copy(), [PICTURES], PICTURES)
    assert np.abs(other[2:4].astype(np.int16) - offline[2:4]).max() > 2


def test_with_a_face_parser_the_mask_is_its(home: Path, speech: NDArray[np.float32]) -> None:
    def parsed(options: Options, device: str) -> Networks:
        plain = networks(options, device)
        torch.manual_seed(5)
        return Networks(plain.unet, plain.vae, plain.hearing, FaceParser().eval())

    pictures = rendered(made(home, parsed), FORMAT, speech, [PICTURES], PICTURES, "still")
    away = np.abs(pictures.astype(np.int16) - idle(home / "still", FORMAT, PICTURES))
    assert not away[0].any()


def test_a_face_that_is_too_small_is_refused() -> None:
    points = np.zeros((69, 2), np.float32)
    with pytest.raises(AvatarRefused, match="smaller than"):
        face_box(points, Box(0, 270, 0, 480), 10)


def test_sound_that_holds_no_numbers_is_refused(
    engine: MuseTalkEngine, speech: NDArray[np.float32]
) -> None:
    broken = speech.copy()
    broken[5] = np.nan
    with pytest.raises(BatchRefused, match="no number"):
        rendered(engine, FORMAT, broken, [PICTURES], PICTURES)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs unet"),
        ({"steps": 3}, "no option 'steps'"),
        ({"unet": "a", "vae": "b", "whisper": 3}, "whisper has to be a text"),
        ({"unet": "a", "vae": "b", "whisper": "c", "version": "2"}, "1.0 or 1.5"),
        ({"unet": "a", "vae": "b", "whisper": "c", "batch_pictures": 0}, "1 or more"),
        ({"unet": "a", "vae": "b", "whisper": "c", "threads": True}, "a whole number"),
        ({"unet": "a", "vae": "b", "whisper": "c", "precision": "int8"}, "none of auto"),
    ],
)
def test_odd_options_are_refused_in_words(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionsRefused, match=words):
        make_engine(EngineSpec("musetalk", options))  # type: ignore[arg-type]


def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "unet.pth")
    files: Sequence[str] = [str(tmp_path / "unet.pth")] * 3
    engine = make_engine(
        EngineSpec("musetalk", dict(zip(("unet", "vae", "whisper"), files, strict=True)))
    )
    with pytest.raises(CheckpointRefused, match=r"unet\.pth"):
        engine.load("cpu")
