"""Who may do what, under the real gunicorn: tokens, roles, rates, pages from elsewhere."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broadcaster.access.role import Role
from broadcaster.access.tokens import TokenFile
from broadcaster.clock import wall_time_s
from tests.doubles.api_server import Answer, ApiServer
from tests.doubles.fake_playout import FakePlayout

REPO = Path(__file__).parents[2]
SAY = json.dumps({"text": "Hello."}).encode()
JSON = {"Content-Type": "application/json"}


class Locked:
    """An API that wants tokens, with one of each role."""

    def __init__(self, api: ApiServer) -> None:
        self.api, self.file = api, TokenFile(api.paths.tokens)
        self.tokens = {role.value: self.create(role, role.value) for role in Role}

    def create(self, role: Role, name: str, lasts_s: float | None = None) -> str:
        return self.file.create(role, name, wall_time_s(), lasts_s)

    def ask(
        self, method: str, path: str, token: str | None = None, body: bytes = b"", **headers: str
    ) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            named["Authorization"] = f"Bearer {token}"
        return self.api.request(method, path, body or None, {**(JSON if body else {}), **named})

    def until(self, done: Callable[[], Any], deadline_s: float = 5.0) -> None:
        deadline = time.monotonic() + deadline_s
        while not done():
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "api.log"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, log: Path) -> Iterator[Locked]:
    limits = {
        "access": "tokens",
        "cors_origins": ["https://desk.example.com"],
        "rate_per_minute": 0,
        "body_timeout_s": 1.0,
        "event_clients": 3,
    }
    api = ApiServer(tmp_path_factory.mktemp("locked") / "var", api=limits)
    with log.open("wb") as file, FakePlayout(api.paths.playout_socket):
        api.start(("bash", "-c", f'exec "$@" 2>>{log}', "bash"))
        yield Locked(api)
        api.close()
        file.flush()


def refused(answer: Answer, status: int) -> str:
    assert answer[0] == status, answer[2]
    assert answer[1]["Content-Type"].startswith("application/problem+json")
    return str(answer[2]["error"])


# --- who ----------------------------------------------------------------------------------------

LOOKING = ["/status", "/tasks", "/tasks/none", "/metrics", "/readyz", "/openapi.json", "/events",
           "/tasks/none/callbacks", "/nowhere"]  # fmt: skip


@pytest.mark.parametrize("path", LOOKING)
def test_without_a_token_everything_but_health_and_the_page_is_refused(
    locked: Locked, path: str
) -> None:
    answer = locked.ask("GET", path)
    assert refused(answer, 401) == "A token is needed."
    assert answer[1]["WWW-Authenticate"] == 'Bearer realm="broadcaster"'


@pytest.mark.parametrize("path", ["/healthz", "/", "/page.js", "/page.css", "/favicon.svg"])
def test_health_and_the_page_need_none(locked: Locked, path: str) -> None:
    assert locked.ask("GET", path)[0] == 200
    assert locked.ask("GET", path, locked.tokens["viewer"])[0] == 200


def test_what_looks_like_a_token_is_not_one(locked: Locked) -> None:
    good = locked.tokens["operator"]
    for header in (f"Basic {good}", "Bearer", "Bearer ", good, "Bearer x", f"Bearer {good}x",
                   f"Bearer x {good}", f"Digest {good}"):  # fmt: skip
        answer = locked.api.request("GET", "/status", None, {"Authorization": header})
        assert answer[0] == 401, header
    unknown = locked.ask("GET", "/status", "bct_unknown")
    assert refused(unknown, 401) == "The token is not known."
    assert 'error="invalid_token"' in unknown[1]["WWW-Authenticate"]
    assert locked.ask("GET", "/status?token=" + good)[0] == 401, "never in an address"


CHANGING = [
    ("POST", "/generate_video", SAY, "speaker", 202),
    ("DELETE", "/tasks/none", b"", "speaker", 404),
    ("POST", "/interrupt", b"{}", "operator", 200),
    ("POST", "/whep/none", b"v=0", "viewer", 404),
    ("DELETE", "/whep/none/x", b"", "viewer", 404),
    ("GET", "/tasks", b"", "viewer", 200),
    ("PUT", "/nowhere", b"{}", "viewer", 404),
]


@pytest.mark.parametrize(("method", "path", "body", "least", "status"), CHANGING)
def test_each_request_has_its_least_role(
    locked: Locked, method: str, path: str, body: bytes, least: str, status: int
) -> None:
    for role in Role:
        answer = locked.ask(method, path, locked.tokens[role], body)
        if role.may_act_as(Role(least)):
            assert answer[0] == status, (role, answer[2])
        else:
            assert f"the role {least}; yours is of the role {role}" in refused(answer, 403)


def test_only_an_operator_may_interrupt_others_with_a_task(locked: Locked) -> None:
    body = json.dumps({"text": "Now!", "interrupt": True}).encode()
    before = len(locked.ask("GET", "/tasks", locked.tokens["viewer"])[2]["tasks"])
    assert "operator" in refused(
        locked.ask("POST", "/generate_video", locked.tokens["speaker"], body), 403
    )
    assert len(locked.ask("GET", "/tasks", locked.tokens["viewer"])[2]["tasks"]) == before
    assert locked.ask("POST", "/generate_video", locked.tokens["operator"], body)[0] == 202


def test_an_expired_token_is_refused_and_says_so(locked: Locked) -> None:
    token = locked.create(Role.OPERATOR, "short", lasts_s=0.0)
    answer = locked.ask("GET", "/status", token)
    assert refused(answer, 401) == "The token has expired."
    assert 'error_description="has expired"' in answer[1]["WWW-Authenticate"]


def test_making_and_revoking_count_at_once_without_a_restart(locked: Locked) -> None:
    token = locked.create(Role.VIEWER, "guest")
    assert locked.ask("GET", "/status", token)[0] == 200
    locked.file.revoke("guest")
    assert refused(locked.ask("GET", "/status", token), 401)


def test_a_stream_of_events_ends_when_its_token_is_revoked(locked: Locked) -> None:
    token = locked.create(Role.VIEWER, "listener")
    connection = http.client.HTTPConnection("127.0.0.1", locked.api.port, timeout=5)
    connection.request("GET", "/events", headers={"Authorization": f"Bearer {token}"})
    stream = connection.getresponse()
    assert stream.status == 200
    assert stream.readline() == b"retry: 2000\n"
    locked.file.revoke("listener")
    begun = time.monotonic()
    stream.read()  # to its end
    assert time.monotonic() - begun < 4
    connection.close()


def test_what_a_proxy_may_have_written_is_not_believed(locked: Locked) -> None:
    headers = {"X_Forwarded_For": "127.0.0.1", "X_Forwarded_User": "operator",
               "Forwarded": "for=127.0.0.1", "X_Real_IP": "127.0.0.1"}  # fmt: skip
    assert locked.ask("GET", "/status", **headers)[0] == 401


# --- pages from elsewhere -----------------------------------------------------------------------


def test_a_named_origin_may_call_with_a_token_and_read_the_answer(locked: Locked) -> None:
    page = {"Origin": "https://desk.example.com"}
    asked = {"Access_Control_Request_Method": "POST",
             "Access_Control_Request_Headers": "authorization"}  # fmt: skip
    preflight = locked.ask("OPTIONS", "/generate_video", **page, **asked)
    assert preflight[0] == 204
    assert "Authorization" in preflight[1]["Access-Control-Allow-Headers"]
    assert "POST" in preflight[1]["Access-Control-Allow-Methods"]
    answer = locked.ask("GET", "/status", locked.tokens["viewer"], **page)
    assert answer[0] == 200
    for each in (preflight, answer, locked.ask("GET", "/status", **page)):
        assert each[1]["Access-Control-Allow-Origin"] == "https://desk.example.com"
        assert each[1]["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in each[1]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://desk.example.com", "https://desk.example.com.evil",
               "null", "*"],
)  # fmt: skip
def test_no_other_origin_is_told_anything(locked: Locked, origin: str) -> None:
    asked = {"Origin": origin, "Access_Control_Request_Method": "POST"}
    answers = [locked.ask("OPTIONS", "/generate_video", **asked),
               locked.ask("GET", "/status", locked.tokens["viewer"], Origin=origin)]  # fmt: skip
    for answer in answers:
        assert not [name for name in answer[1] if name.startswith("Access-Control")]


# --- slow and silent ----------------------------------------------------------------------------


def dripping(port: int, head: bytes, for_s: float) -> bytes:
    """Send a head and then a byte every 50 ms; returns what is answered."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(head)
        client.settimeout(0.05)
        end = time.monotonic() + for_s
        with contextlib.suppress(OSError):
            while time.monotonic() < end and b"\r\n\r\n" not in answer:
                client.sendall(b"x")
                with contextlib.suppress(TimeoutError):
                    answer += client.recv(65536)
    return answer


@pytest.mark.parametrize(
    ("path", "kind", "start"),
    [
        ("/generate_video", b"application/json", b"{"),
        ("/generate_video", b"multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: "
         b'form-data; name="audio_file"; filename="a"\r\n\r\n'),
        ("/interrupt", b"application/json", b"{"),
    ],
)  # fmt: skip
def test_a_body_that_drips_is_given_up_after_its_time(
    locked: Locked, path: str, kind: bytes, start: bytes
) -> None:
    """Each byte comes in time; only the whole takes too long."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {locked.tokens['operator']}\r\n"
        "Content-Length: 60000\r\nContent-Type: "
    ).encode() + kind
    answer = dripping(locked.api.port, head + b"\r\n\r\n" + start, 10)
    assert answer.startswith(b"HTTP/1.1 408"), answer[:100]
    incoming = locked.api.paths.spool / "incoming"
    assert not incoming.is_dir() or not list(incoming.iterdir())


def test_strangers_with_slow_uploads_keep_nobody_out(locked: Locked) -> None:
    head = (
        b"POST /generate_video HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    )
    with contextlib.ExitStack() as open_sockets:
        for _ in range(100):
            client = socket.create_connection(("127.0.0.1", locked.api.port), timeout=5)
            open_sockets.enter_context(client).sendall(head)
        begun = time.monotonic()
        assert locked.ask("POST", "/generate_video", locked.tokens["speaker"], SAY)[0] == 202
        assert time.monotonic() - begun < 3


# --- the command --------------------------------------------------------------------------------


def broadcaster(*arguments: str, state: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(REPO), "STATE_DIRECTORY": str(state), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-m", "broadcaster", *arguments],
        cwd=state.parent, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_command_makes_lists_and_revokes_for_a_running_station(locked: Locked) -> None:
    state = locked.api.paths.root
    made = broadcaster("token", "create", "--role", "viewer", "--expires", "30d", state=state)
    token = made.stdout.strip()
    assert made.stdout == f"{token}\n"
    assert "viewer-1" in made.stderr
    assert token not in made.stderr
    assert locked.ask("GET", "/status", token)[0] == 200
    listed = broadcaster("token", "list", state=state).stdout
    assert "viewer-1" in listed
    assert "until" in listed
    assert token not in listed
    again = broadcaster("token", "create", "--role", "viewer", "--name", "viewer-1", state=state)
    assert (again.returncode, again.stdout) == (2, "")
    assert broadcaster("token", "revoke", "viewer-1", state=state).returncode == 0
    assert locked.ask("GET", "/status", token)[0] == 401


def test_the_secret_of_callbacks_is_made_once_and_private(tmp_path: Path) -> None:
    state = tmp_path / "var"
    first = broadcaster("callbacks", "secret", state=state).stdout.strip()
    assert len(first) == 64
    assert broadcaster("callbacks", "secret", state=state).stdout.strip() == first
    assert (state / "callback_secret").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in state.iterdir()] == ["callback_secret"]


# --- what is written down -----------------------------------------------------------------------


@pytest.mark.parametrize("line", ["Bearer {}", "Authorization : Bearer {}", "{}: x", "{}\x00: x"])
def test_a_head_that_cannot_be_read_is_not_quoted_with_its_token(
    locked: Locked, log: Path, line: str
) -> None:
    """Gunicorn's own complaints go to the same log."""
    before = log.read_text().count("Invalid request")
    with socket.create_connection(("127.0.0.1", locked.api.port), timeout=5) as client:
        bad = line.format(locked.tokens["operator"])
        client.sendall(f"GET /status HTTP/1.1\r\nHost: x\r\n{bad}\r\n\r\n".encode())
        assert b" 40" in client.recv(1000)[:20]
    locked.until(lambda: "{}:" in line or log.read_text().count("Invalid request") > before)
    assert "bct_" not in log.read_text()


def test_refusals_are_counted_and_logged_without_a_token(locked: Locked, log: Path) -> None:
    """The last test: the log and the metrics have seen all the others."""
    locked.until(lambda: locked.ask("GET", "/status", "bct_guessed")[0] == 401 and log.read_text())
    text = locked.ask("GET", "/metrics", locked.tokens["viewer"])[2]
    for reason in ("missing", "unknown", "expired", "role"):
        assert f'broadcaster_access_refused_total{{reason="{reason}"}}' in text
    written = log.read_text()
    assert "refused GET" in written
    for secret in (*locked.tokens.values(), "bct_"):
        assert secret not in written
        assert secret not in text
