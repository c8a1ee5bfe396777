"""A whole station with a Wav2Lip avatar: posted speech is on air, drawn in its place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from broadcaster.avatars.shelf import Shelf
from gpu_pool.contracts import PictureFormat
from gpu_pool.engines.photo.looped import LoopedPictures
from gpu_pool.engines.wav2lip.boxes import boxes_in
from tests.doubles.drawn_avatar import HANDLES, clip_avatar
from tests.doubles.plain_wav2lip import weights
from tests.doubles.station import ROOT, Station
from tests.system.test_speaking import post, reaches, record, stop, until

SPEECH = ROOT / "tests" / "fixtures" / "slt.opus"
SPEECH_S = 2
FORMAT = PictureFormat(480, 270, 25)
EASED = 4
"""At its ends a task shows more and more of the drawn face."""


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    torch.save(weights("wav2lip96"), tmp_path / "wav2lip.pth")
    engine = f"{{wav2lip: {{weights: {tmp_path}/wav2lip.pth}}}}"
    video = f"video: {{width: {FORMAT.width}, height: {FORMAT.height}, bitrate_kbps: 1500}}"
    made = Station(
        f"pool: {{engines: {engine}}}\navatars: {{models: {tmp_path}}}\n"
        f"channels: [{{name: main, avatar: her, {video}}}]\n"
    )
    yield made
    made.stop()
    (tmp_path / "wav2lip.pth").unlink()


def create(station: Station, folder: Path) -> Path:
    """The avatar, made as a person would; the folder that the engine reads."""
    clip_avatar(folder / "clip")  # leaves its source beside it
    (folder / "handles.json").write_text(json.dumps(HANDLES.json()))
    done = subprocess.run(
        [sys.executable, "-m", "broadcaster", "avatar", "create", "--config", str(station.config),
         "--engine", "wav2lip", "--name", "her", "--handles", str(folder / "handles.json"),
         str(folder / "clip.mp4")],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:4] == ["her", "clip", "640x360", "wav2lip"]
    return Shelf(station.folder / "var/avatars").newest("her").files


def seen(file: Path) -> list[NDArray[np.int16]]:
    with av.open(str(file)) as container:
        frames = container.decode(video=0)
        return [f.to_ndarray(format="yuv420p")[: FORMAT.height].astype(np.int16) for f in frames]


def test_speech_is_drawn_in_its_place_as_long_as_it_lasts(station: Station, tmp_path: Path) -> None:
    files = create(station, tmp_path)
    station.start()
    until(lambda: station.status()["channels"][0]["idle"]["state"] == "her", "the avatar", 90)
    speech, air = tmp_path / "speech.wav", tmp_path / "air.flv"
    cut = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(SPEECH), "-t", str(SPEECH_S), str(speech)]
    subprocess.run(cut, check=True, timeout=30)
    reader = record(station, air)
    reaches(station, post(station, speech), "done", 120)
    time.sleep(1.5)
    stop(reader)

    loop = LoopedPictures(files, FORMAT)
    boxes = boxes_in(loop)
    ticks = range(loop.loop_ticks)
    idle = [loop.picture(tick)[: FORMAT.height].astype(np.int16) for tick in ticks]
    talks = []
    for picture in seen(air):
        far = [np.abs(picture[:60] - each[:60]).mean() for each in idle]
        if not talks and min(far) > 2:
            continue  # the relay still held a second from before the avatar came on
        tick = int(np.argmin(far))
        box = boxes[loop.number(loop.place(tick))]
        off = np.abs(picture - idle[tick])
        mouth = off[
            box.top + 6 * box.height // 10 : box.bottom - box.height // 8,
            box.left + box.width // 5 : box.right - box.width // 5,
        ].mean()
        off[box.top + 2 * box.height // 5 : box.bottom, box.left : box.right] = 0
        assert off.mean() < 2, "nothing but the lower face changes"
        talks.append(mouth > 2)  # idle at most 1, drawn 32
    shown = np.flatnonzero(talks)
    spoken = SPEECH_S * FORMAT.fps
    assert spoken - EASED <= len(shown) <= spoken
    assert shown[-1] - shown[0] + 1 == len(shown), "without a hole"
    metrics = station.get("/metrics")[1].decode()
    assert 'broadcaster_underruns_total{channel="main"} 0.0' in metrics
