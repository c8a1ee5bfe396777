"""Proof of life over HTTP and by heartbeat, against real sockets and files."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broadcaster.heartbeat import HeartbeatWriter
from broadcaster.supervisor.watch import HeartbeatWatch, HttpWatch


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that answers only what a test makes it answer."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(5)
        yield server


def watch_of(port: int) -> HttpWatch:
    """Asked every second, answered within one."""
    return HttpWatch("127.0.0.1", port, "/stat", 1.0, 1.0, limit_s=3.0, first_limit_s=5.0)


def answer(server: socket.socket, text: bytes) -> bytes:
    """Serve one request; returns it."""
    client, _ = server.accept()
    with client:
        request = client.recv(4096)
        client.sendall(text)
    return request


def collect(watch: HttpWatch, now: float) -> float | None:
    """The proof, which the kernel may deliver a moment later."""
    until = time.monotonic() + 2
    while time.monotonic() < until:
        proof = watch.newest_proof(now)
        question = watch._question
        if proof is not None or question is None or question.asked_at == now:
            return proof
    raise AssertionError("neither proof nor failure")


def test_an_answer_is_proof_dated_to_its_question(listener: socket.socket) -> None:
    watch = watch_of(listener.getsockname()[1])
    assert watch.newest_proof(100.0) is None
    assert answer(listener, b"HTTP/1.1 200 OK\r\n\r\nfine").startswith(b"GET /stat HTTP/1.0\r\n")
    assert collect(watch, 100.5) == 100.0
    watch.close()


@pytest.mark.parametrize("text", [b"HTTP/1.1 500 Oops\r\n\r\n", b"220 mail.example\r\n", b""])
def test_another_answer_is_no_proof(listener: socket.socket, text: bytes) -> None:
    watch = watch_of(listener.getsockname()[1])
    watch.newest_proof(100.0)
    answer(listener, text)
    assert collect(watch, 100.5) is None
    watch.close()


def test_silence_ends_the_question_and_a_new_one_is_asked(listener: socket.socket) -> None:
    watch = watch_of(listener.getsockname()[1])
    watch.newest_proof(100.0)
    silent, _ = listener.accept()
    with silent:
        assert watch.newest_proof(100.5) is None
        assert watch.newest_proof(101.0) is None
        assert silent.recv(4096)
        silent.settimeout(5)
        assert silent.recv(4096) == b""
    answer(listener, b"HTTP/1.1 200 OK\r\n\r\n")
    assert collect(watch, 101.5) == 101.0
    watch.close()


def test_a_closed_port_is_no_proof_and_no_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        watch = watch_of(taken.getsockname()[1])
        watch.newest_proof(100.0)
        assert collect(watch, 100.5) is None
        watch.close()


def test_only_a_count_that_moves_is_a_pulse(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    watch = HeartbeatWatch(file, 8.0, 30.0)
    assert watch.newest_proof(1.0) is None
    writer = HeartbeatWriter(file)
    assert watch.newest_proof(2.0) is None
    writer.beat(7, 2.5)
    assert watch.newest_proof(3.0) == 3.0
    assert watch.newest_proof(4.0) is None
    writer.beat(8, 4.5)
    assert watch.newest_proof(5.0) == 5.0
    writer.close()


def test_the_pulse_of_the_old_process_does_not_vouch_for_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    writer = HeartbeatWriter(file)
    writer.beat(7, 1.0)
    writer.close()
    watch = HeartbeatWatch(file, 8.0, 30.0)
    watch.begin()
    assert watch.newest_proof(2.0) is None
