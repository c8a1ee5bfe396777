"""The service unit: accepted by systemd without a word, hardened, and never giving up."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from broadcaster.supervisor.readiness import PULSE_FRESH_S

UNIT = Path(__file__).parents[2] / "systemd" / "broadcaster.service"
PROGRAM = "/opt/broadcaster/current/.venv/bin/broadcaster"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit as it would stand on a machine: its program exists."""
    program = tmp_path / "broadcaster"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(PROGRAM, str(program)))
    return copy


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze."""
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@needs_systemd
def test_systemd_has_nothing_to_say_about_the_unit(installed: Path) -> None:
    verdict = analyze("verify", str(installed))
    assert (verdict.returncode, verdict.stderr, verdict.stdout) == (0, "", "")


@needs_systemd
def test_systemd_would_say_something_about_a_misspelt_key(installed: Path) -> None:
    installed.write_text(installed.read_text().replace("WatchdogSec=", "WatchDogSecs="))
    assert "WatchDogSecs" in analyze("verify", str(installed)).stderr


@needs_systemd
@pytest.mark.parametrize("kind", ["LoadCredential=", "LoadCredentialEncrypted="])
def test_the_lines_for_stream_keys_need_only_be_uncommented(installed: Path, kind: str) -> None:
    lines = (UNIT.parent / "keys.conf").read_text().splitlines()
    line = next(line[1:] for line in lines if line.startswith(f"#{kind}"))
    unit = installed.read_text()
    installed.write_text(unit.replace("[Service]\n", f"[Service]\n{line}\n"))
    verdict = analyze("verify", str(installed))
    assert (verdict.returncode, verdict.stderr, verdict.stdout) == (0, "", "")
    installed.write_text(unit.replace("[Service]\n", "[Service]\nLoadCredential=a/b:c\n"))
    assert "Credential name" in analyze("verify", str(installed)).stderr


@needs_systemd
def test_the_unit_is_hardened(installed: Path) -> None:
    verdict = analyze("security", "--offline=yes", "--no-pager", "--threshold=30", str(installed))
    assert verdict.returncode == 0, verdict.stdout[-300:]


def test_the_unit_keeps_the_promises_of_the_supervisor() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["NotifyAccess"] == "main"
    assert service["Restart"] == "always"
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert service["ExecStart"] == f"{PROGRAM} run"
    assert service["User"] == service["Group"] == "broadcaster"
    assert service["Environment"] == "BROADCASTER_CONFIG=/etc/broadcaster/broadcaster.yaml"
    # Fed every third of the limit while the pulse is fresh: it must not run out in between.
    assert float(service["WatchdogSec"]) > PULSE_FRESH_S
    assert float(service["TimeoutStopSec"]) > 5
    assert service["PrivateDevices"] == "no"
    assert "char-nvidia*" in UNIT.read_text()
