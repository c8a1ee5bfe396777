"""JSON lines, the pulse file, and the one shape of a report."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.condition import Condition
from broadcaster.heartbeat import HeartbeatWriter, read_heartbeat
from broadcaster.wire import MAX_LINE_BYTES, LineReader, ask, connect, encode, listen

messages = st.lists(
    st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=9)), max_size=3),
    max_size=6,
)


@given(messages, st.integers(1, 30))
def test_messages_survive_any_cutting_of_the_stream(
    sent: list[dict[str, object]], piece: int
) -> None:
    stream, reader = b"".join(map(encode, sent)), LineReader()
    got = [m for at in range(0, len(stream), piece) for m in reader.feed(stream[at : at + piece])]
    assert got == sent


def test_empty_lines_are_nothing_and_anything_but_an_object_is_an_error() -> None:
    assert LineReader().feed(b"\n \n{}\n") == [{}]
    for line in (b"1\n", b"{\n", b"\xff\n"):
        with pytest.raises(ValueError, match=r".*"):
            LineReader().feed(line)


def test_a_line_without_end_is_an_error() -> None:
    reader = LineReader()
    reader.feed(b"x" * MAX_LINE_BYTES)
    with pytest.raises(ValueError, match="too long"):
        reader.feed(b"x")


def test_a_deep_folder_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with listen(deep / "s") as server, connect(deep / "s", 1.0) as client:
        peer, _ = server.accept()
        with peer:
            client.sendall(b"hello")
            assert peer.recv(5) == b"hello"


def test_nobody_there_silence_and_a_hang_up_are_os_errors(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r".*"):
        ask(tmp_path / "none", {})
    with listen(tmp_path / "s") as server:
        with pytest.raises(TimeoutError):
            ask(tmp_path / "s", {}, timeout_s=0.05)
        server.accept()[0].close()

        def hang_up(sock: socket.socket) -> None:
            peer, _ = sock.accept()
            peer.recv(100)
            peer.close()

        thread = threading.Thread(target=hang_up, args=(server,))
        thread.start()
        with pytest.raises(ConnectionResetError):
            ask(tmp_path / "s", {}, timeout_s=2.0)
        thread.join()


def test_the_pulse_of_a_loop_that_has_not_begun_is_none(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    assert read_heartbeat(file) is None
    writer = HeartbeatWriter(file)
    assert read_heartbeat(file) is None
    writer.beat(3, 12.5)
    beat = read_heartbeat(file)
    assert beat is not None
    assert (beat.ticks, beat.at) == (3, 12.5)
    writer.close()
    file.write_bytes(b"short")
    assert read_heartbeat(file) is None


def test_a_new_writer_starts_a_new_pulse(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    old = HeartbeatWriter(file)
    old.beat(900, 1.0)
    new = HeartbeatWriter(file)
    old.beat(901, 2.0)
    assert read_heartbeat(file) is None, "the pulse of a dead process was taken for the new one's"
    old.close()
    new.close()


def test_since_moves_only_when_the_state_does() -> None:
    first = Condition("x", "up", "", 10.0)
    same = first.entered("up", 20.0, "a fault")
    assert (same.since, same.last_error) == (10.0, "a fault")
    other = same.entered("down", 30.0)
    assert (other.since, other.last_error) == (30.0, "a fault")
    assert other.entered("up", 31.0, "").report(33.5) == {
        "name": "x",
        "state": "up",
        "last_error": "",
        "since_s": 2.5,
    }
