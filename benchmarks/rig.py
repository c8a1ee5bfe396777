"""What the benchmarks start: clips, relays, plain FFmpeg, stations. All of it ends with ``Rig``."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import cpu
from broadcaster.paths import StatePaths
from broadcaster.processes import kill_group, start_child
from broadcaster.relay.config import channel_url
from broadcaster.relay.install import find_relay, prepare_relay
from broadcaster.relay.stat import fetch_stat
from broadcaster.settings.model import Relay
from broadcaster.wire import ask

REPO = Path(__file__).resolve().parent.parent
SOUND_RATE = 48000


@dataclass(frozen=True, slots=True)
class Size:
    """A picture format with its usual rate."""

    name: str
    width: int
    height: int
    fps: int
    kbps: int


SIZES = {
    "720p25": Size("720p25", 1280, 720, 25, 2500),
    "1080p30": Size("1080p30", 1920, 1080, 30, 4500),
}


def wait_for(what: str, done: Callable[[], object], timeout_s: float) -> None:
    """Poll until ``done`` is true.

    Raises:
        TimeoutError: it never was.
    """
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


class Rig:
    """A temporary folder and every process started in it.

    Args:
        keep: leave the folder behind.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Rig:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return self

    def __exit__(self, *exc: object) -> None:
        for child in reversed(self._children):
            self.end(child)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, argv: Sequence[str], **more: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401 - Popen's
        """A child of ours; what it prints goes to ``log`` in the folder unless told otherwise."""
        with (self.folder / "log").open("ab") as log:
            options: dict[str, Any] = {"stdout": log, "stderr": log, "foreign": False} | more
            child = start_child(argv, **options)
        self._children.append(child)
        return child

    def python(self, module: str, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401 - Popen's
        """One of our own modules as a child."""
        path = {**os.environ, "PYTHONPATH": str(REPO)}
        return self.start([sys.executable, "-m", module, *arguments], env=path, cwd=REPO, **more)

    def end(self, child: subprocess.Popen[bytes]) -> None:
        """SIGTERM, and SIGKILL for the group after 8 s."""
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(8)
            except subprocess.TimeoutExpired:
                kill_group(child.pid)
                child.wait()
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream is not None:
                stream.close()
        with contextlib.suppress(ValueError):
            self._children.remove(child)

    @contextlib.contextmanager
    def running(self, argv: Sequence[str], **more: Any) -> Iterator[subprocess.Popen[bytes]]:  # noqa: ANN401 - Popen's
        """A child for the length of a block."""
        child = self.start(argv, **more)
        try:
            yield child
        finally:
            self.end(child)

    def log_tail(self) -> str:
        """The last lines that any child wrote."""
        file = self.folder / "log"
        return (
            "\n".join(file.read_text(errors="replace").splitlines()[-15:]) if file.exists() else ""
        )

    def relay(self) -> BenchRelay:
        """An nginx with its RTMP module, as the station's own but not part of it."""
        return BenchRelay(self)


class BenchRelay:
    """The ingest of a measurement; its CPU is not counted."""

    def __init__(self, rig: Rig) -> None:
        port, stat_port = free_ports(2)
        self._relay = Relay(port=port, stat_port=stat_port)
        prefix = rig.folder / f"relay-{port}"
        prefix.mkdir()
        self.process = rig.start(prepare_relay(self._relay, find_relay(), prefix))
        wait_for("relay", self._answers, 10)

    def url(self, name: str) -> str:
        """Where a stream called ``name`` is pushed to and pulled from."""
        return channel_url(self._relay, name)

    def bytes_in(self, name: str) -> int:
        """Bytes received of a stream that is being published; 0 when it is not."""
        found = fetch_stat(self._stat_url, 2).stream(name)
        return found.bytes_in if found is not None and found.publishing else 0

    def wait_for(self, name: str, timeout_s: float = 20) -> None:
        """Until a stream flows."""
        wait_for(f"stream {name}", lambda: self.bytes_in(name) > 50_000, timeout_s)

    @property
    def _stat_url(self) -> str:
        return f"http://127.0.0.1:{self._relay.stat_port}/stat"

    def _answers(self) -> bool:
        try:
            fetch_stat(self._stat_url, 1)
        except (OSError, ValueError):
            return False
        return True


def ffmpeg(*arguments: str) -> list[str]:
    """A quiet FFmpeg command line."""
    return ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *arguments]


def x264_options(size: Size) -> list[str]:
    """The options of the station's own encoder, as FFmpeg spells them."""
    rate = f"{size.kbps}k"
    return [
        *("-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-profile:v", "high"),
        *("-b:v", rate, "-maxrate", rate, "-bufsize", rate, "-g", str(size.fps), "-bf", "0"),
        *("-sc_threshold", "0", "-forced-idr", "1", "-pix_fmt", "yuv420p"),
    ]


def moving_scene(size: Size, count: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """A seamless loop of BGR pictures: textured room, handheld sway, a swaying person, grain."""
    rng = np.random.default_rng(seed)
    width, height = size.width, size.height
    room = _texture(rng, int(width * 1.1), int(height * 1.1))
    for _ in range(14):  # furniture: hard edges
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        corner = (x + int(rng.integers(40, width // 4)), y + int(rng.integers(30, height // 3)))
        tint = tuple(int(c) for c in rng.integers(30, 220, 3))
        cv2.rectangle(room, (x, y), corner, tint, int(rng.integers(2, 9)))
    person = _texture(rng, height // 2, int(height * 0.8))
    mask = np.zeros(person.shape[:2], np.uint8)
    rows, columns = mask.shape
    cv2.ellipse(mask, (columns // 2, rows), (columns // 2, rows * 2 // 3), 0, 0, 360, 255, -1)
    cv2.circle(mask, (columns // 2, rows // 4), columns // 4, 255, -1)
    grain = [rng.normal(0, 2.2, (height, width, 1)).astype(np.float32) for _ in range(7)]
    for index in range(count):
        turn = 2 * np.pi * index / count
        x = int(width * 0.05 * (1 + 0.2 * np.sin(3 * turn)))
        y = int(height * 0.05 * (1 + 0.2 * np.cos(2 * turn)))
        picture = room[y : y + height, x : x + width].copy()
        left = int((width - columns) / 2 + 0.04 * width * np.sin(2 * turn))
        top = height - rows + int(0.01 * height * np.sin(5 * turn))
        bottom = min(height, top + rows)
        target = picture[top:bottom, left : left + columns]
        np.copyto(target, person[: bottom - top], where=mask[: bottom - top, :, None] > 0)
        mouth = (left + columns // 2, top + rows // 3)
        opening = int(1 + abs(np.sin(13 * turn)) * rows / 30)
        cv2.ellipse(picture, mouth, (columns // 12, opening), 0, 0, 360, (40, 30, 90), -1)
        noisy = picture.astype(np.float32) + grain[index % len(grain)]
        yield np.clip(noisy, 0, 255).astype(np.uint8)


def _texture(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    total = np.zeros((height, width, 3), np.float32)
    for cells, weight in ((5, 60.0), (20, 28.0), (80, 14.0), (320, 7.0)):
        noise = rng.normal(0, 1, (cells * height // width + 2, cells + 2, 3)).astype(np.float32)
        total += weight * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(total + 120, 0, 255).astype(np.uint8)


def make_clip(folder: Path, size: Size, seconds: int = 10, rate: int = SOUND_RATE) -> Path:
    """An MP4 of a seamless moving scene with sound, at the rate that the station gives idle."""
    file = folder / f"clip-{size.name}-{rate}.mp4"
    kbps = int(size.kbps * 0.85)
    chord = "+".join(f"0.05*sin(2*PI*{f}*t)" for f in (220, 277, 330))
    argv = ffmpeg(
        *("-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{size.width}x{size.height}"),
        *("-r", str(size.fps), "-i", "pipe:0"),
        *("-f", "lavfi", "-i", f"aevalsrc={chord}+0.01*random(0)|{chord}+0.01*random(1)"
          f":s={rate}:d={seconds}"),
        *("-c:v", "libx264", "-preset", "veryfast", "-b:v", f"{kbps}k", "-maxrate", f"{kbps}k"),
        *("-bufsize", f"{kbps}k", "-g", str(size.fps), "-bf", "0", "-pix_fmt", "yuv420p"),
        *("-c:a", "aac", "-b:a", "128k", "-t", str(seconds), str(file)),
    )  # fmt: skip
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for picture in moving_scene(size, seconds * size.fps, 1):
            process.stdin.write(picture.tobytes())
        process.stdin.close()
    if process.returncode:
        raise RuntimeError("the clip could not be made")
    return file


class StationRun:
    """The whole daemon: ``python -m broadcaster run`` with an embedded relay of its own.

    Args:
        rig: where it runs.
        state: its state folder; caches in it are used again.
        channels: the ``channels`` section; without an ``avatar`` they have none.
        more: other sections, and other keys of those above.
    """

    def __init__(
        self, rig: Rig, state: Path, channels: list[dict[str, Any]], **more: dict[str, Any]
    ) -> None:
        self._rig, self._paths = rig, StatePaths(state)
        self.relay_port, stat_port, self.api_port = free_ports(3)
        settings: dict[str, Any] = {
            "station": {"state_dir": str(state), "log_level": "warning"},
            "relay": {"port": self.relay_port, "stat_port": stat_port},
            "api": {"port": self.api_port},
            "channels": [{"avatar": "none"} | channel for channel in channels],
        }
        for section, values in more.items():
            settings[section] = settings.get(section, {}) | values
        config = rig.folder / f"station-{self.api_port}.yaml"
        config.write_text(json.dumps(settings))  # JSON is YAML
        self._names = [channel["name"] for channel in channels]
        self.process = rig.python("broadcaster", "run", "--config", str(config))

    def url(self, channel: str = "main") -> str:
        """Where a channel is pulled from."""
        return f"rtmp://127.0.0.1:{self.relay_port}/live/{channel}"

    def status(self) -> dict[str, Any]:
        """What the playout says of itself; empty while it does not answer."""
        try:
            return ask(self._paths.playout_socket, {"op": "status"})
        except OSError:
            return {}

    def wait_until_idle(self, title: str, timeout_s: float = 300) -> None:
        """Until every channel shows its clip everywhere and nothing is being prepared."""

        def ready() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"the station ended:\n{self._rig.log_tail()}")
            channels = self.status().get("channels", [])
            return len(channels) == len(self._names) and all(
                c["source"] == "idle"
                and c["idle"]["state"] == title
                and not c["live_video"]
                and all(d["state"] == "on_air" for d in c["destinations"])
                for c in channels
            )

        wait_for("idle clip on air", ready, timeout_s)
        wait_for("end of preparation", lambda: not self._pids("idle.prepare"), timeout_s)

    def _pids(self, name: str) -> list[int]:
        return [p for p in cpu.tree(self.process.pid) if f"broadcaster.{name}" in cpu.command(p)]

    @property
    def playout_pid(self) -> int:
        """The process that is on air."""
        return self._pids("playout")[0]

    @property
    def relay_pids(self) -> list[int]:
        """Its nginx: a server of its own, not counted."""
        return [p for p in cpu.tree(self.process.pid) if "nginx" in cpu.command(p).split(" ")[0]]

    def stop(self) -> None:
        """End it in good order."""
        self._rig.end(self.process)
