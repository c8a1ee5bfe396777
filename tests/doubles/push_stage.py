"""A sink, one destination and a feed at real time: the stage of push tests and drills."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broadcaster.clock import MonotonicClock
from broadcaster.push.destination import Destination
from broadcaster.settings.model import Push
from tests.doubles.air import AirFeed, Loop
from tests.doubles.rtmp_sink import RtmpSink, SinkSession

_DEFAULTS = Push()


def wait_until(what: Callable[[], bool], timeout_s: float, message: str = "condition") -> float:
    """Wait on a condition of something that cannot notify; returns when it came true."""
    deadline = time.monotonic() + timeout_s
    while not what():
        if time.monotonic() > deadline:
            raise AssertionError(f"{message}: not within {timeout_s} s")
        time.sleep(0.005)
    return time.monotonic()


def make_destination(
    url: str, source: Loop, push: Push = _DEFAULTS, *, name: str = "drill", **more: Any
) -> Destination:
    return Destination(
        name, "main", url, source.fmt, source.headers, push,
        more.pop("session_cap_s", None), MonotonicClock(), **more,
    )  # fmt: skip


def state_of(destination: Destination) -> str:
    return str(destination.report(time.monotonic())["state"])


def pid_of(destination: Destination) -> int:
    """Process id of the present push process."""
    session = destination._session
    assert session is not None
    return session.pid


@dataclass
class Stage:
    sink: RtmpSink
    destination: Destination
    feed: AirFeed

    def on_air(self, sessions: int, timeout_s: float = 10.0) -> SinkSession:
        """The n-th accepted publish, once its first IDR is at the ingest."""
        return self.sink.wait_for_idr(sessions, timeout_s)

    def settle(self, spread_s: float = 1.0) -> None:
        """Wait until the present session is healthy, plus a random part of a GOP."""
        held = time.monotonic() + 2.2 + random.random() * spread_s
        wait_until(
            lambda: time.monotonic() >= held and state_of(self.destination) == "on_air",
            20,
            f"healthy ({self.destination.report(time.monotonic())})",
        )


@contextlib.contextmanager
def stage(
    source: Loop,
    push: Push = _DEFAULTS,
    *,
    receive_buffer: int | None = None,
    listening: bool = True,
    idle: Callable[[int], bool] = lambda tick: True,
    **more: Any,
) -> Iterator[Stage]:
    """Everything running, and everything stopped afterwards."""
    with RtmpSink(receive_buffer=receive_buffer) as sink:
        if not listening:
            sink.stop_listening()
        url = sink.url(f"k{random.getrandbits(40):x}")
        destination = make_destination(url, source, push, **more)
        destination.start()
        first = random.randrange(25)
        with AirFeed(source, [destination], first_tick=first, idle=idle) as feed:
            try:
                yield Stage(sink, destination, feed)
            finally:
                destination.stop(3.0)


def children() -> list[tuple[int, str]]:
    """(pid, state) of this process's children; state Z is one that nobody has reaped."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                found.append((int(stat.parent.name), fields[0]))
    return found
