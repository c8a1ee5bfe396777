"""What an idle channel costs, beside plain FFmpeg playing the same clip (goals P1, P2, P3).

    python benchmarks/idle_cost.py [--seconds 20] [--rounds 3] [--sizes 720p25,1080p30] [--only ...]

CPU of whole process trees over loopback RTMP; relays are not counted. All designs run one after
another, round after round; figures are medians, and only ratios within one run mean anything.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import cpu
from benchmarks.rig import SIZES, BenchRelay, Rig, Size, StationRun, ffmpeg, make_clip, x264_options

SETTLE_S = 5.0
"""From "on air" to the window: starting costs, caches, the first progress reports."""

MANY = 10


@dataclass
class Row:
    """The figures of one design: core-milliseconds per second of air."""

    name: str
    tree: list[float] = field(default_factory=list)
    daemon: list[float] = field(default_factory=list)
    pss_mb: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.tree)


@dataclass(frozen=True)
class Design:
    """How a design is put on air: yields trees to count, and what to leave out."""

    name: str
    on_air: Callable[[], contextlib.AbstractContextManager[tuple[int, int | None, list[int]]]]


class Bench:
    """One size."""

    def __init__(self, rig: Rig, relay: BenchRelay, size: Size) -> None:
        self.rig, self.relay, self.size = rig, relay, size
        self.clip = make_clip(rig.folder, size)
        self.state = rig.folder / f"var-{size.name}"

    def designs(self) -> list[Design]:
        rate = [*x264_options(self.size), "-c:a", "aac", "-b:a", "128k"]
        one = lambda **more: [self._channel("main", **more)]  # noqa: E731
        second = {"destinations": [{"name": "second", "url": self.relay.url("second")}]}
        found = [
            Design("copy", lambda: self._ffmpeg("-c", "copy")),
            Design("A re-encode", lambda: self._ffmpeg(*rate)),
            Design("silent", lambda: self._station(one(sound=False))),
            Design("silent, 2 destinations", lambda: self._station(one(sound=False, **second))),
            Design("sound", lambda: self._station(one(sound=True))),
            Design("sound coded live", lambda: self._station(one(sound=True, rate=44100))),
        ]
        if self.size.name == "720p25":
            many = [self._channel(f"c{n}", sound=False) for n in range(MANY)]
            found.append(Design(f"{MANY} channels", lambda: self._station(many)))
        return found

    def _channel(self, name: str, sound: bool, rate: int = 48000, **more: object) -> dict[str, Any]:
        size = self.size
        return {
            "name": name,
            "video": {
                "width": size.width, "height": size.height, "fps": size.fps,
                "bitrate_kbps": size.kbps,
            },
            "audio": {"sample_rate": rate},
            "idle": {"clips": [{"path": str(self.clip), "sound": sound}]},
        } | more  # fmt: skip

    @contextlib.contextmanager
    def _ffmpeg(self, *coding: str) -> Iterator[tuple[int, int | None, list[int]]]:
        source = ["-re", "-stream_loop", "-1", "-i", str(self.clip)]
        argv = ffmpeg(*source, *coding, "-f", "flv", self.relay.url("plain"))
        with self.rig.running(argv) as process:
            self.relay.wait_for("plain")
            yield process.pid, None, []

    @contextlib.contextmanager
    def _station(
        self, channels: list[dict[str, Any]]
    ) -> Iterator[tuple[int, int | None, list[int]]]:
        station = StationRun(self.rig, self.state, channels)
        try:
            station.wait_until_idle(self.clip.name)
            yield station.playout_pid, station.process.pid, station.relay_pids
        finally:
            station.stop()

    def measure(self, design: Design, row: Row, seconds: float) -> None:
        with design.on_air() as (root, daemon, relay):
            time.sleep(SETTLE_S)
            before = _reading(root, daemon, relay)
            time.sleep(seconds)
            after = _reading(root, daemon, relay)
            lasted = after[0] - before[0]
            row.tree.append(1000 * (after[1] - before[1]) / lasted)
            if daemon is not None:
                row.daemon.append(1000 * (after[2] - before[2]) / lasted)
            row.pss_mb.append(cpu.tree_pss_mb([root], relay))


def _reading(root: int, daemon: int | None, relay: list[int]) -> tuple[float, float, float]:
    whole = 0.0 if daemon is None else cpu.tree_cpu_s([daemon], relay)
    return time.monotonic(), cpu.tree_cpu_s([root]), whole


def show(size: Size, rows: dict[str, Row]) -> bool:
    """Print the table and the goals; True when all that was measured was met."""
    print(f"\n{size.name}, {size.kbps} kb/s; CPU in core-ms per second of air")
    print(f"{'design':24}{'min':>8}{'median':>8}{'max':>8}{'x copy':>8}{'x A':>8}"
          f"{'PSS MB':>8}{'daemon':>8}")  # fmt: skip
    copy, reencode = rows.get("copy"), rows.get("A re-encode")
    for row in rows.values():
        times_copy = f"{row.median / copy.median:8.2f}" if copy else " " * 8
        times_a = f"{row.median / reencode.median:8.4f}" if reencode else " " * 8
        daemon = f"{statistics.median(row.daemon):8.2f}" if row.daemon else ""
        print(f"{row.name:24}{min(row.tree):8.2f}{row.median:8.2f}{max(row.tree):8.2f}"
              f"{times_copy}{times_a}{statistics.median(row.pss_mb):8.0f}{daemon}")  # fmt: skip
    met = [_goal(*each) for each in _goals(rows)]
    return all(met)


def _goals(rows: dict[str, Row]) -> Iterator[tuple[str, float, float]]:
    cost = {name: row.median for name, row in rows.items()}
    if "copy" not in cost:
        return
    copy = cost["copy"]
    if "silent" in cost:
        yield "P1 silent / copy", cost["silent"] / copy, 1.25
        if "A re-encode" in cost:
            yield "P1 silent / A (1/30)", cost["silent"] / cost["A re-encode"], 1 / 30
    for name in ("sound", "sound coded live"):
        if name in cost:
            yield f"P2 {name} / copy", cost[name] / copy, 3.5
            if "A re-encode" in cost:
                yield f"P2 {name} / A", cost[name] / cost["A re-encode"], 0.1
    if {"silent", "silent, 2 destinations"} <= set(cost):
        extra = (cost["silent, 2 destinations"] - cost["silent"]) / copy
        yield "P3 second destination / copy", extra, 1.0
    if f"{MANY} channels" in cost:
        yield f"each of {MANY} channels / copy", cost[f"{MANY} channels"] / MANY / copy, 1.25


def _goal(name: str, value: float, limit: float) -> bool:
    met = value <= limit
    print(f"  {name:34}{value:8.4f} <= {limit:<8.4g}{'ok' if met else 'MISSED'}")
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each window")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--only", action="append", help="a design by the start of its name")
    options = parser.parse_args()
    good = True
    with Rig() as rig:
        relay = rig.relay()
        for name in options.sizes.split(","):
            bench = Bench(rig, relay, SIZES[name])
            chosen = [
                d for d in bench.designs()
                if not options.only or any(d.name.startswith(o) for o in options.only)
            ]  # fmt: skip
            rows = {design.name: Row(design.name) for design in chosen}
            for number in range(options.rounds):
                for design in chosen:
                    bench.measure(design, rows[design.name], options.seconds)
                    latest = rows[design.name].tree[-1]
                    print(f"{name} round {number + 1} {design.name}: {latest:.2f}", flush=True)
            good &= show(SIZES[name], rows)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
