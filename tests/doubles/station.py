"""A whole running station in a folder of its own, for system tests and drills."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from broadcaster.paths import StatePaths
from broadcaster.relay.stat import fetch_stat
from broadcaster.wire import ask
from tests.doubles.fake_station import remove_memory

ROOT = Path(__file__).resolve().parents[2]

READY_S = 60.0
POLL_S = 0.02


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Station:
    """One running station in a folder of its own.

    Unless ``extra`` has channels, the test card is on air: its flash and beep can be measured.
    """

    def __init__(self, extra: str = "") -> None:
        if "channels:" not in extra:
            extra += "channels: [{name: main, avatar: none}]\n"
        self.folder = Path(tempfile.mkdtemp(prefix="drill-"))
        self.rtmp, self.stat, self.api = free_port(), free_port(), free_port()
        self.config = self.folder / "config.yaml"
        self.config.write_text(
            f"station: {{state_dir: {self.folder / 'var'}, log_level: warning}}\n"
            f"relay: {{port: {self.rtmp}, stat_port: {self.stat}}}\n"
            f"api: {{port: {self.api}}}\n{extra}"
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"rtmp://127.0.0.1:{self.rtmp}/live/main"

    def start(self) -> float:
        begun = time.monotonic()
        log = (self.folder / "log").open("ab")
        command = [sys.executable, "-m", "broadcaster", "run", "--config", str(self.config)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        log.close()
        self.wait_on_air()
        return time.monotonic() - begun

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(15)
        remove_memory(StatePaths(self.folder / "var"))
        shutil.rmtree(self.folder, ignore_errors=True)

    def roles(self) -> dict[str, dict[str, Any]]:
        text = (self.folder / "var/run/roles.json").read_text()
        return {role["name"]: role for role in json.loads(text)["roles"]}

    def pid(self, role: str) -> int:
        return int(self.roles()[role]["pid"])

    def status(self) -> dict[str, Any]:
        return ask(self.folder / "var/run/playout.sock", {"op": "status"}, 1.0)

    def relay_bytes(self) -> int:
        """Bytes the relay has taken from the present publisher; -1 when nobody publishes."""
        with suppress(OSError, ValueError):
            for stream in fetch_stat(f"http://127.0.0.1:{self.stat}/stat", 0.5).streams:
                if stream.name == "main" and stream.publishing:
                    return int(stream.bytes_in)
        return -1

    def on_air(self) -> bool:
        """An IDR of the present session went out, and the relay holds the publisher."""
        with suppress(OSError, ValueError, KeyError, IndexError):
            relay = self.status()["channels"][0]["destinations"][0]
            age = relay["last_idr_age_s"]
            fresh = age is not None and age < relay["session_age_s"] and age < 1.5
            return bool(relay["state"] == "on_air" and fresh and self.relay_bytes() > 0)
        return False

    def wait_on_air(self, timeout_s: float = READY_S) -> float:
        begun = time.monotonic()
        while not self.on_air():
            if time.monotonic() - begun > timeout_s:
                raise TimeoutError(f"not on air after {timeout_s} s; see {self.folder}/log")
            time.sleep(POLL_S)
        return time.monotonic() - begun

    def wait_off_air(self, timeout_s: float = 10.0) -> None:
        begun = time.monotonic()
        while self.relay_bytes() > 0 and time.monotonic() - begun < timeout_s:
            time.sleep(POLL_S)

    def get(self, path: str, timeout_s: float = 5.0) -> tuple[int, bytes]:
        client = http.client.HTTPConnection("127.0.0.1", self.api, timeout=timeout_s)
        try:
            client.request("GET", path)
            answer = client.getresponse()
            return answer.status, answer.read()
        finally:
            client.close()


@contextmanager
def station(extra: str = "") -> Iterator[Station]:
    made = Station(extra)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def process_tree(folder: Path) -> list[str]:
    """Living processes that belong to a station's folder, by command line or open state."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            zombie = " Z " in (entry / "stat").read_text()[:60]
            if str(folder) in words and not zombie:
                found.append(f"{entry.name} {words[:80]}")
    return found
