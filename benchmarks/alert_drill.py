"""Every alert, provoked on a running station by a real fault, seen firing and then clearing.

    python benchmarks/alert_drill.py [--only NAME ...]

The rules are the shipped ones with time made ``FACTOR`` times shorter: the pace of scraping, every
``for``, every window, and thresholds that are seconds. The faults and the station's own times are
not shortened. Needs what ``make test`` needs, and root: the state lies on a small file system in
memory, so that a disk can be filled. Exits 1 when an alert did not fire or did not clear.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import yaml

from benchmarks import spoken_code
from benchmarks.speaking_judge import missed, row
from benchmarks.speaking_station import SpeakingStation
from tests.doubles.prometheus import Prometheus
from tests.doubles.rtmp_sink import RtmpSink
from tests.oracles.dashboards import RULES, alerts

PACE_S = 1
FACTOR = 15
"""Shipped, Prometheus scrapes every 15 s; here every second: a window holds as many scrapes."""

DISK_MB = 2300
"""A little more than the 2 GB that the rule calls nearly full; only what fills it takes memory."""

PICTURE = "{width: 640, height: 360, fps: 25, bitrate_kbps: 800}"
RING_MB = 16
"""48 such pictures, 1.9 s: less than a worker may stand still without being taken for hung."""

QUEUE_LIMIT = 20
FIRES_S, CLEARS_S = 100.0, 150.0
QUIET_S = 240.0

_UNIT_S = {"s": 1, "m": 60, "h": 3600}


def hurried(text: str) -> str:
    """The rules with time ``FACTOR`` times shorter."""
    rules = yaml.safe_load(text)
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = _shorter(rule["for"])
            windows = re.sub(r"\[(\w+)\]", lambda m: f"[{_shorter(m[1])}]", rule["expr"])
            rule["expr"] = re.sub(
                r"(_seconds > )(\d+)", lambda m: f"{m[1]}{int(m[2]) // FACTOR}", windows
            )
    return yaml.safe_dump(rules)


def _shorter(duration: str) -> str:
    seconds = int(duration[:-1]) * _UNIT_S[duration[-1]]
    return f"{seconds * 1000 // FACTOR}ms"


# --- the station ---------------------------------------------------------------------------


class DrilledStation(SpeakingStation):
    """A short queue, a short ring, and the state on a small file system of its own."""

    def __init__(self, sink: RtmpSink) -> None:
        super().__init__(sink, PICTURE, f"pool: {{ring_mb: {RING_MB}}}\n")
        config = self.config.read_text()
        self.config.write_text(config.replace("queue_limit: 1000", f"queue_limit: {QUEUE_LIMIT}"))
        self.disk = self.folder / "var"
        self.disk.mkdir()
        options = f"size={DISK_MB}m,mode=700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.disk], check=True)

    def stop(self) -> None:
        super().stop()
        subprocess.run(["umount", "--lazy", self.disk], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def on_sink(self) -> bool:
        """Whether the outside destination gets pictures."""
        return any(
            each["name"] == "sink" and each["state"] == "on_air"
            for each in self.on_main()["destinations"]
        )

    def all_of(self, role: str, what: signal.Signals) -> None:
        """Send a signal to a role and its children."""
        os.killpg(self.pid(role), what)


@dataclass(frozen=True, slots=True)
class Drill:
    """A fault that lasts while its context is open, and the alerts it must raise."""

    fault: str
    apply: Callable[[DrilledStation], AbstractContextManager[None]]
    alerts: tuple[str, ...]


# --- the faults ----------------------------------------------------------------------------


@contextmanager
def ingest_frozen(one: DrilledStation) -> Iterator[None]:
    """The platform reads no more; our own relay still gets everything."""
    one.sink.stop_reading()
    yield
    one.sink.read_again()


@contextmanager
def ingest_cuts(one: DrilledStation) -> Iterator[None]:
    """The platform resets the connection again and again."""
    for _ in range(9):
        one.wait(one.on_sink, "on air at the sink", 20)
        one.sink.cut(reset=True)
        one.wait(lambda: not one.on_sink(), "noticed", 10)
    yield


@contextmanager
def relay_broken(one: DrilledStation) -> Iterator[None]:
    """The relay's configuration is damaged, then it is killed: it cannot come back."""
    file = one.disk / "run/relay/nginx.conf"
    good = file.read_text()
    file.write_text("this is no configuration\n")
    os.kill(one.pid("relay"), signal.SIGKILL)
    yield
    file.write_text(good)


@contextmanager
def playout_stopped(one: DrilledStation) -> Iterator[None]:
    """It stands still for less than what it would be replaced for."""
    pid = one.pid("playout")
    os.kill(pid, signal.SIGSTOP)
    time.sleep(3.0)
    os.kill(pid, signal.SIGCONT)
    yield


@contextmanager
def studio_killed(one: DrilledStation) -> Iterator[None]:
    for _ in range(5):
        pid = one.pid("studio")
        os.kill(pid, signal.SIGKILL)
        one.wait(lambda pid=pid: one.roles()["studio"]["pid"] not in {pid, None}, "a studio", 30)
    yield


@contextmanager
def worker_slow(one: DrilledStation) -> Iterator[None]:
    """It stands still in mid-sentence for longer than the ring lasts, twice."""
    one.wait(one.serving, "a worker", 60)
    task = one.say(spoken_code.wav(0, 40.0))
    one.wait(lambda: one.state(task) == "on_air", "on air", 30)
    before = dry = one.metric("broadcaster_underruns_total")
    while dry < before + 2:
        time.sleep(2.0)  # the ring fills again
        worker = one.tree("gpu_pool.worker")[0]
        os.kill(worker, signal.SIGSTOP)
        time.sleep(2.7)
        os.kill(worker, signal.SIGCONT)
        dry = one.metric("broadcaster_underruns_total")
        if one.state(task) in {"done", "failed", "cancelled"}:
            break
    yield
    with contextlib.suppress(OSError):
        one.ask("DELETE", f"/tasks/{task}")


@contextmanager
def worker_killed(one: DrilledStation) -> Iterator[None]:
    """Until it is left alone."""
    one.wait(one.serving, "a worker", 60)

    def parked() -> bool:
        with contextlib.suppress(IndexError, ProcessLookupError):
            os.kill(one.tree("gpu_pool.worker")[0], signal.SIGKILL)
        return bool(one.things("worker/")[0]["state"] == "parked")

    one.wait(parked, "parked", 60)
    yield


@contextmanager
def queue_filled(one: DrilledStation) -> Iterator[None]:
    """A long task on air, and more behind it than is wanted."""
    tasks = [one.say(spoken_code.wav(0, 120.0))]
    one.wait(lambda: one.state(tasks[0]) == "on_air", "on air", 30)
    tasks += [one.say(spoken_code.wav(n, 1.0)) for n in range(1, QUEUE_LIMIT - 1)]
    yield
    for task in reversed(tasks):
        one.ask("DELETE", f"/tasks/{task}")


@contextmanager
def disk_filled(one: DrilledStation) -> Iterator[None]:
    file = one.disk / "filler"
    with file.open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, shutil.disk_usage(one.disk).free - 1_800_000_000)
    yield
    file.unlink()


@contextmanager
def api_stopped(one: DrilledStation) -> Iterator[None]:
    """Short of the 15 s after which the supervisor would replace it."""
    one.all_of("api", signal.SIGSTOP)
    yield
    one.all_of("api", signal.SIGCONT)


DRILLS = {
    "ingest-frozen": Drill(
        "ingest reads no more", ingest_frozen,
        ("BroadcasterChannelDark", "BroadcasterDestinationDown"),
    ),
    "ingest-cuts": Drill("ingest resets, 9 times", ingest_cuts, ("BroadcasterReconnectStorm",)),
    "relay-broken": Drill("relay cannot start", relay_broken, ("BroadcasterRoleDown",)),
    "playout-stopped": Drill("playout stopped 3 s", playout_stopped, ("BroadcasterTicksSkipped",)),
    "studio-killed": Drill("studio killed, 5 times", studio_killed, ("BroadcasterRoleRestarts",)),
    "worker-slow": Drill("worker stopped 2.7 s, twice", worker_slow, ("BroadcasterUnderruns",)),
    "worker-killed": Drill(
        "worker killed until parked", worker_killed,
        ("BroadcasterWorkerParked", "BroadcasterNoWorkerServes"),
    ),
    "queue-filled": Drill(
        "queue filled to 90 %", queue_filled, ("BroadcasterQueueLong", "BroadcasterTaskWaitsLong")
    ),
    "disk-filled": Drill("disk filled", disk_filled, ("BroadcasterDiskNearlyFull",)),
    "api-stopped": Drill("api stopped", api_stopped, ("BroadcasterUnreachable",)),
}  # fmt: skip


# --- looking -------------------------------------------------------------------------------


def run(drill: Drill, one: DrilledStation, prometheus: Prometheus) -> set[str]:
    """Which of the drill's alerts fired and cleared."""
    prometheus.wait(lambda: not prometheus.alerts(), "no alert from before", QUIET_S)
    begun = time.monotonic()
    fires: dict[str, float] = {}
    others: set[str] = set()

    def all_fire() -> bool:
        firing = prometheus.firing()
        for name in firing & set(drill.alerts):
            fires.setdefault(name, time.monotonic() - begun)
        others.update(firing - set(drill.alerts))
        return len(fires) == len(drill.alerts)

    with drill.apply(one), contextlib.suppress(AssertionError):
        prometheus.wait(all_fire, "firing", FIRES_S)
    cured = time.monotonic()
    clears: dict[str, float] = {}
    for name in fires:
        with contextlib.suppress(AssertionError):
            prometheus.wait(lambda name=name: name not in prometheus.firing(), "clear", CLEARS_S)
            clears[name] = time.monotonic() - cured
    for name in drill.alerts:
        shown = " / ".join(f"{t[name]:.1f}" if name in t else "never" for t in (fires, clears))
        row(f"{name}: {drill.fault}", shown, "fires / clears, s", name in clears)
    if others:
        print(f"   also fired: {', '.join(sorted(others))}", flush=True)
    return set(clears)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=list(DRILLS), default=list(DRILLS))
    chosen = parser.parse_args().only
    if os.geteuid() != 0:
        parser.error("a small file system can only be mounted by root")
    good: set[str] = set()
    with RtmpSink() as sink:
        one = DrilledStation(sink)
        try:
            one.start()
            with Prometheus(one.api, hurried(RULES.read_text()), PACE_S) as prometheus:
                seen = f"count_over_time(up[{10 * PACE_S}s]) >= 5"  # or the first count is no rise
                prometheus.wait(lambda: prometheus.query(seen), "scrapes", QUIET_S)
                for name in chosen:
                    good |= run(DRILLS[name], one, prometheus)
        finally:
            one.stop()
    everything = set(alerts()) if len(chosen) == len(DRILLS) else set()
    wanted = everything | {alert for name in chosen for alert in DRILLS[name].alerts}
    row("alerts that fired and cleared", f"{len(good)} of {len(wanted)}", "all", good == wanted)
    for title in missed:
        print(f"missed: {title}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
