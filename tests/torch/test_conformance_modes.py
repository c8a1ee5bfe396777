"""The engines' option ``conformance``: faces put back in the arithmetic of the authors' programs.

Their own bytes are in the golden files, for the functions; here whole pictures go through them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gpu_pool.contracts import AvatarRef, Engine, EngineSpec, PictureFormat
from gpu_pool.engines.latentsync import engine as latentsync
from gpu_pool.engines.latentsync.face import restored, seat
from gpu_pool.engines.musetalk import blend
from gpu_pool.engines.musetalk import engine as musetalk
from gpu_pool.engines.musetalk.parser import FaceParser
from gpu_pool.engines.options import OptionsRefused
from gpu_pool.engines.photo.box import Bgr, Box
from gpu_pool.engines.photo.paste import bgr_of
from gpu_pool.engines.presenter import colour
from gpu_pool.engines.registry import make_engine
from gpu_pool.engines.whisper.hearing import Hearing
from tests.doubles import recipe_networks
from tests.doubles.drawn_avatar import still_avatar
from tests.doubles.engine_run import FPS, idle, rendered
from tests.oracles import recipe

FORMAT = PictureFormat(480, 270, FPS)
WHOLE = Box(0, 270, 0, 480)
PICTURES = 2
OPTIONS = {"unet": "u", "vae": "v", "whisper": "w", "conformance": True}


class Oval(FaceParser):
    """Skin in an oval, lips in its lower half, whatever is looked at."""

    def labels(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        made = np.zeros((512, 512), np.uint8)
        cv2.ellipse(made, (256, 256), (150, 200), 0, 0, 360, 1, -1)
        cv2.ellipse(made, (256, 380), (60, 25), 0, 0, 360, 12, -1)
        return made


@pytest.fixture(scope="module")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> AvatarRef:
    folder = tmp_path_factory.mktemp("conformance")
    return AvatarRef("her", str(still_avatar(folder / "still")), FORMAT)


def hearing(first_generation: bool) -> Hearing:
    return Hearing(recipe_networks.whisper(recipe_networks.whisper_file()), first_generation)


def remembered(module: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a function of a module gives, call by call; it goes on as before."""
    calls: list[Any] = []
    own: Callable[..., Any] = getattr(module, name)

    def listening(*given: Any) -> Any:
        calls.append(own(*given))
        return calls[-1]

    monkeypatch.setattr(module, name, listening)
    return calls


def as_bytes(levels: torch.Tensor) -> Bgr:
    """Drawn faces as OpenCV takes them."""
    return np.ascontiguousarray(levels.to(torch.uint8).permute(0, 2, 3, 1).numpy())


def agree(picture: NDArray[np.uint8], before: NDArray[np.uint8], after: Bgr) -> None:
    """A picture is the idle one, but the changed pixels of ``after`` as Y'CbCr."""
    changed = (after != bgr_of(before, WHOLE)).any(axis=2)
    assert changed.sum() > 500
    half = changed.reshape(135, 2, 240, 2).any(axis=(1, 3))
    wanted = colour.planes(after.astype(np.float32))
    planes = (colour.unpack(each.reshape(-1), 270, 480) for each in (picture, before))
    for own, old, new, where in zip(*planes, wanted, (changed, half, half), strict=True):
        np.testing.assert_array_equal(own[~where], old[~where])
        assert np.abs(own[where] - new[where]).max() <= 0.51


def drawn(engine: Engine[Any], avatar: AvatarRef) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    engine.load("cpu")
    engine.prepare(avatar)
    sound = recipe.waveform("conformance", PICTURES / FPS)
    pictures = rendered(engine, FORMAT, sound, [PICTURES], PICTURES, "her")
    return pictures, idle(Path(avatar.source), FORMAT, PICTURES)


@pytest.mark.parametrize("version", ["1.5", "1.0"])
def test_musetalks_faces_are_pasted_as_its_program_does(
    avatar: AvatarRef, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    def networks(options: musetalk.Options, device: str) -> musetalk.Networks:
        unet = recipe_networks.tiny_unet("musetalk_unet_small", 8)
        heard = hearing(version == "1.0")
        return musetalk.Networks(unet, recipe_networks.tiny_vae(), heard, Oval())

    options = musetalk.Options(**OPTIONS, version=version, parser="p", batch_pictures=PICTURES)  # type: ignore[arg-type]
    engine = musetalk.MuseTalkEngine(options, networks)
    faces = remembered(musetalk, "levels", monkeypatch)
    pictures, before = drawn(engine, avatar)
    box = engine._avatars["her"]._boxes[0]
    corners = box.left, box.top, box.right, box.bottom
    around = blend.square(corners, blend.EXPAND_1_0 if version == "1.0" else blend.EXPAND)
    kept = blend.Kept.ALL_1_0 if version == "1.0" else blend.Kept.JAW
    labels = Oval().labels(np.zeros((512, 512, 3), np.uint8))
    mask = blend.soft_mask(blend.parts(labels, kept), corners, around, 0.1)
    for picture, old, face in zip(pictures, before, as_bytes(faces[-1]), strict=True):
        whole = bgr_of(old, WHOLE).copy()
        paste = blend.paste_1_0 if version == "1.0" else blend.paste
        sized = np.asarray(cv2.resize(face, (box.width, box.height)), np.uint8)
        paste(whole, sized, corners, around, mask)
        agree(picture, old, whole)


def test_latentsyncs_faces_are_put_back_as_its_program_does(
    avatar: AvatarRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    def networks(options: latentsync.Options, device: str) -> latentsync.Networks:
        unet = recipe_networks.tiny_unet("latentsync10_unet_small", 13)
        return latentsync.Networks(unet, recipe_networks.tiny_vae(), hearing(True))

    engine = latentsync.LatentSyncEngine(latentsync.Options(**OPTIONS, steps=1), networks)  # type: ignore[arg-type]
    faces = remembered(latentsync, "levels", monkeypatch)
    pictures, before = drawn(engine, avatar)
    matrix = engine._avatars["her"]._matrices[0]
    for picture, old, face in zip(pictures, before, as_bytes(faces[-1]), strict=True):
        rgb = np.ascontiguousarray(bgr_of(old, WHOLE)[..., ::-1])
        whole = restored(rgb, face[..., ::-1].copy(), seat(matrix, 480, 270))
        agree(picture, old, np.ascontiguousarray(whole[..., ::-1]))


def test_without_a_parser_musetalk_cannot_do_as_its_program_does() -> None:
    with pytest.raises(OptionsRefused, match="needs the parser"):
        make_engine(EngineSpec("musetalk", dict(OPTIONS)))  # type: ignore[arg-type]
