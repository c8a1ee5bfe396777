"""A whole station with its presenter: posted speech comes out of the relay with moving lips."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import idle_media
from gpu_pool.engines.presenter import Presenter
from tests.doubles.station import Station

SPEECH = Path(__file__).parents[1] / "fixtures" / "slt.opus"
SPEECH_S = 4
WIDTH, HEIGHT = 480, 270
MOUTH = (slice(155, 195), slice(215, 265))
"""Rows and columns of the presenter's mouth at this size."""


@pytest.fixture(scope="module")
def station() -> Iterator[Station]:
    video = f"video: {{width: {WIDTH}, height: {HEIGHT}, bitrate_kbps: 900}}"
    made = Station(f"channels: [{{name: main, avatar: anna, {video}}}]\n")
    try:
        made.start()
        until(lambda: "living" if loop_is_alive(made) else "", "the presenter's idle loop", 120)
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of real speech."""
    file = tmp_path_factory.mktemp("speech") / "speech.wav"
    cut = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(SPEECH), "-t", str(SPEECH_S), str(file)]
    subprocess.run(cut, check=True, timeout=30)
    return file


def until(condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.1)


def loop_is_alive(station: Station) -> bool:
    """The full loop is there, not only the still picture of the first seconds."""
    idle = station.status()["channels"][0]["idle"]
    loops = list((station.folder / "var/cache/idle").glob("*/*"))
    return idle["state"] == "anna" and sum(file.stat().st_size for file in loops) > 900_000


def post(station: Station, sound: Path) -> str:
    answer = subprocess.run(
        ["curl", "-s", "-F", f"audio_file=@{sound}",
         f"http://127.0.0.1:{station.api}/generate_video"],
        capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    found = json.loads(answer.stdout)
    assert found["status"] == "processing_started", found
    return str(found["task_id"])


def task(station: Station, task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(station.get(f"/tasks/{task_id}")[1])
    return found


def reaches(station: Station, task_id: str, state: str, timeout_s: float = 60.0) -> None:
    until(lambda: task(station, task_id)["state"] == state, f"{task_id} is {state}", timeout_s)


def record(station: Station, file: Path) -> subprocess.Popen[bytes]:
    reader = subprocess.Popen(
        ["ffmpeg", "-nostdin", "-v", "error", "-y", "-rw_timeout", "5000000", "-i", station.url,
         "-c", "copy", str(file)],
    )  # fmt: skip
    until(lambda: file.exists() and file.stat().st_size > 20_000, "a recording")
    return reader


def stop(reader: subprocess.Popen[bytes]) -> None:
    reader.send_signal(signal.SIGINT)
    reader.wait(10)


def lumas(file: Path) -> NDArray[np.uint8]:
    with av.open(str(file)) as container:
        frames = container.decode(video=0)
        return np.stack([f.to_ndarray(format="yuv420p")[:HEIGHT] for f in frames])


def test_the_presenter_speaks_what_is_posted(
    station: Station, speech: Path, tmp_path: Path
) -> None:
    file = tmp_path / "air.flv"
    reader = record(station, file)
    reaches(station, post(station, speech), "done", 90)
    time.sleep(1.5)
    stop(reader)
    pictures = lumas(file)
    closed = np.median(pictures[:20], axis=0)[MOUTH]
    moved = np.abs(pictures[:, *MOUTH] - closed).mean(axis=(1, 2))
    assert np.percentile(moved, 80) > 4 * max(np.percentile(moved[:20], 90), 0.5), "no lips move"
    face = Presenter.load(idle_media.atlas("anna", WIDTH, HEIGHT), WIDTH, HEIGHT).picture(0, 25)
    for picture in pictures[:: len(pictures) // 12]:
        assert cv2.PSNR(picture[:80], face[:80]) > 28, "something else than the presenter is on air"
    steps = np.abs(np.diff(pictures.astype(np.int16), axis=0)).mean(axis=(1, 2))
    assert steps.max() < 4.0, "the picture jumps"
    metrics = station.get("/metrics")[1].decode()
    assert 'broadcaster_underruns_total{channel="main"} 0.0' in metrics or (
        "broadcaster_underruns_total{" not in metrics
    )


@pytest.mark.parametrize("victim", ["worker", "studio"])
def test_a_sentence_survives_the_death_of_who_renders_it(
    station: Station, speech: Path, victim: str
) -> None:
    task_id, studio = post(station, speech), station.pid("studio")
    reaches(station, task_id, "on_air")
    os.kill(studio if victim == "studio" else worker_of(studio), signal.SIGKILL)
    reaches(station, task_id, "done", 90)


def worker_of(studio: int) -> int:
    """The process that renders: a child of the studio."""
    for task_folder in Path(f"/proc/{studio}/task").iterdir():
        for pid in (task_folder / "children").read_text().split():
            if b"gpu_pool.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
    raise AssertionError("the studio has no worker")


def test_an_interrupted_sentence_is_cancelled_and_the_next_one_is_said(
    station: Station, speech: Path
) -> None:
    first, second = post(station, speech), post(station, speech)
    reaches(station, first, "on_air")
    answer = station.get("/tasks/" + first)
    assert answer[0] == 200
    subprocess.run(
        ["curl", "-s", "-X", "POST", f"http://127.0.0.1:{station.api}/interrupt"],
        check=True, timeout=20, capture_output=True,
    )  # fmt: skip
    reaches(station, first, "cancelled")
    assert task(station, first)["reason"] == "interrupted"
    reaches(station, second, "on_air")
    reaches(station, second, "done", 90)


def avatar_of(station: Station) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(station.get("/channels")[1])["channels"][0]["avatar"]
    return found


def wish(station: Station, avatar: str) -> None:
    subprocess.run(
        ["curl", "-sf", "-X", "PUT", "--json", json.dumps({"avatar": avatar}),
         f"http://127.0.0.1:{station.api}/channels/main/avatar"],
        check=True, timeout=20, capture_output=True,
    )  # fmt: skip


def shows(station: Station, avatar: str) -> None:
    same = {"on_air": avatar, "state": "same"}
    until(lambda: same.items() <= avatar_of(station).items(), f"{avatar} on air", 120)


def test_an_avatar_changes_between_two_sentences_without_a_hole(
    station: Station, speech: Path, tmp_path: Path
) -> None:
    wish(station, "leon")  # both idle loops are made now: the change below comes at once
    shows(station, "leon")
    wish(station, "anna")
    shows(station, "anna")
    file = tmp_path / "air.flv"
    reader = record(station, file)
    said = [post(station, speech) for _ in range(3)]
    reaches(station, said[0], "on_air")
    wish(station, "leon")
    for each in said:
        reaches(station, each, "done", 90)
    shows(station, "leon")
    time.sleep(1.5)
    stop(reader)
    pictures = lumas(file)
    faces = [face(name)[:80] for name in ("anna", "leon")]
    seen = [int(np.argmax([cv2.PSNR(each[:80], f) for f in faces])) for each in pictures]
    likeness = [cv2.PSNR(each[:80], faces[who]) for each, who in zip(pictures, seen, strict=True)]
    assert min(likeness) > 24, "neither of them"
    assert np.count_nonzero(np.diff(seen)) == 1, "it flickers"
    assert (seen[0], seen[-1]) == (0, 1)
    (cut,) = np.flatnonzero(np.diff(seen))
    closed = [np.median(pictures[part], axis=0)[MOUTH] for part in (slice(20), slice(-20, None))]
    for moment, who in ((cut, 0), (cut + 1, 1)):
        assert np.abs(pictures[moment][MOUTH] - closed[who]).mean() < 6, "cut in the middle"
    with av.open(str(file)) as container:
        at = [float(packet.pts * packet.time_base) for packet in container.demux(video=0)
              if packet.pts is not None]  # fmt: skip
    assert np.allclose(np.diff(at), 0.04, atol=0.002), "a hole"


def face(name: str) -> NDArray[np.uint8]:
    return Presenter.load(idle_media.atlas(name, WIDTH, HEIGHT), WIDTH, HEIGHT).picture(0, 25)


@pytest.mark.parametrize("victim", ["playout", "studio"])
def test_a_channel_comes_up_again_with_the_avatar_that_was_wished(
    station: Station, speech: Path, victim: str
) -> None:
    wish(station, "leon")
    shows(station, "leon")
    before = station.pid(victim)
    os.kill(before, signal.SIGKILL)
    until(lambda: station.pid(victim) not in (0, before), f"another {victim}")

    def shown() -> str:
        try:
            found = station.status()["channels"][0]
        except OSError:
            return ""
        on_air = found["avatar"]["on_air"]
        assert found["idle"]["state"] in {"slate", "leon"}, "somebody else was seen"
        return str(on_air["name"]) if on_air else ""

    until(lambda: shown() == "leon", "leon on air again")
    task_id = post(station, speech)
    reaches(station, task_id, "done", 90)
    assert avatar_of(station)["on_air"] == "leon"
