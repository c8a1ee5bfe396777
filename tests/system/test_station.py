"""The whole station, as a user starts it: on air, speaking, surviving, ending without a trace."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from broadcaster.idle.draw import read_code
from tests.doubles.programme import speech_like
from tests.doubles.station import Station, free_port, process_tree

KEY = "sk-live-must-never-be-seen"
RATE = 48000


@pytest.fixture(scope="module")
def station() -> Iterator[Station]:
    dead = f"rtmp://127.0.0.1:{free_port()}/live/{KEY}"
    # No beeps: under a fade they would sound together with the speech that is compared.
    quiet = "avatar: none, idle: {card_sound: false}"
    made = Station(
        f"channels: [{{name: main, {quiet}, destinations: [{{name: dead, url: '{dead}'}}]}}]\n"
        "speech: {normalise: false}\n"
    )
    try:
        made.start()
        _wait(lambda: made.status()["channels"][0]["idle"]["state"] == "test card", "the card")
        yield made
    finally:
        made.stop()


def _wait(condition: Callable[[], Any], what: str, timeout_s: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with suppress(OSError, ValueError, KeyError, http.client.HTTPException):
            if condition():
                return
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s: {what}")


def _record(station: Station, file: Path, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["ffmpeg", "-nostdin", "-v", "error", "-y", "-rw_timeout", "5000000", "-i", station.url,
         "-t", f"{seconds:g}", "-c", "copy", str(file)],
    )  # fmt: skip


def _post(station: Station, sound: NDArray[np.float32]) -> tuple[int, dict[str, Any]]:
    wav = io.BytesIO()
    soundfile.write(wav, sound.T, RATE, "PCM_16", format="WAV")
    head = (
        b'--b\r\nContent-Disposition: form-data; name="audio_file"; filename="a.wav"\r\n'
        b"Content-Type: audio/wav\r\n\r\n"
    )
    client = http.client.HTTPConnection("127.0.0.1", station.api, timeout=20)
    try:
        client.request(
            "POST",
            "/generate_video",
            head + wav.getvalue() + b"\r\n--b--\r\n",
            {"Content-Type": "multipart/form-data; boundary=b"},
        )
        answer = client.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        client.close()


def _task(station: Station, task_id: str) -> dict[str, Any]:
    task: dict[str, Any] = json.loads(station.get(f"/tasks/{task_id}")[1])
    return task


def _sound(file: Path) -> NDArray[np.float32]:
    with av.open(str(file)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return np.concatenate(frames, axis=1).astype(np.float32)


def _lag(heard: NDArray[np.float32], said: NDArray[np.float32]) -> int:
    size = 1 << int(np.ceil(np.log2(len(heard) + len(said))))
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size))
    return int(np.argmax(np.fft.irfft(spectrum)))


def test_the_channel_is_what_was_promised(station: Station) -> None:
    command = ["ffprobe", "-v", "error", "-rw_timeout", "5000000", "-of", "json", "-show_entries"]
    entries = "stream=codec_name,width,height,has_b_frames,r_frame_rate,sample_rate"
    done = subprocess.run(
        [*command, entries, station.url], capture_output=True, check=True, timeout=30
    )
    video, audio = json.loads(done.stdout)["streams"]
    assert (video["codec_name"], video["width"], video["height"]) == ("h264", 1280, 720)
    assert (video["has_b_frames"], video["r_frame_rate"]) == (0, "25/1")
    assert (audio["codec_name"], audio["sample_rate"]) == ("aac", "48000")


def test_speech_is_heard_whole_and_every_picture_is_there(station: Station, tmp_path: Path) -> None:
    said, file = speech_like(4 * RATE, 5), tmp_path / "air.flv"
    recording = _record(station, file, 12)
    time.sleep(3.5)  # the reader's own analysis of the stream
    status, answer = _post(station, said)
    assert (status, answer["status"]) == (202, "processing_started")
    _wait(lambda: _task(station, answer["task_id"])["state"] == "done", "done")
    assert recording.wait(30) == 0
    heard = _sound(file)
    lag = _lag(heard[0], said[0])
    for start in range(0, said.shape[1], RATE // 2):
        a = heard[0, lag + start : lag + start + RATE // 2]
        b = said[0, start : start + RATE // 2]
        if np.sqrt(np.mean(b**2)) > 0.01:
            assert np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b)) > 0.99
            assert 0.97 < np.dot(a, b) / np.dot(b, b) < 1.03
    with av.open(str(file)) as container:
        pictures = list(container.decode(video=0))
        codes = [read_code(p.to_ndarray(format="yuv420p")[: p.height]) for p in pictures]
        steps = np.diff([float(p.time or 0) for p in pictures])
    assert set(np.diff(codes) % 200) == {1}
    assert np.allclose(steps, 0.04, atol=0.0011)


def test_a_dead_extra_destination_is_told_but_the_channel_is_ready(station: Station) -> None:
    _wait(lambda: station.get("/readyz")[0] == 200, "ready")
    things = json.loads(station.get("/status")[1])["things"]
    dead = next(thing for thing in things if thing["name"].endswith("/dead"))
    assert dead["state"] != "on_air"
    assert dead["last_error"]


def test_a_stream_key_is_nowhere_to_be_seen(station: Station) -> None:
    shown = station.get("/status")[1] + station.get("/metrics")[1] + station.get("/")[1]
    assert KEY.encode() not in shown + (station.folder / "log").read_bytes()


@pytest.mark.parametrize("role", ["api", "studio", "relay", "playout"])
def test_a_killed_role_comes_back_and_so_does_the_channel(station: Station, role: str) -> None:
    pid = station.pid(role)
    os.kill(pid, signal.SIGKILL)
    _wait(lambda: station.pid(role) not in (pid, 0), f"{role} started again")
    station.wait_on_air(30)
    _wait(lambda: station.get("/healthz")[0] == 200, "the API answers")


def test_a_task_on_air_survives_the_death_of_playout(station: Station) -> None:
    station.wait_on_air()
    _, answer = _post(station, speech_like(5 * RATE, 6))
    _wait(lambda: _task(station, answer["task_id"])["played_s"] >= 1, "a second of it")
    os.kill(station.pid("playout"), signal.SIGKILL)
    _wait(lambda: _task(station, answer["task_id"])["state"] == "done", "done", 40)


def test_the_end_leaves_nothing_behind(station: Station) -> None:
    """Last on purpose: it ends the station of this module."""
    assert station.process is not None
    station.process.send_signal(signal.SIGTERM)
    assert station.process.wait(10) == 0
    assert process_tree(station.folder) == []
    assert list((station.folder / "var/run").iterdir()) == []
