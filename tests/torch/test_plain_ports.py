"""The plain ports of MuseTalk and LatentSync: as the originals, and the same pictures as ours.

Two programs written apart from one description, on the same weights: a second witness for both.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gpu_pool.contracts import AvatarRef, PictureFormat
from gpu_pool.engines.checkpoint import layout
from gpu_pool.engines.diffusion.unet import UNet, UNetShape, our_names
from gpu_pool.engines.diffusion.vae import Vae
from gpu_pool.engines.latentsync import engine as latentsync
from gpu_pool.engines.latentsync.mask import kept
from gpu_pool.engines.latentsync.sampler import Wanted, noise, steps_of
from gpu_pool.engines.musetalk import blend
from gpu_pool.engines.musetalk import engine as musetalk
from gpu_pool.engines.musetalk.parser import FaceParser
from gpu_pool.engines.photo.box import Bgr, Box
from gpu_pool.engines.photo.paste import bgr_of
from gpu_pool.engines.presenter import colour
from gpu_pool.engines.whisper import windows
from gpu_pool.engines.whisper.hearing import Hearing
from gpu_pool.windows import cut_sound, sound_span
from tests.doubles import recipe_networks
from tests.doubles.drawn_avatar import still_avatar
from tests.doubles.engine_run import FPS, idle, rendered
from tests.doubles.plain_diffusion import PlainUNet, PlainVae
from tests.doubles.plain_latentsync import PlainLatentSync, aligned, put_back
from tests.doubles.plain_musetalk import Material, PlainMuseTalk, blended, to_frames
from tests.doubles.plain_whisper import PlainWhisper, heard_1_0, tokens
from tests.doubles.recipe_networks import (
    CONFORMANCE,
    SMALL_UNET,
    SMALL_VAE,
    TOLERANCE,
    off,
    shapes_of,
)
from tests.oracles import recipe
from tests.oracles.recipe import normalish, uniform

FORMAT = PictureFormat(480, 270, FPS)
WHOLE = Box(0, 270, 0, 480)
TINY = (32, 32, 32, 32)

LEVELS = 2.0
"""Ours and plain differ by so much at most: a face's byte may round the other way, a Lanczos warp
makes a little more of it, and the way to Y'CbCr rounds once."""

N = TypeVar("N", bound=nn.Module)

MUSETALK, LATENTSYNC = "musetalk_unet_small", "latentsync10_unet_small"


def filled(network: N, tag: str) -> N:
    shapes = shapes_of(network).items()
    tensors = {key: torch.from_numpy(recipe.param(tag, key, shape)) for key, shape in shapes}
    network.load_state_dict(tensors, strict=True)
    return network.eval()


def plain_whisper() -> PlainWhisper:
    made = PlainWhisper().eval()
    tensors = recipe_networks.whisper_file().items()
    made.load_state_dict({key.removeprefix("encoder."): each for key, each in tensors})
    return made


def given(name: str, *shape: int) -> Tensor:
    return torch.from_numpy(normalish(name, shape))


# --- as the originals -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "network"),
    [
        ("musetalk_unet", lambda: PlainUNet(8, video=False)),
        ("latentsync10_unet", lambda: PlainUNet(13, video=True)),
        ("sd_vae_diffusers", PlainVae),
    ],
)
def test_names_and_shapes_are_those_of_the_published_files(file: str, network: type) -> None:
    with torch.device("meta"):
        made = network()
    assert shapes_of(made) == {key: tuple(shape) for key, shape in layout(file).items()}


@torch.inference_mode()
def test_the_plain_networks_give_what_the_originals_gave() -> None:
    musetalk_unet = filled(PlainUNet(8, False, SMALL_UNET), MUSETALK)
    latents, sound = (
        given(f"{MUSETALK}/latents", 2, 8, 32, 32),
        given(f"{MUSETALK}/audio", 2, 50, 384) + windows.place_encoding(torch.device("cpu")),
    )
    golden = np.load(CONFORMANCE / f"{MUSETALK}.npz")["output"]
    assert off(musetalk_unet(latents, torch.tensor([0]), sound), golden) < TOLERANCE

    latentsync_unet = filled(PlainUNet(13, True, SMALL_UNET), LATENTSYNC)
    sample, sound = (
        given(f"{LATENTSYNC}/sample", 1, 13, 16, 32, 32),
        given(f"{LATENTSYNC}/audio", 16, 50, 384),
    )
    golden = np.load(CONFORMANCE / f"{LATENTSYNC}.npz")["f16_t951_sub2"]
    made = latentsync_unet(sample, torch.tensor([951]), sound)
    assert off(made[..., ::2, ::2], golden) < TOLERANCE

    vae = filled(PlainVae(SMALL_VAE), "sdvae_small")
    ours = recipe_networks.vae()
    faces = torch.from_numpy(uniform("plain/face", (1, 3, 64, 64), -1, 1))
    assert off(vae.encode(faces), ours.latents(faces).numpy()) < TOLERANCE
    assert off(vae.decode(vae.encode(faces)), ours.pictures(ours.latents(faces)).numpy()) < 1e-4


# --- as ours --------------------------------------------------------------------------------


class Oval(FaceParser):
    """Skin in an oval, whatever is looked at."""

    def labels(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        made = np.zeros((512, 512), np.uint8)
        cv2.ellipse(made, (256, 256), (150, 200), 0, 0, 360, 1, -1)
        return made


@pytest.fixture(scope="module")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> AvatarRef:
    folder = tmp_path_factory.mktemp("plain")
    return AvatarRef("her", str(still_avatar(folder / "still")), FORMAT)


def same_picture(own: NDArray[np.uint8], idle: NDArray[np.uint8], plain: Bgr) -> None:
    """An I420 picture against a BGR one, where plain changed anything; elsewhere it is idle."""
    changed = (plain != bgr_of(idle, WHOLE)).any(axis=2)
    assert changed.sum() > 500
    half = changed.reshape(135, 2, 240, 2).any(axis=(1, 3))
    wanted = colour.planes(plain.astype(np.float32))
    planes = (colour.unpack(each.reshape(-1), 270, 480) for each in (own, idle))
    for mine, old, new, where in zip(*planes, wanted, (changed, half, half), strict=True):
        apart = np.abs(mine[where] - new[where])
        assert apart.max() <= LEVELS
        assert apart.mean() < 0.3
        moved = np.abs(new[where] - old[where].astype(np.float32))
        assert moved.mean() > 3, "a picture that hardly changes proves nothing"
        edge = np.abs(mine[~where].astype(np.int16) - old[~where])
        assert edge.max() <= 1, "a byte at the rim of the mask"


@torch.inference_mode()
def test_musetalks_plain_port_draws_the_picture_that_ours_draws(avatar: AvatarRef) -> None:
    plain = PlainMuseTalk(
        filled(PlainUNet(8, False, TINY), MUSETALK),
        filled(PlainVae(TINY), "sdvae_small"),
        plain_whisper(),
    )

    def networks(options: musetalk.Options, device: str) -> musetalk.Networks:
        unet, vae = UNet(UNetShape(8, TINY)).eval(), Vae(TINY).eval()
        unet.load_state_dict(our_names(plain.unet.state_dict()))
        vae.load_state_dict(plain.vae.state_dict())
        heard = recipe_networks.whisper(recipe_networks.whisper_file())
        return musetalk.Networks(unet, vae, Hearing(heard, False), Oval())

    options = musetalk.Options("u", "v", "w", "p", conformance=True, batch_pictures=2)
    engine = musetalk.MuseTalkEngine(options, networks)
    engine.load("cpu")
    engine.prepare(avatar)
    # Longer than the pictures: behind its end the authors hear zeros, ours silence. And shorter
    # than a block of ``whisper.hearing``: up to there ours hears the whole sound, as they do.
    sound = recipe.waveform("plain_musetalk", 12 / FPS)
    pictures = rendered(engine, FORMAT, sound, [2, 2], 4, "her")
    before = idle(Path(avatar.source), FORMAT, 4)

    box = engine._avatars["her"]._boxes[0]
    corners = box.left, box.top, box.right, box.bottom
    around = blend.square(corners)
    white = blend.parts(Oval().labels(np.zeros((0, 0, 3), np.uint8)), blend.Kept.JAW)
    mask = blend.soft_mask(white, corners, around, blend.BLUR_PREPARED)
    frames = [bgr_of(each, WHOLE) for each in before]
    heard = plain.hear(sound, 4, FPS)
    latents = [plain.latents_of(frame, corners) for frame in frames]
    faces = to_frames(torch.cat([plain.draw(latents[n : n + 2], heard[n : n + 2]) for n in (0, 2)]))
    for own, old, frame, seen, face in zip(pictures, before, frames, latents, faces, strict=True):
        material = Material(frame, corners, around, mask, seen)
        same_picture(own, old, blended(material, face))


@torch.inference_mode()
def test_latentsyncs_plain_port_draws_the_picture_that_ours_draws(avatar: AvatarRef) -> None:
    plain = PlainLatentSync(
        filled(PlainUNet(13, True, TINY), LATENTSYNC),
        filled(PlainVae(TINY), "sdvae_small"),
        plain_whisper(),
        torch.from_numpy(kept().copy()),
        noise(torch.device("cpu")),
    )

    def networks(options: latentsync.Options, device: str) -> latentsync.Networks:
        unet, vae = UNet(UNetShape(13, TINY)).eval(), Vae(TINY).eval()
        unet.load_state_dict(our_names(plain.unet.state_dict()))
        vae.load_state_dict(plain.vae.state_dict())
        heard = recipe_networks.whisper(recipe_networks.whisper_file())
        return latentsync.Networks(unet, vae, Hearing(heard, True))

    options = latentsync.Options("u", "v", "w", steps=2, conformance=True)
    engine = latentsync.LatentSyncEngine(options, networks)
    engine.load("cpu")
    engine.prepare(avatar)
    sound = recipe.waveform("plain_latentsync", 16 / FPS)
    pictures = rendered(engine, FORMAT, sound, [16], 16, "her")
    before = idle(Path(avatar.source), FORMAT, 16)

    # What is heard on air differs a little from the whole sound heard at once (engines.whisper.
    # hearing); so both draw by what ours hears. The plain hearing is held below.
    heard = engine.features(_margins(engine, sound), 0, 16, FPS)
    matrix = engine._avatars["her"]._matrices[0]
    frames = [np.ascontiguousarray(bgr_of(each, WHOLE)[..., ::-1]) for each in before]
    faces = plain.draw(np.stack([aligned(each, matrix) for each in frames]), heard, 2)
    for own, old, frame, face in zip(pictures, before, frames, faces, strict=True):
        same_picture(own, old, np.ascontiguousarray(put_back(frame, face, matrix)[..., ::-1]))


def _margins(
    engine: latentsync.LatentSyncEngine, sound: NDArray[np.float32]
) -> NDArray[np.float32]:
    return cut_sound(sound, 0, sound_span(engine.needs, FPS, 0, 16))


@torch.inference_mode()
def test_latentsyncs_plain_sampler_is_ours_with_guidance_too() -> None:
    theirs = filled(PlainUNet(13, True, TINY), LATENTSYNC)
    ours = UNet(UNetShape(13, TINY)).eval()
    ours.load_state_dict(our_names(theirs.state_dict()))
    keep, start = (torch.from_numpy(uniform(f"plain/{name}", (4, 8, 8))) for name in ("k", "n"))
    keep = (keep[0] > 0.5).float()
    latents, heard = given("plain/latents", 4, 8, 8, 8), given("plain/heard", 4, 50, 384)
    fixed = torch.cat((keep.expand(4, 1, -1, -1), latents), 1).transpose(0, 1)[None]
    plain = PlainLatentSync(theirs, PlainVae(TINY), plain_whisper(), keep, start)
    for guidance in (1.0, 2.0):
        wanted = Wanted(3, guidance, 4)
        (*_, last) = (step() for step in steps_of(ours, latents, heard, wanted, start, keep))
        drawn = plain.denoised(fixed, heard, 3, guidance)[0].transpose(0, 1)
        assert off(drawn, last.numpy()) < 1e-4


@torch.inference_mode()
def test_the_plain_hearing_of_a_whole_sound_is_ours() -> None:
    sound = torch.from_numpy(recipe.waveform("plain_hearing", 1.3))
    ours = recipe_networks.whisper(recipe_networks.whisper_file())
    positions = windows.features_1_0(ours, sound)
    wanted = windows.tokens(positions, windows.windows_1_0(0, 32, FPS, len(positions)))
    heard = tokens(heard_1_0(plain_whisper(), sound), 32, FPS, clamped=True)
    assert off(heard, wanted.numpy()) < TOLERANCE
