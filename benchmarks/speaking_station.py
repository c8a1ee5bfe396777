"""A whole station with the presenter and a destination of the drill's own, which keeps everything.

The destination is an RTMP ingest in the drill's process: every session, every message, with its
arrival. It lives on whatever happens to the station.
"""

from __future__ import annotations

import http.client
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import idle_media
from benchmarks import cpu, spoken_code
from tests.doubles.api_server import form
from tests.doubles.rtmp_sink import RtmpSink, SinkSession
from tests.doubles.station import Station
from tests.oracles.flv_check import VIDEO, Packet, Rules, faults, from_sink

FPS = 25
POLL_S = 0.02
SMALL = "{width: 480, height: 270, fps: 25, bitrate_kbps: 600}"
LARGE = "{width: 1280, height: 720, fps: 25, bitrate_kbps: 2500}"


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the station holds: resident memory by role, descriptors, shared memory."""

    anonymous_mb: dict[str, float]
    descriptors: dict[str, int]
    shared_files: int
    shared_mb: float


class SpeakingStation(Station):
    """Started, on air, the presenter to be seen and the workers ready."""

    def __init__(self, sink: RtmpSink, video: str, more: str = "") -> None:
        destination = f"{{name: sink, url: '{sink.url()}'}}"
        super().__init__(
            f"channels: [{{name: main, video: {video}, destinations: [{destination}]}}]\n"
            f"speech: {{normalise: false}}\n{more}"
        )
        config = self.config.read_text().replace("log_level: warning", "log_level: info")
        self.config.write_text(config.replace("api: {port", "api: {queue_limit: 1000, port"))
        self.sink = sink

    def start(self) -> float:
        took_s = super().start()
        self.wait(lambda: self.on_main()["idle"]["state"] == idle_media.DEFAULT, "presenter", 200)
        self.wait(self.serving, "a worker", 60)
        return took_s

    # --- looking ---------------------------------------------------------------------------

    def on_main(self) -> dict[str, Any]:
        channel: dict[str, Any] = self.status()["channels"][0]
        return channel

    def wait(self, condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> float:
        """Seconds until ``condition``."""
        begun = time.monotonic()
        while time.monotonic() - begun < timeout_s:
            with suppress(OSError, ValueError, LookupError, http.client.HTTPException):
                if condition():
                    return time.monotonic() - begun
            time.sleep(POLL_S)
        raise TimeoutError(f"not within {timeout_s} s: {what}")

    def serving(self) -> bool:
        """Whether every worker can render."""
        workers = self.things("worker/")
        return bool(workers) and all(each["state"] in {"ready", "busy"} for each in workers)

    def workers_readied(self) -> int:
        """How often a worker of the station has been loaded, by its log."""
        return (self.folder / "log").read_bytes().count(b" is ready\n")

    def things(self, prefix: str) -> list[dict[str, Any]]:
        things = json.loads(self.get("/status")[1])["things"]
        return [thing for thing in things if thing["name"].startswith(prefix)]

    def metric(self, name: str) -> float:
        """The sum over all labels."""
        text = self.get("/metrics")[1].decode()
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? ([-+.\deE]+)$", text, re.M)
        return sum(float(number) for number in found)

    def tree(self, name: str) -> list[int]:
        """Processes of the station with ``name`` in their command line."""
        assert self.process is not None
        return [pid for pid in cpu.tree(self.process.pid) if name in cpu.command(pid)]

    def footprint(self) -> Footprint:
        roles = {"playout": "broadcaster.playout", "studio": "broadcaster.studio"}
        roles |= {"worker": "gpu_pool.worker", "api": "gunicorn"}
        memory, descriptors = {}, {}
        for role, name in roles.items():
            pids = self.tree(name)
            memory[role] = sum(_anonymous_mb(pid) for pid in pids)
            descriptors[role] = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
        shared = {path for pids in map(self.tree, roles.values()) for path in _shared(pids)}
        megabytes = sum(path.stat().st_size for path in shared if path.exists()) / 2**20
        return Footprint(memory, descriptors, len(shared), megabytes)

    # --- tasks -----------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "") -> dict[str, Any]:
        client = http.client.HTTPConnection("127.0.0.1", self.api, timeout=20)
        try:
            client.request(method, path, body, {"Content-Type": kind} if kind else {})
            answer = client.getresponse()
            found: dict[str, Any] = json.loads(answer.read())
            return found | {"http_status": answer.status}
        finally:
            client.close()

    def say(self, sound: bytes, **fields: str) -> str:
        """Post a sound, again and again while the API restarts; its task's id."""
        body, kind = form(sound, "drill.wav", fields)
        answer: dict[str, Any] = {}

        def accepted() -> bool:
            answer.update(self.ask("POST", "/generate_video", body, kind))
            return answer["http_status"] == 202

        self.wait(accepted, "202", 30)
        return str(answer["task_id"])

    def task(self, task_id: str) -> dict[str, Any]:
        return self.ask("GET", f"/tasks/{task_id}")

    def state(self, task_id: str) -> str:
        return str(self.task(task_id)["state"])

    def wait_ended(self, tasks: Sequence[str], timeout_s: float) -> list[str]:
        """The states of ``tasks`` once all have ended, or when the time is up."""
        ended = {"done", "failed", "cancelled"}
        with suppress(TimeoutError):
            for task in reversed(tasks):
                begun = time.monotonic()
                self.wait(lambda task=task: self.state(task) in ended, task, timeout_s)
                timeout_s -= time.monotonic() - begun
        return [self.state(task) for task in tasks]

    # --- what came out ---------------------------------------------------------------------

    def sessions(self) -> list[SinkSession]:
        """Sessions with media in them."""
        return [s for s in self.sink.published() if sum(not m.is_header for m in s.messages) > 10]

    def heard(self) -> list[list[spoken_code.Heard]]:
        return [spoken_code.read(spoken_code.sound_of(each)) for each in self.sessions()]

    def stream_faults(self, killed: bool = False) -> list[str]:
        """What the oracle finds wrong.

        A session that begins while a task is said may begin at an IDR beside the grid, and is then
        only asked for one each second.
        """
        grid = None if killed else FPS
        rules = Rules(fps=FPS, gop_ticks=grid, extra_idrs=True)
        found = []
        for each in self.sessions():
            packets = from_sink(list(each.messages))
            found += faults(packets, rules) + _rare_idrs(packets)
        return found

    def pauses(self) -> list[float]:
        """Longest silence between pictures, and every pause between sessions, in seconds."""
        sessions = self.sessions()
        arrivals = [[m.arrival for m in s.messages if m.kind == VIDEO] for s in sessions]
        inside = [b - a for each in arrivals for a, b in itertools.pairwise(each)]
        between = [b[0] - a[-1] for a, b in itertools.pairwise(arrivals)]
        return [max(inside, default=0.0), *between]


def _rare_idrs(packets: list[Packet]) -> list[str]:
    video = [p for p in packets if p.kind == VIDEO and not p.is_header]
    at = [n for n, p in enumerate(video) if p.is_idr]
    apart = max((b - a for a, b in itertools.pairwise(at)), default=0)
    return [f"IDRs are {apart} pictures apart"] if apart > FPS else []


def _shared(pids: list[int]) -> set[Path]:
    """Files in memory that these processes map, deleted ones too: other stations have their own."""
    found = set()
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
            found |= {Path(x.split(maxsplit=5)[5]) for x in lines if " /dev/shm/" in x}
    return found


def _anonymous_mb(pid: int) -> float:
    with suppress(OSError, StopIteration, ValueError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return int(next(x for x in lines if x.startswith("Anonymous:")).split()[1]) / 1024
    return 0.0


@contextmanager
def speaking_station(video: str = SMALL, more: str = "") -> Iterator[SpeakingStation]:
    with RtmpSink() as sink:
        made = SpeakingStation(sink, video, more)
        try:
            made.start()
            yield made
        except BaseException:
            with suppress(Exception):
                print(made.status(), made.things(""), made.ask("GET", "/tasks?limit=3"))
            print(f"--- the station's log\n{(made.folder / 'log').read_text()[-4000:]}", flush=True)
            raise
        finally:
            made.stop()
