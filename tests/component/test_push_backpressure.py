"""What a slow push process costs: whole ticks, sound and picture alike, and nothing else."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from broadcaster.formats import AudioPacket
from broadcaster.push.plan import session_plan
from broadcaster.push.session import PushSession
from broadcaster.settings.model import Push
from tests.doubles import fake_ffmpeg
from tests.doubles.air import Loop, loop
from tests.doubles.push_stage import wait_until
from tests.oracles.flv_check import VIDEO, Packet, Rules, faults, from_flv

LOOSE = Rules(exact=False, gop_ticks=None)


class Rig:
    """A session whose process reads only while the hold file is absent, and keeps a copy."""

    def __init__(self, folder: Path) -> None:
        self.source: Loop = loop(kbps=2000, noise=True)
        self.hold, self._copy = folder / "hold", folder / "copy.flv"
        program = fake_ffmpeg.executable(folder, f"hold={self.hold} tee={self._copy}")
        url, fmt, headers = "rtmp://127.0.0.1/a/k", self.source.fmt, self.source.headers
        plan = session_plan(url, fmt, headers, Push(ffmpeg=program), True, str)
        self.session = PushSession(plan, 0)
        self._recent: deque[AudioPacket] = deque(maxlen=32)
        self.most_waiting = 0
        self.sizes: list[int] = []

    def offer(self, numbers: range) -> None:
        for number in numbers:
            tick = self.source.tick(number)
            self._recent.extend(tick.audio)
            self.sizes.append(len(tick.video.payload) + sum(len(p.payload) for p in tick.audio))
            self.session.offer(tick, self._recent, 0.0)
            self.most_waiting = max(self.most_waiting, self.session.waiting_bytes)
            if not self.hold.exists():
                self.drain()

    def drain(self) -> None:
        def empty() -> bool:
            self.session._flush()
            return self.session.waiting_bytes == 0

        wait_until(empty, 10, "the backlog to drain")

    def finish(self) -> list[Packet]:
        """Everything the process was given, once it has read it all."""
        self.drain()
        self.session.close_pipe()
        wait_until(lambda: self.session.reap() or self.session.exited, 10, "the process to end")
        return from_flv(self._copy)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    with contextlib.closing(made.session):
        yield made


def pictures(packets: list[Packet]) -> list[Packet]:
    return [p for p in packets if p.kind == VIDEO and not p.is_header]


def test_a_slow_reader_costs_whole_ticks_and_what_it_gets_is_still_sound(rig: Rig) -> None:
    rig.offer(range(50))
    rig.hold.touch()
    rig.offer(range(50, 230))
    rig.hold.unlink()
    rig.drain()
    rig.offer(range(230, 400))
    got = rig.finish()
    assert rig.session.dropped_ticks > 25
    assert len(pictures(got)) == 400 - rig.session.dropped_ticks
    assert faults(got, LOOSE) == []


def test_no_more_than_two_seconds_of_media_wait(rig: Rig) -> None:
    rig.offer(range(25))
    rig.hold.touch()
    rig.offer(range(25, 400))
    # Two seconds and the tick that is partly written, with FLV's own bytes, wherever they began.
    two_seconds = max(sum(rig.sizes[n : n + 51]) for n in range(len(rig.sizes)))
    assert rig.most_waiting < two_seconds * 1.02
    rig.hold.unlink()
    assert faults(rig.finish(), LOOSE) == []


def test_a_jump_in_tick_numbers_is_closed_up_at_the_next_idr(rig: Rig) -> None:
    rig.offer(range(30))
    rig.offer(range(90, 140))
    got = pictures(rig.finish())
    assert [p.timestamp for p in got] == [n * 40 for n in range(30 + 40)]
    assert got[30].is_idr


def test_a_session_begins_with_the_first_idr_it_is_offered(rig: Rig) -> None:
    rig.offer(range(7, 60))
    got = rig.finish()
    assert len(pictures(got)) == 60 - 25
    assert faults(got, Rules()) == []
