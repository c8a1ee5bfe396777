"""A station whose presenter is drawn by a neural engine, for ``true_size.py``: made, heard, ended.

The avatar is made by the command line, as a user would.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.rig import REPO
from broadcaster.avatars.shelf import Shelf
from gpu_pool.contracts import Json, PictureFormat
from tests.doubles.drawn_avatar import HANDLES, clip_avatar
from tests.doubles.station import Station

FORMAT = PictureFormat(1280, 720, 25)
KBPS = 6000
LOOP_PICTURES = 25
READY_S = TASK_S = 1500.0


class OnAir:
    """A station whose channel shows an avatar of one engine.

    Args:
        name: of the engine.
        options: of the engine.
        device: of its worker.
        clip: of the avatar; None is the drawn presenter, with her handles.
    """

    def __init__(
        self, name: str, options: Mapping[str, Json], device: str, clip: Path | None
    ) -> None:
        video = {"width": FORMAT.width, "height": FORMAT.height, "bitrate_kbps": KBPS}
        pool = {"devices": [device], "engines": {name: options}}
        channels = [{"name": "main", "avatar": "her", "video": video}]
        self.station = Station(f"pool: {json.dumps(pool)}\nchannels: {json.dumps(channels)}\n")
        begun = time.monotonic()
        try:
            self.files = self._create(name, clip)
        except BaseException:
            self.station.stop()
            raise
        self.made_s = time.monotonic() - begun

    def _create(self, engine: str, clip: Path | None) -> Path:
        folder, handles = self.station.folder, []
        if clip is None:
            clip_avatar(folder / "drawn", LOOP_PICTURES)  # leaves its source beside it
            (folder / "handles.json").write_text(json.dumps(HANDLES.json()))
            clip, handles = folder / "drawn.mp4", ["--handles", str(folder / "handles.json")]
        command = [sys.executable, "-m", "broadcaster", "avatar", "create", "--engine", engine]
        command += ["--config", str(self.station.config), "--name", "her", *handles, str(clip)]
        environment = {**os.environ, "PYTHONPATH": str(REPO)}
        subprocess.run(command, env=environment, check=True, timeout=600)
        return Shelf(folder / "var/avatars").newest("her").files

    def start(self) -> float:
        """Seconds until the worker is ready and the avatar on air."""
        begun = time.monotonic()
        self.station.start()
        self._wait(self._ready, READY_S)
        return time.monotonic() - begun

    def _ready(self) -> bool:
        try:
            things = json.loads(self.station.get("/status")[1])["things"]
        except OSError:
            return False  # the API comes after the air
        workers = [each for each in things if each["name"].startswith("worker/")]
        failed = [each for each in workers if each["state"] in {"dead", "parked", "ending"}]
        assert not failed, failed
        idle = self.station.status()["channels"][0]["idle"]["state"]
        return bool(workers) and all(w["state"] == "ready" for w in workers) and idle == "her"

    def say(self, speech: Path) -> float:
        """Post a sound, and wait until it was said; seconds until it began."""
        url = f"http://127.0.0.1:{self.station.api}/generate_video"
        posted = ["curl", "-s", "-F", f"audio_file=@{speech}", url]
        begun, began_s = time.monotonic(), 0.0
        answer = subprocess.run(posted, capture_output=True, check=True, timeout=60)
        task_id = json.loads(answer.stdout)["task_id"]

        def over() -> bool:
            nonlocal began_s
            state = json.loads(self.station.get(f"/tasks/{task_id}")[1])["state"]
            began_s = began_s or (time.monotonic() - begun if state in {"on_air", "done"} else 0.0)
            assert state not in {"failed", "cancelled"}
            return bool(state == "done")

        self._wait(over, TASK_S)
        return began_s

    @property
    def underruns(self) -> float:
        text = self.station.get("/metrics")[1].decode()
        found = [
            line for line in text.splitlines() if line.startswith("broadcaster_underruns_total{")
        ]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    @staticmethod
    def _wait(condition: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout_s:g} s"
            time.sleep(0.1)
