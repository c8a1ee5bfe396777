"""Drills against the whole running station: kill, freeze, flood, and read what came out.

    python benchmarks/station_drills.py [--runs 20] [--only NAME ...] [--down-s 60]

Each drill starts from a station that is on air at the embedded relay and prints min / median / max
against its goal. Everything runs on loopback, is bounded, and is ended by the script itself.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import av

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.doubles.station import (  # noqa: E402
    POLL_S,
    Station,
    free_port,
    process_tree,
    station,
)


class Reader(threading.Thread):
    """Pulls the channel and keeps every packet's timestamp and arrival."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.video_ms: list[int] = []
        self.arrivals: list[float] = []
        self.stopping = False

    def run(self) -> None:
        with suppress(av.FFmpegError), av.open(self._url, timeout=10) as container:
            for packet in container.demux(video=0):
                if self.stopping:
                    return
                if packet.size and packet.dts is not None and packet.time_base is not None:
                    self.video_ms.append(round(float(packet.dts * packet.time_base) * 1000))
                    self.arrivals.append(time.monotonic())

    def finish(self) -> tuple[int, set[int], float]:
        """Pictures read, the set of timestamp steps in ms, and the longest silence in s."""
        self.stopping = True
        self.join(5)
        steps = {b - a for a, b in zip(self.video_ms, self.video_ms[1:], strict=False)}
        gaps = [b - a for a, b in zip(self.arrivals, self.arrivals[1:], strict=False)]
        return len(self.video_ms), steps, max(gaps, default=0.0)


Row = tuple[str, list[float], str]


def push_killed(one: Station, runs: int) -> list[Row]:
    return [("push killed -> IDR at the relay, s", _repeat(one, runs, _kill_push), "<= 1.5")]


def push_frozen(one: Station, runs: int) -> list[Row]:
    return [("push frozen -> IDR at the relay, s", _repeat(one, runs, _freeze_push), "<= 3")]


def playout_killed(one: Station, runs: int) -> list[Row]:
    def fault(target: Station) -> None:
        os.kill(target.pid("playout"), signal.SIGKILL)

    return [("playout killed -> on air, s", _repeat(one, runs, fault, off=True), "<= 5")]


def relay_killed(one: Station, runs: int) -> list[Row]:
    def fault(target: Station) -> None:
        os.kill(target.pid("relay"), signal.SIGKILL)

    return [("relay killed -> on air, s", _repeat(one, runs, fault, off=True), "<= 5")]


def relay_hung(one: Station, runs: int) -> list[Row]:
    """A frozen relay: seconds to the push's verdict, and until the channel is back."""
    verdicts, back = [], []
    for _ in range(min(runs, 5)):
        before = one.status()["channels"][0]["destinations"][0]["restarts"]
        os.kill(one.pid("relay"), signal.SIGSTOP)
        begun = time.monotonic()
        while one.status()["channels"][0]["destinations"][0]["restarts"] == before:
            time.sleep(POLL_S)
            if time.monotonic() - begun > 20:
                break
        verdicts.append(time.monotonic() - begun)
        one.wait_on_air()
        back.append(time.monotonic() - begun)
        time.sleep(3)
    return [
        ("relay hung -> verdict, s", verdicts, "<= 3"),
        ("relay hung -> on air again, s", back, ""),
    ]


def _push_pid(one: Station) -> int:
    found = [line for line in _children(one.pid("playout")) if "-progress" in line[1]]
    return found[0][0]


def _children(pid: int) -> list[tuple[int, str]]:
    children = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == pid:
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    children.append((int(entry.name), words))
    return children


def _kill_push(one: Station) -> None:
    os.kill(_push_pid(one), signal.SIGKILL)


def _freeze_push(one: Station) -> None:
    os.kill(_push_pid(one), signal.SIGSTOP)


def _repeat(
    one: Station, runs: int, fault: Callable[[Station], None], off: bool = False
) -> list[float]:
    """Seconds from the fault until an IDR of a new session has reached the relay."""
    seconds = []
    for _ in range(runs):
        time.sleep(2.5 + random.random())  # any phase of the GOP
        one.wait_on_air()
        before = 0 if off else one.status()["channels"][0]["destinations"][0]["restarts"]
        fault(one)
        begun = time.monotonic()
        if off:
            one.wait_off_air(3.0)
        else:
            while one.status()["channels"][0]["destinations"][0]["restarts"] == before:
                time.sleep(POLL_S)
        one.wait_on_air()
        seconds.append(time.monotonic() - begun)
    return seconds


def api_killed(one: Station, runs: int) -> list[Row]:
    """SIGKILL of the whole API, again and again, while a reader watches every timestamp."""
    reader = Reader(one.url)
    reader.start()
    time.sleep(3)
    for _ in range(min(runs, 10)):
        with suppress(ProcessLookupError, KeyError, TypeError):  # it may just be restarting
            os.killpg(one.pid("api"), signal.SIGKILL)
        time.sleep(1.0)
    pictures, steps, silence = reader.finish()
    return [
        (f"api killed: timestamp steps other than 40 ms ({pictures} pictures)",
         [float(len(steps - {40}))], "0"),
        ("api killed: longest silence at the reader, s", [silence], "< 0.2"),
    ]  # fmt: skip


def api_flooded(one: Station, runs: int) -> list[Row]:
    """Junk requests from four clients for ten seconds."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            if one.get("/healthz")[0] == 200:
                break
        time.sleep(0.2)
    reader = Reader(one.url)
    reader.start()
    time.sleep(3)
    until, counts = time.monotonic() + 10, [0] * 4
    before = one.status()["skipped_s"]

    def flood(number: int) -> None:
        while time.monotonic() < until:
            with suppress(OSError, http.client.HTTPException):
                one.get(f"/junk/{counts[number]}?x={'y' * 200}")
                counts[number] += 1

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pictures, steps, silence = reader.finish()
    return [
        (f"api flooded ({sum(counts) / 10:.0f}/s): odd timestamp steps ({pictures} pictures)",
         [float(len(steps - {40}))], "0"),
        ("api flooded: longest silence at the reader, s", [silence], "< 0.2"),
        ("api flooded: skipped, s", [one.status()["skipped_s"] - before], "0"),
    ]  # fmt: skip


def playout_frozen(one: Station, runs: int) -> list[Row]:
    """SIGSTOP for 5 s: re-anchored afterwards, never faster than real time, time skipped."""
    ratios, resumed, odd = [], [], []
    for _ in range(min(runs, 3)):
        reader = Reader(one.url)
        reader.start()
        time.sleep(3)
        pid, before = one.pid("playout"), one.status()["skipped_s"]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(5)
        os.kill(pid, signal.SIGCONT)
        back = time.monotonic()
        while one.status()["skipped_s"] == before and time.monotonic() - back < 5:
            time.sleep(0.01)
        resumed.append(time.monotonic() - back)
        first = one.status()["channels"][0]["ticks"]
        time.sleep(4)
        ratios.append((one.status()["channels"][0]["ticks"] - first) / (4 * 25))
        _, steps, _ = reader.finish()
        odd.append(float(len(steps - {40})))
        assert one.pid("playout") == pid, "the supervisor must not replace a paused playout"
    return [
        ("playout frozen 5 s -> re-anchored after, s", resumed, "<= 1"),
        ("playout frozen: pace afterwards, x real time", ratios, "<= 1.05"),
        ("playout frozen: odd timestamp steps", odd, "0"),
    ]


def relay_down(one: Station, down_s: float) -> list[Row]:
    """The port closed for a while: a destination of its own, so that no supervisor brings it up."""
    port = free_port()
    extra = (
        "channels:\n  - name: main\n    destinations:\n"
        f"      - {{name: far, url: 'rtmp://127.0.0.1:{port}/live/key'}}\n"
    )
    sink = Station(extra)  # reuse its config writer for a second station without the relay
    del one
    try:
        sink.start()
        return [_far_destination(sink, port, down_s)]
    finally:
        sink.stop()


def _far_destination(sink: Station, port: int, down_s: float) -> Row:
    conf = sink.folder / "far"
    (conf / "temp").mkdir(parents=True)
    text = (sink.folder / "var/run/relay/nginx.conf").read_text()
    text = text.replace(f":{sink.rtmp}", f":{port}").replace(f":{sink.stat}", f":{free_port()}")
    (conf / "nginx.conf").write_text(text)
    command = ["nginx", "-p", str(conf), "-e", "stderr", "-c", "nginx.conf"]
    seconds = []

    def far() -> dict[str, Any]:
        found: dict[str, Any] = sink.status()["channels"][0]["destinations"][1]
        return found

    for pause in (2.0, down_s):
        time.sleep(pause)
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        begun = time.monotonic()
        while far()["state"] != "on_air" and time.monotonic() - begun < 20:
            time.sleep(POLL_S)
        seconds.append(time.monotonic() - begun)
        time.sleep(3)
        server.kill()
        server.wait()
    return (f"destination down at boot, then {down_s:.0f} s -> published, s", seconds, "<= 2.5")


def terminated(runs: int, how: signal.Signals) -> list[Row]:
    """The supervisor told to end, or killed: seconds until no process of the station is left."""
    seconds, orphans = [], []
    for number in range(runs):
        made = Station()
        try:
            made.start()
            time.sleep(0.1 * (number % 7))
            assert made.process is not None
            made.process.send_signal(how)
            begun = time.monotonic()
            made.process.wait(15)
            while process_tree(made.folder) and time.monotonic() - begun < 15:
                time.sleep(0.01)
            seconds.append(time.monotonic() - begun)
            orphans.append(float(len(process_tree(made.folder))))
        finally:
            made.stop()
    return [
        (f"supervisor {how.name} -> nothing left, s", seconds, "<= 5"),
        (f"supervisor {how.name}: orphans", orphans, "0"),
    ]


SHARED = {
    "push-killed": push_killed,
    "push-frozen": push_frozen,
    "playout-killed": playout_killed,
    "relay-killed": relay_killed,
    "relay-hung": relay_hung,
    "api-killed": api_killed,
    "api-flooded": api_flooded,
    "playout-frozen": playout_frozen,
}


def show(rows: list[Row]) -> None:
    for title, values, goal in rows:
        low, middle, high = min(values), statistics.median(values), max(values)
        figures = f"{low:7.2f} {middle:7.2f} {high:7.2f}"
        print(f"{title:72s} n={len(values):<3d}{figures}   {goal}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--down-s", type=float, default=60.0)
    names = [*SHARED, "relay-down", "sigterm", "sigkill"]
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    arguments = parser.parse_args()
    print(f"{'drill':72s}            min  median     max   goal")
    chosen = [name for name in SHARED if name in arguments.only]
    if chosen:
        with station() as one:
            for name in chosen:
                one.wait_on_air()
                show(SHARED[name](one, arguments.runs))
    if "relay-down" in arguments.only:
        show(relay_down(Station(), arguments.down_s))
    if "sigterm" in arguments.only:
        show(terminated(arguments.runs, signal.SIGTERM))
    if "sigkill" in arguments.only:
        show(terminated(min(arguments.runs, 5), signal.SIGKILL))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
