"""Drills for the push: break it on purpose, measure the way back with the sink's clock.

    python benchmarks/push_drills.py [--runs 20] [--only NAME]

Real FFmpeg into our own RTMP sink over loopback, ticks at real time, GOP 1 s. Every session that
was recorded passes the always-on oracle too. Exit status 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import itertools

from broadcaster.settings.model import Push
from tests.doubles import push_stage
from tests.doubles.air import Loop, loop
from tests.doubles.push_stage import Stage, pid_of, state_of
from tests.doubles.rtmp_sink import RtmpSink, SinkSession
from tests.oracles.flv_check import Rules, faults, from_sink

TWO_POW_24_MS = 1 << 24
ROLLOVER_MS = 480 * 3600 * 1000
_DEFAULTS = Push()


@contextlib.contextmanager
def stage(source: Loop, push: Push = _DEFAULTS, **more: object) -> Iterator[Stage]:
    """The tests' stage, every recorded session checked by the oracle afterwards."""
    with push_stage.stage(source, push, **more) as running:
        yield running
    for session in running.sink.published():
        check(session)


def check(session: SinkSession, *, min_messages: int = 60) -> None:
    if len(session.messages) >= min_messages:
        wrong = faults(from_sink(session.messages), Rules(max_gap_s=10.0))
        if wrong:
            raise AssertionError(f"oracle: {wrong[:3]}")


def kill(runs: int, sig: signal.Signals) -> list[float]:
    """Signal the push process; until the first IDR of the next session is at the ingest."""
    with stage(loop(kbps=800, noise=True)) as s:
        s.on_air(1)
        figures = []
        for run in range(runs):
            s.settle()
            fault = time.monotonic()
            os.kill(pid_of(s.destination), sig)
            idr = s.on_air(run + 2).first_idr()
            assert idr is not None
            figures.append(idr.arrival - fault)
        return figures


def closed(runs: int, seconds: float) -> list[float]:
    """Port closed for a while; from its opening to the accepted publish."""
    with stage(loop()) as s:
        s.on_air(1)
        figures = []
        for run in range(runs):
            s.settle()
            s.sink.stop_listening()
            s.sink.cut()
            time.sleep(seconds + random.random())
            back = s.sink.listen()
            published = s.on_air(run + 2).published
            assert published is not None
            figures.append(published - back)
        return figures


def down_at_boot(runs: int) -> list[float]:
    figures = []
    for _ in range(runs):
        with stage(loop(), listening=False) as s:
            time.sleep(3 + random.random())
            back = s.sink.listen()
            published = s.on_air(1).published
            assert published is not None
            figures.append(published - back)
    return figures


def deaf(runs: int, what: str) -> list[float]:
    """The sink stops reading into a 512 KiB buffer at 2.1 Mb/s; until the process is replaced."""
    figures = []
    for _ in range(runs):
        with stage(loop(kbps=2000, noise=True), receive_buffer=512 * 1024) as s:
            s.on_air(1)
            s.settle()
            pid = pid_of(s.destination)
            fault = time.monotonic()
            s.sink.stop_reading()
            accepted = accepted_until(s, pid, fault + 15)
            verdict = time.monotonic()
            s.sink.read_again()
            figures.append(verdict - (accepted if what == "accepted" else fault))
            s.on_air(2)
    return figures


def accepted_until(s: Stage, pid: int, deadline: float) -> float:
    """Watch a push process until it is replaced; returns when the kernel last took bytes of it."""
    seen, at = -1, time.monotonic()
    while (session := s.destination._session) is not None and session.pid == pid:
        sent = bytes_written(pid)
        if sent > seen:
            seen, at = sent, time.monotonic()
        if time.monotonic() > deadline:
            raise AssertionError("no verdict")
        time.sleep(0.01)
    return at


def bytes_written(pid: int) -> int:
    """``wchar`` of a process: grows with each send that the kernel accepted (and progress)."""
    try:
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("wchar:"):
                return int(line.split()[1])
    except OSError:
        pass
    return -1


def busy(runs: int, seconds: float = 15.0) -> list[float]:
    """The key is busy for 15 s; the longest pause between attempts, with the way back on air."""
    figures = []
    for _ in range(runs):
        with stage(loop()) as s:
            s.on_air(1)
            s.settle()
            s.sink.refuse_with = "NetStream.Publish.BadName"
            s.sink.cut()
            time.sleep(seconds)
            assert state_of(s.destination) in ("busy", "connecting"), state_of(s.destination)
            s.sink.refuse_with = None
            freed = time.monotonic()
            published = s.on_air(2).published
            assert published is not None
            attempts = s.sink.accepts[1:]
            pauses = [b - a for a, b in itertools.pairwise(attempts)]
            figures.append(max(*pauses, published - freed))
    return figures


def gap(old: SinkSession, new: SinkSession) -> float:
    """Largest silence at the ingest: the old session's last message to the new one's first IDR."""
    idr = new.first_idr()
    assert idr is not None
    return idr.arrival - old.messages[-1].arrival


def rollover(runs: int) -> list[float]:
    """Planned new sessions every few seconds while idle."""
    with stage(loop(), Push(rollover_after_h=3 / 3600)) as s:
        for run in range(runs):
            s.on_air(run + 2, 15)
        sessions = s.sink.published()
        for session in sessions[:runs]:
            assert session.end == "unpublish", session.end
        return [gap(a, b) for a, b in itertools.pairwise(sessions)][:runs]


def rollover_at_age(runs: int) -> list[float]:
    """A session offset to just before 480 h rolls over, long before 2^31 ms."""
    figures = []
    for _ in range(runs):
        with stage(loop(), first_timestamp_ms=ROLLOVER_MS - 5000) as s:
            first, second = s.on_air(1), s.on_air(2, 20)
            assert max(m.timestamp for m in first.messages) < ROLLOVER_MS + 10_000
            assert second.messages[-1].timestamp < 10_000
            figures.append(gap(first, second))
    return figures


def past_2_pow_24(runs: int, seconds: float = 45.0) -> list[float]:
    """A session offset to 2^24 ms - 30 s; the largest arrival gap of a picture across the mark."""
    figures = []
    for _ in range(runs):
        with stage(loop(), first_timestamp_ms=TWO_POW_24_MS - 30_000) as s:
            s.on_air(1)
            time.sleep(seconds)
            assert len(s.sink.sessions) == 1
            messages = s.sink.sessions[0].messages
            pictures = [m for m in messages if m.kind == 9 and not m.is_header]
            assert pictures[0].timestamp == TWO_POW_24_MS - 30_000
            assert pictures[-1].timestamp > TWO_POW_24_MS
            figures.append(max(b.arrival - a.arrival for a, b in itertools.pairwise(pictures)))
    return figures


def leaks(restarts: int) -> list[float]:
    """Push restarts; the growth of descriptors + threads + zombie children after them."""
    with stage(loop()) as s:
        s.on_air(1)
        time.sleep(2.2)
        before = None
        done = 0
        while done < restarts:
            time.sleep(0.05)
            session = s.destination._session
            if session is None or not session.age_s() > 0:
                continue
            if done == 5:
                before = footprint(s.sink)
            count = len(s.sink.accepts)
            with contextlib.suppress(ProcessLookupError):
                os.kill(session.pid, signal.SIGKILL)
            done += 1
            s.sink.wait_for(lambda sink, n=count: len(sink.accepts) > n, 3)  # type: ignore[misc]
        s.sink.wait_for(lambda sink: False, 4)  # the last one settles
        assert before is not None
        after = footprint(s.sink)
    print(f"    leaks: before {before}, after {after} (descriptors, threads, zombies)")
    return [float(sum(after) - sum(before))]


def footprint(sink: RtmpSink) -> tuple[int, int, int]:
    """Of this process, the sink's share taken out."""
    live = len([x for x in sink.sessions if x.ended is None])
    zombies = sum(state == "Z" for _, state in push_stage.children())
    descriptors = len(list(Path("/proc/self/fd").iterdir())) - live
    return descriptors, threading.active_count() - live, zombies


def cost(runs: int) -> list[float]:
    """CPU of all of push in Python, idle: milliseconds per second of air (feed and push thread)."""
    figures = []
    with stage(loop(kbps=2000, noise=True)) as s:
        s.on_air(1)
        s.settle()
        clock = time.pthread_getcpuclockid(s.destination._thread.ident or 0)
        for _ in range(runs):
            feed, own, begun = s.feed.cpu_s, time.clock_gettime(clock), time.monotonic()
            time.sleep(4)
            spent = s.feed.cpu_s - feed + time.clock_gettime(clock) - own
            figures.append(1000 * spent / (time.monotonic() - begun))
    return figures


@dataclass(frozen=True)
class Drill:
    """One row of the table."""

    what: str
    goal: float
    run: Callable[[int], list[float]]
    most_runs: int = 20
    unit: str = "s"


DRILLS = {
    "sigkill": Drill("SIGKILL -> IDR at ingest", 1.5, lambda n: kill(n, signal.SIGKILL)),
    "sigstop": Drill("SIGSTOP -> IDR at ingest", 3.0, lambda n: kill(n, signal.SIGSTOP)),
    "closed_1s": Drill("port closed 1 s -> publish", 2.5, lambda n: closed(n, 1)),
    "closed_10s": Drill("port closed 10 s -> publish", 2.5, lambda n: closed(n, 10), 5),
    "closed_60s": Drill("port closed 60 s -> publish", 2.5, lambda n: closed(n, 60), 1),
    "boot": Drill("down at boot -> publish", 2.5, down_at_boot),
    "deaf_fault": Drill("sink deaf -> verdict", 3.0, lambda n: deaf(n, "fault")),
    "deaf_accepted": Drill("last byte -> verdict", 1.5, lambda n: deaf(n, "accepted")),
    "busy": Drill("busy key 15 s: longest pause", 2.0, busy, 3),
    "rollover": Drill("rollover gap", 1.5, rollover),
    "rollover_age": Drill("rollover at 480 h: gap", 1.5, rollover_at_age, 5),
    "pow24": Drill("past 2^24 ms: picture gap", 1.0, past_2_pow_24, 1),
    "leaks": Drill("200 restarts: fds+threads+zombies", 0, lambda n: leaks(10 * n), 20, ""),
    "cost": Drill("push in Python, per s of air", 1.5, cost, 5, "ms"),
}


def row(name: str, drill: Drill, figures: list[float]) -> bool:
    ordered = sorted(figures)
    p50 = statistics.median(ordered)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    good = ordered[-1] <= drill.goal
    print(
        f"{name:14} {drill.what:34} {len(ordered):4} {ordered[0]:7.3f} {p50:7.3f} {p95:7.3f} "
        f"{ordered[-1]:7.3f} <= {drill.goal:g} {drill.unit:2} {'ok' if good else 'MISSED'}",
        flush=True,
    )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--only", choices=sorted(DRILLS), action="append")
    options = parser.parse_args()
    print(f"{'drill':14} {'':34} runs     min     p50     p95     max    goal")
    good = True
    for name in options.only or DRILLS:
        drill = DRILLS[name]
        try:
            good &= row(name, drill, drill.run(min(options.runs, drill.most_runs)))
        except AssertionError as error:
            good = False
            print(f"{name:14} {drill.what:34} FAILED: {error}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
