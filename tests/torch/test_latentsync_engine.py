"""The engine ``latentsync``: small random networks, a real face, however a task is cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_pool.contracts import AvatarRef, BatchRefused, EngineSpec, PictureFormat
from gpu_pool.engines.latentsync.avatar import AlignedFace
from gpu_pool.engines.latentsync.engine import LatentSyncEngine, Networks, Options, chunks_of
from gpu_pool.engines.latentsync.face import Resampling, Seat, aligned
from gpu_pool.engines.latentsync.picture import pixels
from gpu_pool.engines.options import OptionsRefused
from gpu_pool.engines.photo.paste import bgr_of
from gpu_pool.engines.prepared import Keeping
from gpu_pool.engines.registry import make_engine
from gpu_pool.engines.whisper.hearing import Hearing
from tests.doubles import recipe_networks
from tests.doubles.drawn_avatar import clip_avatar, still_avatar
from tests.doubles.engine_run import FPS, idle, rendered
from tests.oracles import recipe

FORMAT = PictureFormat(480, 270, FPS)
PICTURES = 20
"""A chunk and a tail."""

FILES = Options(unet="unet", vae="vae", whisper="whisper", steps=2)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("latentsync")
    still_avatar(folder / "still")
    clip_avatar(folder / "clip")
    return folder


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    return recipe.waveform("latentsync_engine", PICTURES / FPS)


def networks(options: Options, device: str) -> Networks:
    unet = recipe_networks.tiny_unet("latentsync10_unet_small", 13)
    whisper = recipe_networks.whisper(recipe_networks.whisper_file())
    return Networks(unet, recipe_networks.tiny_vae(), Hearing(whisper, first_generation=True))


@pytest.fixture(scope="module")
def engine(home: Path) -> LatentSyncEngine:
    made = LatentSyncEngine(FILES, networks)
    made.load("cpu")
    for name in ("still", "clip"):
        made.prepare(AvatarRef(name, str(home / name), FORMAT))
    return made


@pytest.fixture(scope="module")
def offline(engine: LatentSyncEngine, speech: NDArray[np.float32]) -> NDArray[np.uint8]:
    return rendered(engine, FORMAT, speech, [16, 4], PICTURES)


def test_a_batch_that_cuts_chunks_shows_the_same(
    engine: LatentSyncEngine, speech: NDArray[np.float32], offline: NDArray[np.uint8]
) -> None:
    """Frames of a chunk influence each other: a chunk of other frames would look different."""
    cut = rendered(engine, FORMAT, speech, [5, 13, 2], PICTURES)
    assert np.abs(cut.astype(np.int16) - offline).max() <= 1


def test_chunks_lie_on_a_grid_and_hold_all_of_a_batch() -> None:
    assert chunks_of(0, 16) == range(16)
    assert chunks_of(16, 4) == range(16, 32)
    assert chunks_of(5, 13) == range(32)


@pytest.mark.parametrize("avatar", ["clip", "still"])
def test_the_face_changes_and_nothing_else(
    engine: LatentSyncEngine, home: Path, speech: NDArray[np.float32], avatar: str
) -> None:
    pictures = rendered(engine, FORMAT, speech, [16, 4], PICTURES, avatar)
    away = np.abs(pictures.astype(np.int16) - idle(home / avatar, FORMAT, PICTURES))
    assert not away[0].any(), "the first picture is the idle loop's"
    assert not away[-1].any(), "and so is the last"
    face = engine._avatars[avatar]._boxes[0]
    changed = np.argwhere(away[2:18, :270].max(axis=0) > 8)
    assert len(changed) > 200, "nothing was drawn"
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    assert face.top <= top
    assert bottom < face.bottom
    assert face.left <= left
    assert right < face.right


def test_faces_are_cut_out_and_put_back_with_the_resampling_that_was_asked_for(
    home: Path, tmp_path: Path
) -> None:
    """What is kept on the disk of one is not taken for the other's."""
    source, vae = home / "still", recipe_networks.tiny_vae()
    keeping = Keeping(str(tmp_path / "prepared"), "weights", 1 << 24)
    laid: dict[Resampling, Seat] = {}
    latents: dict[Resampling, Tensor] = {}
    for how in Resampling:
        face = AlignedFace(source, FORMAT, vae, 1 << 24, keeping, how)
        (shown,) = face.shown([0])
        box, matrix = face._laid(0)
        whole = np.ascontiguousarray(bgr_of(shown.picture, box)[..., ::-1])
        wanted = torch.from_numpy(aligned(whole, matrix, how))[None]
        assert torch.equal(shown.seen, pixels(wanted)[0])
        laid[how], latents[how] = shown.seat, shown.latents
    assert not torch.equal(*latents.values())
    noise = recipe.image("laid", 280, 210)
    softer, sharper = (laid[how].laid(noise) for how in (Resampling.BILINEAR, Resampling.LANCZOS))
    assert cv2.Laplacian(softer, cv2.CV_64F).std() < cv2.Laplacian(sharper, cv2.CV_64F).std()


def test_the_option_reaches_the_avatar(home: Path) -> None:
    made = LatentSyncEngine(replace(FILES, resampling="bilinear"), networks)
    made.load("cpu")
    made.prepare(AvatarRef("still", str(home / "still"), FORMAT))
    assert made._avatars["still"].shown([0])[0].seat.how is Resampling.BILINEAR


def test_steps_and_guidance_are_a_tasks_own(
    engine: LatentSyncEngine, speech: NDArray[np.float32], offline: NDArray[np.uint8]
) -> None:
    for cues in ({"inference_steps": 1}, {"guidance_scale": 3.0}):
        other = rendered(engine, FORMAT, speech, [16, 4], PICTURES, cues=cues)
        assert np.abs(other.astype(np.int16) - offline).max() > 8, cues


@pytest.mark.parametrize("cues", [{"inference_steps": 0}, {"guidance_scale": 101.0}])
def test_wishes_that_cannot_be_are_refused(
    engine: LatentSyncEngine, speech: NDArray[np.float32], cues: dict[str, float]
) -> None:
    with pytest.raises(BatchRefused, match="has to be"):
        rendered(engine, FORMAT, speech, [16], 16, cues=cues)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs unet"),
        ({"unet": "a", "vae": "b", "whisper": "c", "steps": 0}, "1 or more"),
        ({"unet": "a", "vae": "b", "whisper": "c", "steps": 201}, "up to 200 steps"),
        ({"unet": "a", "vae": "b", "whisper": "c", "guidance": "x"}, "a number"),
        ({"unet": "a", "vae": "b", "whisper": "c", "parser": "d"}, "no option 'parser'"),
        ({"unet": "a", "vae": "b", "whisper": "c", "resampling": "cubic"}, "lanczos or bilinear"),
    ],
)
def test_odd_options_are_refused_in_words(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionsRefused, match=words):
        make_engine(EngineSpec("latentsync", options))  # type: ignore[arg-type]
