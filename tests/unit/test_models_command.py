"""``broadcaster models check``: what is there, what is missing, and where to get it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gpu_pool.engines.checkpoint import VARIANTS, layout
from gpu_pool.engines.checkpoint.survey import PARTS
from tests.doubles.weight_files import Call, pickled, torch_archive, zero_weights
from tests.unit.test_cli import broadcaster


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that MuseTalk wants but its UNet, and the detector; zeros, so they take no space."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "deep" / "er").mkdir(parents=True)
    zero_weights(folder / "vae.bin", layout("sd_vae_file"), "F16")
    zero_weights(folder / "deep" / "er" / "tiny.pt", layout("whisper_tiny_openai"), "F16")
    zero_weights(folder / "deep" / "renamed.pth", layout("s3fd"), "F16")
    (folder / "readme.txt").write_text("not weights")
    return folder


def check(folder: Path, *more: str) -> tuple[int, dict[str, Any]]:
    answer = broadcaster("models", "check", str(folder), "--json", *more)
    assert answer.stdout.count("\n") == 1, answer.stderr
    return answer.returncode, json.loads(answer.stdout)


def test_files_are_known_by_what_is_in_them(weights: Path) -> None:
    code, seen = check(weights)
    assert code == 0
    assert {Path(each["path"]).name: each["variant"] for each in seen["found"]} == {
        "vae.bin": "sd_vae_file",
        "tiny.pt": "whisper_tiny_openai",
        "renamed.pth": "s3fd",
    }
    assert all(len(each["sha256"]) == 64 for each in seen["found"])
    assert seen["refused"] == []


def test_what_is_missing_comes_with_names_source_and_licence(weights: Path) -> None:
    answer = broadcaster("models", "check", str(weights))
    assert answer.returncode == 0
    lines = answer.stdout.splitlines()
    assert "musetalk: lacks MuseTalk UNet" in lines
    at = lines.index("  MuseTalk UNet: musetalkV15/unet.pth or musetalk/pytorch_model.bin")
    assert lines[at + 1 : at + 3] == [
        "    from model TMElyralab/MuseTalk on Hugging Face",
        "    licence: any purpose, also commercial",
    ]
    assert "wav2lip: lacks Wav2Lip network" in lines
    assert not any("S3FD face detector (optional)" in line for line in lines)


def test_a_named_engine_must_have_all_it_needs(weights: Path, tmp_path: Path) -> None:
    assert check(weights, "--engine", "wav2lip")[0] == 1
    zero_weights(tmp_path / "wav2lip.pth", layout("wav2lip96"), "F16")
    code, seen = check(tmp_path, "--engine", "wav2lip")
    assert code == 0
    assert seen["engines"]["wav2lip"]["ready"]
    optional = {each["part"] for each in seen["engines"]["wav2lip"]["missing"]}
    assert optional == {"S3FD face detector"}


def test_a_hostile_or_broken_file_fails_the_check_and_does_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    torch_archive(tmp_path / "evil.pth", pickled(Call("posix", "system", f"touch {trace}")))
    (tmp_path / "page.pt").write_text("<html>")
    code, seen = check(tmp_path)
    assert code == 1
    assert {Path(each["path"]).name: each["reason"] for each in seen["refused"]} == {
        "evil.pth": "refused: wants to call posix.system, which no weights need",
        "page.pt": "neither a file of torch.save nor TorchScript nor safetensors",
    }
    assert not trace.exists()


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    answer = broadcaster("models", "check", str(tmp_path / "absent"))
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == f"broadcaster: {tmp_path}/absent: No such file or directory\n"


def test_a_ring_of_links_is_looked_through_once(weights: Path, tmp_path: Path) -> None:
    shutil.copy(weights / "readme.txt", tmp_path / "a.txt")
    (tmp_path / "ring").symlink_to(tmp_path)
    (tmp_path / "pipe.pth").symlink_to("/dev/zero")
    assert check(tmp_path)[1]["found"] == []


def test_every_known_network_belongs_to_an_engine() -> None:
    wanted = {name for parts in PARTS.values() for part in parts for name in part.variants}
    assert wanted == set(VARIANTS)
