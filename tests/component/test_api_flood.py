"""The API under clients that mean harm: what it must survive, and what it must still answer."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.api_server import ApiServer
from tests.doubles.sound import wav


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiServer]:
    made = ApiServer(tmp_path / "var")
    made.start()
    yield made
    made.close()


def connect(api: ApiServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", api.port), timeout=5)


def healthz_times(api: ApiServer, number: int = 10) -> list[float]:
    times = []
    for _ in range(number):
        begun = time.monotonic()
        assert api.get("/healthz", timeout_s=3)[0] == 200
        times.append(time.monotonic() - begun)
    return times


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"G",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHos",
        b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx",
        b"POST /generate_video HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n",
        b"GET /healthz HTTP/1.0\r\n\r\n",
    ],
    ids=["silent", "one_byte", "half_a_head", "pipelined", "no_body", "slow_upload", "not_closing"],
)
def test_two_hundred_slow_clients_hold_no_thread(api: ApiServer, said: bytes) -> None:
    with contextlib.ExitStack() as open_sockets:
        slow = [open_sockets.enter_context(connect(api)) for _ in range(200)]
        for client in slow:
            client.sendall(said)
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.5):
                for client in slow:
                    with contextlib.suppress(OSError):
                        client.send(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            slowest = max(healthz_times(api))
        finally:
            stop.set()
            dripping.join()
    assert slowest < 2, f"/healthz took {slowest:.2f} s"


def test_a_head_in_small_pieces_is_answered(api: ApiServer) -> None:
    with connect(api) as client:
        for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":
            client.sendall(bytes([byte]))
            time.sleep(0.002)
        answer = b""
        while data := client.recv(4096):
            answer += data
    assert b"200 OK" in answer


def test_a_kept_connection_serves_many_requests(api: ApiServer) -> None:
    with connect(api) as client:
        for _ in range(5):
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while b"ok" not in answer.partition(b"\r\n\r\n")[2]:
                data = client.recv(4096)
                assert data
                answer += data


def test_a_flood_of_junk_kills_nothing_and_an_upload_gets_through(api: ApiServer) -> None:
    worker = api.worker_pid()
    draw = random.Random(7)
    sent, stop = [0], threading.Event()

    def junk() -> bytes:
        lines = [
            b"GET /" + draw.randbytes(30).hex().encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST /generate_video HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
            b"DELETE /tasks/%ff%00 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
            draw.randbytes(200) + b"\r\n\r\n",
        ]
        return draw.choice(lines)

    def flood() -> None:
        end = time.monotonic() + 3
        due = time.monotonic()
        while time.monotonic() < end and not stop.is_set():
            due += 4 / 500  # four threads, 500 requests a second together
            time.sleep(max(0, due - time.monotonic()))
            with contextlib.suppress(OSError), connect(api) as client:
                client.sendall(junk())
                sent[0] += 1

    floods = [threading.Thread(target=flood) for _ in range(4)]
    for each in floods:
        each.start()
    time.sleep(0.5)  # in the middle of it
    slowest = max(healthz_times(api, 5))
    accepted = api.post_file(wav(0.2))
    for each in floods:
        each.join()
    assert sent[0] > 500, f"only {sent[0]} junk requests were sent"
    assert api.worker_pid() == worker, "the worker was replaced"
    assert accepted[0] == 202
    assert slowest < 3, f"/healthz took {slowest:.2f} s in the flood of {sent[0]}"
    assert max(healthz_times(api, 5)) < 1


def test_no_descriptor_is_left_open_after_many_clients(api: ApiServer) -> None:
    folder = Path(f"/proc/{api.worker_pid()}/fd")

    def rude_clients() -> None:
        for said in (b"", b"GET / HT", b"GET /healthz HTTP/1.0\r\n\r\n", b"\x00\xff\r\n\r\n"):
            for _ in range(25):
                with connect(api) as client:
                    client.sendall(said)
        api.post_file(wav(0.1))

    rude_clients()
    deadline = time.monotonic() + 12
    before = len(list(folder.iterdir()))
    rude_clients()
    # Each of the 16 threads opens its own store connection once: 3 descriptors.
    while len(list(folder.iterdir())) > before + 48:
        assert time.monotonic() < deadline, "descriptors stay open"
        time.sleep(0.1)


def test_descriptors_stop_growing_once_every_thread_has_asked_the_store(api: ApiServer) -> None:
    """A thread opens its own connection when it first needs one: in calm hours that takes days."""
    folder = Path(f"/proc/{api.worker_pid()}/fd")
    in_touch_by(api, folder, THREADS)
    settled = len(open_files(folder))
    for _ in range(5):
        ask_at_once(api, 64)
    deadline = time.monotonic() + 12
    while len(open_files(folder)) > settled:
        assert time.monotonic() < deadline, "descriptors stay open"
        time.sleep(0.1)
    assert connections(folder) == THREADS


THREADS, LISTENERS = 16, 1
"""As ``ApiServer`` starts gunicorn."""


def in_touch_by(api: ApiServer, folder: Path, threads: int) -> None:
    """Until so many threads have a connection to the store, and no client's socket is left."""
    deadline = time.monotonic() + 60
    while connections(folder) < threads:
        assert time.monotonic() < deadline, f"{connections(folder)} connections"
        ask_at_once(api, 64)
    while sum(name.startswith("socket:") for name in open_files(folder)) > LISTENERS:
        assert time.monotonic() < deadline, "sockets stay open"
        time.sleep(0.05)


def ask_at_once(api: ApiServer, clients: int) -> None:
    asking = [threading.Thread(target=api.get, args=("/tasks",)) for _ in range(clients)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()


def open_files(folder: Path) -> list[str]:
    found = []
    for each in folder.iterdir():
        with contextlib.suppress(OSError):
            found.append(str(each.readlink()))
    return found


def connections(folder: Path) -> int:
    return sum(name.endswith(".sqlite3") for name in open_files(folder))
