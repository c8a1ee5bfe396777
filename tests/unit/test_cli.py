"""The ``broadcaster`` command, as a process: quick to answer, clear when it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from broadcaster import __version__

REPO = Path(__file__).parents[2]
KEY = "live_6f1d0c-very-secret"


def broadcaster(
    *arguments: str, cwd: Path = REPO, **extra: str
) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("BROADCASTER_") and name != "STATE_DIRECTORY"
    }
    return subprocess.run(
        [sys.executable, "-m", "broadcaster", *arguments],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(REPO), **extra},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_the_commands() -> None:
    answer = broadcaster("--help")
    assert answer.returncode == 0
    assert "run" in answer.stdout
    assert "check" in answer.stdout


def test_version_is_the_packages() -> None:
    assert broadcaster("--version").stdout == f"broadcaster {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]])
def test_help_answers_at_once(arguments: list[str]) -> None:
    spent = []
    for _ in range(3):  # the best of three: other processes may hold the cores
        began = time.monotonic()
        broadcaster(*arguments)
        spent.append(time.monotonic() - began)
    assert min(spent) < 3, "0.2 s where nothing else runs"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, broadcaster.cli; "
        "print(sorted({'av', 'numpy', 'pydantic', 'yaml', 'flask'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert answer.stdout == "[]\n"


def test_without_a_command_it_says_how_to_be_used() -> None:
    answer = broadcaster()
    assert answer.returncode == 2
    assert "usage: broadcaster" in answer.stderr


def test_run_refuses_bad_settings_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(f"push: {{retyr_s: 1}}\nchannels: {KEY}\n")
    answer = broadcaster("run", "--config", "bad.yaml", cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stderr.splitlines() == [
        "broadcaster: push.retyr_s: unknown key",
        "broadcaster: channels: input should be a valid tuple",
    ]
    assert [each.name for each in tmp_path.iterdir()] == ["bad.yaml"]


def test_check_reports_bad_settings_and_fails(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("push: {retyr_s: 1}")
    answer = broadcaster("check", "--config", "bad.yaml", cwd=tmp_path)
    assert answer.returncode == 1
    assert answer.stdout.startswith("fail  settings               push.retyr_s: unknown key\n")


def test_check_as_json_is_one_line_with_every_finding(tmp_path: Path) -> None:
    text = f"""
relay: {{mode: none}}
api: {{port: 1}}
channels: [{{destinations: [{{name: a, url: 'rtmp://127.0.0.1:1/app/{KEY}', platform: twitch}}]}}]
"""
    (tmp_path / "my.yaml").write_text(text)
    answer = broadcaster(
        "check", "--json", BROADCASTER_CONFIG=str(tmp_path / "my.yaml"), cwd=tmp_path
    )
    report = json.loads(answer.stdout)
    assert answer.stdout.count("\n") == 1
    assert report["ok"] is (answer.returncode == 0) is False
    by_what = {each["what"]: each for each in report["findings"]}
    assert by_what["encoder libx264"]["level"] == "ok"
    assert by_what["main to a"]["level"] == "fail"
    assert KEY not in answer.stdout + answer.stderr
    assert all(each["remedy"] for each in report["findings"] if each["level"] != "ok")
    assert [each.name for each in tmp_path.iterdir()] == ["my.yaml"], "check changes nothing"
