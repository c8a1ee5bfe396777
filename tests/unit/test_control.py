"""The control socket: requests, events, and clients that misbehave."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broadcaster.playout.control import MAX_UNSENT_BYTES, ControlServer
from broadcaster.wire import LineReader, Message, ask, connect, encode


def answer(request: Message) -> Message:
    if request["op"] == "int":
        return {"ok": True, "value": int(request["value"])}
    if request["op"] == "index":
        return {"ok": True, "value": [][int(request["value"])]}
    return {"ok": True, "op": request["op"]}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ControlServer]:
    made = ControlServer(tmp_path / "playout.sock", answer)
    made.start()
    yield made
    made.stop()
    assert not (tmp_path / "playout.sock").exists()
    assert not any(t.name == "control" for t in threading.enumerate())


@pytest.fixture
def path(server: ControlServer) -> Path:
    return server._path


def events(client: socket.socket, count: int, reader: LineReader | None = None) -> list[Message]:
    reader, got = reader or LineReader(), []
    while len(got) < count:
        data = client.recv(65536)
        assert data, "the server closed"
        got += reader.feed(data)
    return got


def closed(client: socket.socket) -> bool:
    with contextlib.suppress(ConnectionResetError):
        while client.recv(65536):
            pass
    return True


def test_a_request_gets_its_answer(path: Path) -> None:
    assert ask(path, {"op": "x"}) == {"ok": True, "op": "x"}


def test_several_requests_in_one_piece_and_one_in_many_pieces(path: Path) -> None:
    with connect(path, 2.0) as client:
        client.sendall(encode({"op": "a"}) + encode({"op": "b"}))
        assert [m["op"] for m in events(client, 2)] == ["a", "b"]
        for byte in encode({"op": "c"}):
            client.sendall(bytes([byte]))
        assert events(client, 1) == [{"ok": True, "op": "c"}]


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"op": "int"},
        {"op": "int", "value": None},
        {"op": "int", "value": "x"},
        {"op": "int", "value": float("inf")},
        {"op": "index", "value": 3},
    ],
)
def test_a_bad_request_is_answered_and_the_next_one_too(path: Path, request_: Message) -> None:
    with connect(path, 2.0) as client:
        client.sendall(encode(request_) + encode({"op": "x"}))
        bad, good = events(client, 2)
    assert not bad["ok"]
    assert "bad request" in bad["error"]
    assert good["ok"]


@pytest.mark.parametrize(
    "garbage",
    [b"nonsense\n", b"[1]\n", b"\xff\xfe\n", b"x" * (1 << 20) + b"y", b"[" * 200_000 + b"\n"],
)
def test_a_client_that_sends_garbage_is_dropped_and_others_are_served(
    path: Path, garbage: bytes
) -> None:
    with connect(path, 5.0) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(garbage)
        assert closed(client)
    assert ask(path, {"op": "x"})["ok"]


def test_every_subscriber_gets_every_event_in_order(server: ControlServer, path: Path) -> None:
    with connect(path, 2.0) as one, connect(path, 2.0) as two, connect(path, 2.0) as other:
        for client in (one, two):
            client.sendall(encode({"op": "subscribe"}))
            assert events(client, 1) == [{"ok": True}]
        for number in range(500):
            server.publish({"event": number})
        for client in (one, two):
            assert [m["event"] for m in events(client, 500)] == list(range(500))
        other.sendall(encode({"op": "x"}))
        assert events(other, 1) == [{"ok": True, "op": "x"}]


def test_a_subscriber_that_does_not_read_is_dropped_and_publishing_never_blocks(
    server: ControlServer, path: Path
) -> None:
    with connect(path, 5.0) as deaf, connect(path, 5.0) as good:
        for client in (deaf, good):
            client.sendall(encode({"op": "subscribe"}))
            events(client, 1)
        reader, pad, longest = LineReader(), "x" * 50_000, 0.0
        for number in range(2 * MAX_UNSENT_BYTES // len(pad)):
            began = time.monotonic()
            server.publish({"event": number, "pad": pad})
            longest = max(longest, time.monotonic() - began)
            assert events(good, 1, reader)[0]["event"] == number
        assert longest < 1.0
        assert closed(deaf)
    assert ask(path, {"op": "x"})["ok"]


def test_a_client_that_leaves_in_the_middle_is_forgotten(server: ControlServer, path: Path) -> None:
    for _ in range(50):
        with connect(path, 2.0) as client:
            client.sendall(encode({"op": "subscribe"})[:-1])
        assert ask(path, {"op": "x"})["ok"]
    server.publish({"event": 1})
    deadline = time.monotonic() + 5
    while len(server._clients) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_stale_socket_file_is_replaced_and_only_the_owner_may_connect(tmp_path: Path) -> None:
    path = tmp_path / "playout.sock"
    path.write_text("left over")
    server = ControlServer(path, answer)
    server.start()
    assert path.stat().st_mode & 0o777 == 0o600
    assert ask(path, {"op": "x"})["ok"]
    server.stop()


def test_publishing_before_the_start_and_after_the_stop_does_nothing(tmp_path: Path) -> None:
    server = ControlServer(tmp_path / "s", answer)
    for _ in range(3000):
        server.publish({"event": 1})
    server.start()
    assert ask(tmp_path / "s", json.loads('{"op": "x"}'))["ok"]
    server.stop()
    server.publish({"event": 2})
