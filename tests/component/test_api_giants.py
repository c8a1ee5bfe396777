"""Uploads beyond the limits as they are shipped: three hours of sound, a gigabyte."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.api_server import ApiServer

MIB = 1 << 20
LIMIT_MB = 200
HEAD = (
    b"POST /generate_video HTTP/1.1\r\nHost: station\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n"
)
PART = b'--x\r\nContent-Disposition: form-data; name="audio_file"; filename="a.wav"\r\n\r\n'
LIVENESS_S = 60.0


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path_factory.mktemp("giants") / "var")
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def line(api: ApiServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", api.port), timeout=LIVENESS_S) as made:
        yield made


def left_behind(api: ApiServer) -> list[Path]:
    return [each for each in api.paths.spool.rglob("*") if each.is_file()]


def error_of(line: socket.socket) -> tuple[int, str]:
    """Status and sentence of the answer."""
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.endswith(b"}\n"):
        data = line.recv(65536)
        if not data:
            break
        answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


def test_three_hours_of_sound_are_refused_with_the_limit_and_leave_nothing(
    api: ApiServer, tmp_path: Path
) -> None:
    file = tmp_path / "three_hours.flac"
    make = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "sine=300:r=8000:d=10800"]
    subprocess.run([*make, "-c:a", "flac", str(file)], check=True, timeout=LIVENESS_S)
    assert 10 * MIB < file.stat().st_size < LIMIT_MB * MIB, "not too large, only too long"
    status, headers, body = api.post_file(file.read_bytes(), "three_hours.flac")
    assert status == 413
    assert headers["Content-Type"].startswith("application/problem+json")
    assert body["error"] == "The sound is longer than 1800 s."
    assert left_behind(api) == []
    assert api.get("/tasks")[2]["tasks"] == []


def test_a_gigabyte_that_is_announced_is_refused_before_any_of_it_is_read(
    api: ApiServer, line: socket.socket
) -> None:
    line.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (1 << 30))
    assert error_of(line) == (413, f"The file is larger than {LIMIT_MB} MB.")
    assert left_behind(api) == []


def test_a_gigabyte_that_is_not_announced_is_refused_at_the_limit(
    api: ApiServer, line: socket.socket
) -> None:
    line.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(PART))
    block, sent, deadline = chunk(bytes(MIB)), 0, time.monotonic() + LIVENESS_S
    while sent < 1024 and not select.select([line], [], [], 0)[0]:
        assert time.monotonic() < deadline
        try:
            line.sendall(block)
        except (BrokenPipeError, ConnectionResetError):
            break
        sent += 1
    assert LIMIT_MB <= sent < 1.3 * LIMIT_MB
    assert left_behind(api) == []
    assert api.get("/tasks")[2]["tasks"] == []


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
