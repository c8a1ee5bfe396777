"""What the neural engines see in an avatar: worked out once, then read, and drawn the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from broadcaster.avatars.found import BUNDLED_VERSION, FoundAvatar
from broadcaster.avatars.pooled import avatar_ref
from broadcaster.avatars.shelf import Shelf
from gpu_pool.contracts import AvatarRef, Engine, PictureFormat
from gpu_pool.engines.latentsync import engine as latentsync
from gpu_pool.engines.musetalk import engine as musetalk
from gpu_pool.engines.musetalk.parser import FaceParser
from gpu_pool.engines.whisper.hearing import Hearing
from tests.doubles import recipe_networks
from tests.doubles.avatar_files import HANDLES, portrait
from tests.doubles.drawn_avatar import clip_avatar
from tests.doubles.engine_run import FPS, rendered
from tests.doubles.plain_wav2lip import weights
from tests.oracles import recipe

FORMAT = PictureFormat(480, 270, FPS)
PICTURES = 4
FILES: Mapping[str, str] = {"unet": "u", "vae": "v", "whisper": "w"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip_avatar(tmp_path_factory.mktemp("prepared") / "files")


class Counted:
    """An autoencoder that counts the faces at which it has looked."""

    def __init__(self, kind: torch.dtype) -> None:
        self.vae, self.faces = recipe_networks.tiny_vae().to(kind), 0
        look = self.vae.latents

        def counting(pictures: Tensor) -> Tensor:
            self.faces += len(pictures)
            return look(pictures)

        self.vae.latents = counting  # type: ignore[method-assign]


def musetalk_engine(counted: Counted, kind: torch.dtype, looking: str) -> Engine[Any]:
    def networks(options: musetalk.Options, device: str) -> musetalk.Networks:
        unet = recipe_networks.tiny_unet("musetalk_unet_small", 8).to(kind)
        whisper = recipe_networks.whisper(recipe_networks.whisper_file()).to(kind)
        torch.manual_seed(5)
        parser = FaceParser().eval()
        return musetalk.Networks(unet, counted.vae, Hearing(whisper, False), parser, looking)

    return musetalk.MuseTalkEngine(musetalk.Options(**FILES, batch_pictures=3), networks)


def latentsync_engine(counted: Counted, kind: torch.dtype, looking: str) -> Engine[Any]:
    def networks(options: latentsync.Options, device: str) -> latentsync.Networks:
        unet = recipe_networks.tiny_unet("latentsync10_unet_small", 13).to(kind)
        whisper = recipe_networks.whisper(recipe_networks.whisper_file()).to(kind)
        return latentsync.Networks(unet, counted.vae, Hearing(whisper, True), looking)

    return latentsync.LatentSyncEngine(latentsync.Options(**FILES, steps=1), networks)


@pytest.mark.parametrize(
    ("make", "kind"), [(musetalk_engine, torch.bfloat16), (latentsync_engine, torch.float32)]
)
def test_a_second_worker_looks_at_no_face_and_draws_the_same(
    source: Path, tmp_path: Path, make: Any, kind: torch.dtype
) -> None:
    avatar = AvatarRef("clip", str(source), FORMAT, prepared=str(tmp_path / "prepared"))
    sound = recipe.waveform("prepared", PICTURES / FPS)
    drawn = []
    for looks in (True, False):
        counted = Counted(kind)
        engine = make(counted, kind, "abc")
        engine.load("cpu")
        engine.prepare(avatar)
        drawn.append(rendered(engine, FORMAT, sound, [PICTURES], PICTURES))
        assert bool(counted.faces) is looks
    assert np.array_equal(*drawn)


def test_a_whole_loop_is_worked_out_before_anybody_speaks(source: Path, tmp_path: Path) -> None:
    avatar = AvatarRef("clip", str(source), FORMAT, prepared=str(tmp_path / "prepared"))
    told = []
    for _ in range(2):
        counted = Counted(torch.float32)
        engine = musetalk_engine(counted, torch.float32, "abc")
        engine.load("cpu")
        engine.prepare(avatar)
        assert isinstance(engine, musetalk.MuseTalkEngine)
        told.append((list(engine.work_out("clip")), counted.faces))
    first = [(0, 13, 0), (3, 13, 0), (6, 13, 0), (9, 13, 0), (12, 13, 0), (13, 13, 0)]
    assert told == [(first, 26), ([(13, 13, 13)], 0)]


def test_what_comes_with_the_station_keeps_nothing(tmp_path: Path) -> None:
    made = FoundAvatar("her", "0001-a", "wav2lip", tmp_path / "files")
    assert avatar_ref(made, FORMAT).prepared == str(tmp_path / "prepared")
    assert avatar_ref(replace(made, version=BUNDLED_VERSION), FORMAT).prepared == ""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("command")
    torch.save(weights("wav2lip96"), folder / "w.pth")
    file = folder / "my.yaml"
    file.write_text(
        f"station: {{state_dir: {folder}/var}}\navatars: {{models: {folder}/no-models}}\n"
        f"pool: {{devices: [cpu], engines: {{wav2lip: {{weights: {folder}/w.pth}}}}}}\n"
        "channels: [{name: main, video: {width: 480, height: 270}}]\n"
    )
    (folder / "me.jpg").write_bytes(portrait())
    (folder / "h.json").write_text(json.dumps(HANDLES))
    yield file
    (folder / "w.pth").unlink()


def avatar(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    verb, *others = arguments
    command = [sys.executable, "-m", "broadcaster", "avatar", verb, "--config", str(config)]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    return subprocess.run(
        [*command, *others],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_works_out_what_is_missing_and_the_rest_stays(config: Path) -> None:
    folder = config.parent
    face = (str(folder / "me.jpg"), "--handles", str(folder / "h.json"))
    assert avatar(config, "create", *face, "--engine", "wav2lip").returncode == 0
    first = avatar(config, "prepare", "me")
    assert first.returncode == 0, first.stderr
    size = "me: 480x270 at 25 fps"
    pictures = int(first.stdout.removeprefix(f"{size}: ").split()[0])
    assert first.stdout == f"{size}: {pictures} pictures, 0 of them done before\n"
    version = Shelf(folder / "var" / "avatars").newest("me")
    parts = sorted((version.folder / "prepared").rglob("*.npz"))
    assert len(parts) == pictures
    parts[0].unlink()
    parts[1].write_bytes(parts[1].read_bytes()[:-100])
    written = {each: each.stat().st_mtime_ns for each in parts[2:]}
    again = avatar(config, "prepare", "me")
    assert f"{pictures - 2} of them done before" in again.stdout
    assert {each: each.stat().st_mtime_ns for each in parts[2:]} == written
    assert avatar(config, "remove", "me").returncode == 0
    assert not version.folder.exists()


def test_where_there_is_nothing_to_work_out_it_is_said(config: Path) -> None:
    for name, engine in (("anna", "presenter"), ("plain", "photo")):
        if engine == "photo":
            face = (str(config.parent / "me.jpg"), "--name", name)
            avatar(config, "create", *face, "--handles", str(config.parent / "h.json"))
        done = avatar(config, "prepare", name)
        assert done.returncode != 0
        assert f"the engine {engine} has nothing to work out" in done.stderr
