"""``make install`` into a folder of its own: the whole way of a version, and nothing beside it.

The versions are copies of this one that need no packages, so nothing is downloaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from broadcaster import __version__

REPO = Path(__file__).parents[2]
PARTS = ("broadcaster", "gpu_pool", "idle_media", "config", "requirements", "systemd")
FILES = ("Makefile", "README.md", "LICENSE", "NOTICE", "pyproject.toml")
SYSTEM_PYTHON = "/usr/bin/python3"


def _can_make_a_venv() -> bool:
    asked = [SYSTEM_PYTHON, "-c", "import sys, ensurepip; sys.exit(sys.version_info < (3, 11))"]
    return Path(SYSTEM_PYTHON).exists() and not subprocess.run(asked, check=False).returncode


pytestmark = pytest.mark.skipif(
    shutil.which("make") is None or not _can_make_a_venv(),
    reason="make or the system's Python with venv is not installed",
)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose version needs no packages."""
    folder = tmp_path / "clone"
    leave_out = shutil.ignore_patterns("__pycache__", "*.webp", "texts.py")
    for part in PARTS:
        shutil.copytree(REPO / part, folder / part, ignore=leave_out)
    for file in FILES:
        shutil.copy(REPO / file, folder / file)
    (folder / "requirements" / "base.txt").write_text("# none\n")
    return folder


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    return tmp_path / "stage"


@pytest.fixture
def make(clone: Path, stage: Path) -> Callable[..., str]:
    def run(verb: str, *arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            ["make", "-s", verb, f"DESTDIR={stage}", *arguments],
            cwd=clone, env={**os.environ, "PIP_NO_INDEX": "1"}, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert bool(done.returncode) == bool(status), done.stderr
        return done.stderr

    return run


def version_in(stage: Path, link: str = "current") -> str:
    return (stage / "opt/broadcaster" / link).resolve().name


def files(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if not each.is_dir()}


def edit(file: Path, text: str) -> None:
    file.write_text(file.read_text() + text)


def test_a_version_is_installed_upgraded_rolled_back_and_removed(
    clone: Path, stage: Path, make: Callable[..., str]
) -> None:
    told = make("install")
    first = version_in(stage)
    assert first.startswith(f"{__version__}-")
    assert f"{first} is installed" in told
    program = stage / "opt/broadcaster/current/.venv/bin/broadcaster"
    environment = {name: v for name, v in os.environ.items() if name != "PYTHONPATH"}
    says = subprocess.run(
        [program, "--version"], cwd="/", env=environment, capture_output=True, text=True, check=True
    )
    assert says.stdout == f"broadcaster {__version__}\n"
    settings = stage / "etc/broadcaster/broadcaster.yaml"
    assert settings.read_text() == (REPO / "config/broadcaster.yaml").read_text()
    assert settings.stat().st_mode & 0o777 == 0o640
    shipped = stage / "opt/broadcaster/current/config/broadcaster.yaml"
    assert shipped.stat().st_mode & 0o777 == 0o640, "the clone's may hold keys"
    assert (stage / "etc/broadcaster/credentials").stat().st_mode & 0o777 == 0o700
    unit = stage / "etc/systemd/system/broadcaster.service"
    assert unit.read_text() == (REPO / "systemd/broadcaster.service").read_text()

    before = files(stage)
    assert "was installed already" in make("install")
    assert files(stage) == before

    edit(settings, "\n# mine\n")
    edit(clone / "broadcaster/__init__.py", "\n# another version\n")
    assert f"make rollback brings back {first}" in make("install")
    second = version_in(stage)
    assert (second != first, version_in(stage, "previous")) == (True, first)
    assert settings.read_text().endswith("# mine\n")
    assert not settings.with_name("broadcaster.yaml.new").exists(), "no setting has changed"

    edit(clone / "config/broadcaster.yaml", "\n# a new key\n")
    assert "compare" in make("install")
    third = version_in(stage)
    assert settings.read_text().endswith("# mine\n")
    assert settings.with_name("broadcaster.yaml.new").read_text().endswith("# a new key\n")
    kept = {each.name for each in (stage / "opt/broadcaster/releases").iterdir()}
    assert kept == {second, third}, "one older version is kept"

    make("rollback")
    assert (version_in(stage), version_in(stage, "previous")) == (second, third)

    state = stage / "var/lib/broadcaster/store.sqlite3"
    state.parent.mkdir(parents=True)
    state.touch()
    assert "kept: settings and stream keys" in make("uninstall")
    left = files(stage)
    assert {str(state.relative_to(stage)), "etc/broadcaster/broadcaster.yaml"} <= left
    assert not any(name.startswith(("opt", "usr")) or name.endswith(".service") for name in left)
    make("uninstall", "PURGE=1")
    assert files(stage) == set()
    make("uninstall")


def test_a_version_that_does_not_start_leaves_the_one_before(
    clone: Path, stage: Path, make: Callable[..., str]
) -> None:
    make("install")
    first = version_in(stage)
    edit(clone / "broadcaster/cli.py", "\nraise SystemExit('broken')\n")
    assert "the new version does not start" in make("install", status=1)
    assert version_in(stage) == first
    kept = [each.name for each in (stage / "opt/broadcaster/releases").iterdir()]
    assert kept == [first]
    assert "no version to go back to" in make("rollback", status=1)


def test_packages_that_cannot_be_had_leave_nothing_behind(
    clone: Path, stage: Path, make: Callable[..., str]
) -> None:
    (clone / "requirements/base.txt").write_text("no-such-package-of-ours==1\n")
    assert "PIP_FIND_LINKS" in make("install", status=1)
    assert files(stage) == set()


def test_what_cannot_be_meant_is_refused(clone: Path, tmp_path: Path) -> None:
    def told(*arguments: str, **extra: str) -> str:
        done = subprocess.run(
            [clone / "systemd/install.sh", *arguments], env={**os.environ, **extra},
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        return done.stderr

    stage = str(tmp_path / "stage")
    assert "absolute path" in told("install", DESTDIR="stage")
    assert "install, rollback or uninstall" in told("destroy", DESTDIR=stage)
    assert "--purge or nothing" in told("uninstall", "--all", DESTDIR=stage)
    assert "outside of /root and /home" in told("install", DESTDIR=stage, PYTHON="/bin/false")
    assert not Path(stage).exists() or files(Path(stage)) == set()
