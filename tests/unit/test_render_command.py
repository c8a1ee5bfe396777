"""``broadcaster render`` as people run it: what it says, how it refuses, how it is stopped."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from broadcaster.cli import main
from broadcaster.render.progress import ProgressLine, bar, describe
from tests.doubles.virtual_clock import VirtualClock
from tests.unit.test_cli import REPO, broadcaster

SMALL = ("--size", "192x112", "--engine", "simulated")


def test_a_film_is_announced_made_and_summed_up(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    arguments = ("--text", "One, two.", "--out", "a.mp4", *SMALL)
    answer = broadcaster("render", *arguments, cwd=tmp_path, TMPDIR=str(tmp_path / "tmp"))
    assert answer.returncode == 0, answer.stderr
    lines = answer.stderr.splitlines()
    assert lines[:2] == ["preparing the sound", "waiting for the workers"]
    assert len(lines) == 12
    assert lines[-1].startswith("100 %")
    assert answer.stdout.startswith("a.mp4: ")
    assert "192x112, 48000 Hz" in answer.stdout
    assert "x real time" in answer.stdout
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.mp4", "tmp"]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_text_can_come_through_a_pipe_and_a_film_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-m", "broadcaster", "render", "--text", "-", "--out", "a.mp4", "--force",
         *SMALL],
        input=b"One \xff two.", cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--audio", "none.wav"), "none.wav: no such file"),
        (("--audio", "."), ".: is no file"),
        (
            ("--audio", "text.txt"),
            "The uploaded file is not sound in a format that can be decoded.",
        ),
        (("--audio", "empty.wav"), "The uploaded file is empty."),
        (("--text", " ... "), "The text holds nothing that can be spoken."),
        (("--text", "a" * 5001), "The text is longer than 5000 characters; it has 5001."),
        (("--text", "a", "--voice", "bob"), "'bob' is no voice"),
        (("--text", "a", "--avatar", "bob"), "no avatar is called 'bob'; there are anna, leon"),
        (("--text", "a", "--avatar", "none"), "a film needs an avatar: one of anna, leon"),
        (("--text", "a", "--engine", "bob"), "no engine 'bob'; there are "),
        (("--text", "a", "--size", "big"), "a size is WIDTHxHEIGHT"),
        (("--text", "a", "--size", "641x480"), "video.width: input should be a multiple of 2"),
        (("--text", "a", "--fps", "24"), "video.fps: input should be 25 or 30"),
        (("--text", "a", "--rate", "8000"), "audio.sample_rate: input should be 44100 or 48000"),
        (("--text", "a", "--pre-roll", "-1"), "a pre-roll lasts 0 to 60 s"),
        (("--text", "a", "--post-roll", "nan"), "a post-roll lasts 0 to 60 s"),
        (("--text", "a", "--audio", "b.wav"), "not allowed with argument"),
        ((), "one of the arguments --audio --text is required"),
        (("--text", "a", "--out", "there.mp4"), "is there already; --force replaces it"),
        (("--text", "a", "--out", "film.avi"), "its name ends in .mp4"),
        (("--text", "a", "--out", "no/film.mp4"), "there is no folder no"),
        (("--text", "a", "--config", "no.yaml"), "no.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.txt").write_text("no sound")
    (tmp_path / "there.mp4").write_text("old")
    out = () if "--out" in arguments else ("--out", "film.mp4")
    try:
        status: object = main(["render", *arguments, *out])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    assert words in capsys.readouterr().err
    assert (tmp_path / "there.mp4").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 3, "nothing is left"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_render_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "tmp").mkdir()
    child = subprocess.Popen(
        [sys.executable, "-m", "broadcaster", "render", "--text", "One. " * 500, "--out", "a.mp4",
         *SMALL],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(REPO), "TMPDIR": str(tmp_path / "tmp")},
    )  # fmt: skip
    assert child.stderr is not None
    assert "preparing" in child.stderr.readline()
    child.send_signal(number)
    _, said = child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert "Traceback" not in said
    assert [each.name for each in tmp_path.iterdir()] == ["tmp"]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_progress_tells_percent_speed_and_what_is_left() -> None:
    line = describe(50, 200, 25, 0.5)
    assert line == " 25 %  50 of 200 pictures  100/s  4.0 x real time  2 s left"
    assert describe(200, 200, 25, 2.0).endswith("4.0 x real time")
    assert describe(0, 200, 25, 0.0) == "  0 %  0 of 200 pictures"
    assert bar(0, 9) == "[" + "." * 24 + "]"
    assert bar(9, 9) == "[" + "#" * 24 + "]"


def test_on_a_terminal_one_line_is_written_over() -> None:
    clock = VirtualClock()
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        line = ProgressLine(terminal, 25, clock.now)
        line.step("preparing")
        for count in range(1, 101):
            line.written(count, 100)
            clock.jump(0.01)
        line.close()
        shown = ""
        while "100 %" not in shown or not shown.endswith("\r\x1b[K"):  # it comes in pieces
            shown += os.read(ours, 65536).decode()
    os.close(ours)
    assert "\n" not in shown
    assert shown.count("x real time") == pytest.approx(10, abs=2), "ten times a second"
