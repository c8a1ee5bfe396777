from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broadcaster.push.backlog import Backlog, Entry


class Pipe:
    """Takes as much as it has room for."""

    def __init__(self) -> None:
        self.room = 0
        self.taken = b""

    def write(self, data: bytes | memoryview) -> int:
        part = bytes(data[: self.room])
        self.room -= len(part)
        self.taken += part
        return len(part)


def entry(tick: int, size: int = 10) -> Entry:
    return Entry(tick, tick % 25 == 0, (0, 0), bytes([tick % 256]) * size)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_what_the_pipe_takes_is_whole_ticks_in_order_whatever_its_room(rooms: list[int]) -> None:
    pipe, started = Pipe(), []
    backlog = Backlog(1000, lambda e: started.append(e.tick))
    for tick, room in enumerate(rooms):
        backlog.add(entry(tick))
        pipe.room = room
        backlog.flush(pipe.write)
    pipe.room = 10**6
    backlog.flush(pipe.write)
    assert pipe.taken == b"".join(entry(t).data for t in range(len(rooms)))
    assert started == list(range(len(rooms)))
    assert backlog.waiting_bytes == 0


def test_dropping_spares_the_tick_that_is_half_written() -> None:
    pipe = Pipe()
    backlog = Backlog(3, lambda e: None)
    for tick in range(5):
        backlog.add(entry(tick))
    assert backlog.is_full()
    pipe.room = 14
    backlog.flush(pipe.write)
    assert backlog.drop_waiting() == 3
    pipe.room = 100
    backlog.flush(pipe.write)
    assert pipe.taken == entry(0).data + entry(1).data
    assert backlog.last_kept is not None
    assert backlog.last_kept.tick == 1


def test_dropping_forgets_a_tick_of_which_nothing_was_written() -> None:
    pipe = Pipe()
    backlog = Backlog(3, lambda e: None)
    backlog.add(entry(0))
    pipe.room = 10
    backlog.flush(pipe.write)
    backlog.add(entry(1))
    assert backlog.drop_waiting() == 1
    assert backlog.waiting_bytes == 0
    assert backlog.last_kept is not None
    assert backlog.last_kept.tick == 0
