"""What an API in this process makes of its peers: rates, pages from elsewhere, callbacks.

No server: the test client can come from any address, and sets any header.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from broadcaster.access.role import Role
from broadcaster.access.tokens import TokenFile
from broadcaster.api.app import create_app
from broadcaster.clock import wall_time_s
from broadcaster.paths import StatePaths
from broadcaster.settings.model import SettingsModel

# --- how often ----------------------------------------------------------------------------------


@pytest.fixture
def client_of(tmp_path: Path) -> Callable[..., FlaskClient]:
    """Makes an application in this process, whose peers can be anywhere."""

    def make(**api: Any) -> FlaskClient:
        document = {"station": {"state_dir": str(tmp_path)}, "relay": {"mode": "none"}, "api": api}
        return create_app(SettingsModel.model_validate(document)).test_client()

    return make


def statuses(client: FlaskClient, number: int, path: str = "/tasks", **sent: Any) -> list[int]:
    return [client.open(path, **sent).status_code for _ in range(number)]


FAR = {"REMOTE_ADDR": "192.0.2.7"}


def test_a_token_that_asks_too_often_is_told_to_wait_and_others_are_not(
    client_of: Callable[..., FlaskClient], tmp_path: Path
) -> None:
    client = client_of(access="tokens", rate_per_minute=5)
    file = TokenFile(StatePaths(tmp_path).tokens)
    one, other = (
        {"Authorization": f"Bearer {file.create(Role.VIEWER, name, wall_time_s())}"}
        for name in ("one", "other")
    )
    assert statuses(client, 7, headers=one) == [200] * 5 + [429] * 2
    answer = client.get("/tasks", headers=one)
    assert 1 <= int(answer.headers["Retry-After"]) <= 12
    assert answer.get_json()["error"] == "Too many requests from token one."
    assert statuses(client, 1, headers=other) == [200]
    assert set(statuses(client, 20, "/healthz")) == {200}, "health is never counted"


def test_requests_to_speak_have_a_limit_of_their_own(client_of: Callable[..., FlaskClient]) -> None:
    client = client_of(access="open", speak_per_minute=2)
    sent = {"method": "POST", "json": {"text": "Hello."}, "environ_base": FAR}
    assert statuses(client, 3, "/generate_video", **sent) == [202, 202, 429]
    assert statuses(client, 1, environ_base=FAR) == [200]


def test_guessing_tokens_is_limited_by_address(client_of: Callable[..., FlaskClient]) -> None:
    client = client_of(access="tokens", rate_per_minute=3)
    wrong = {"headers": {"Authorization": "Bearer x"}, "environ_base": FAR}
    assert statuses(client, 5, **wrong) == [401] * 3 + [429] * 2
    near = {"headers": {"X-Forwarded-For": "192.0.2.9"}, "environ_base": FAR}
    assert statuses(client, 1, **near) == [429], "a header does not make somebody else"


def test_one_address_cannot_use_up_the_page_for_others(
    client_of: Callable[..., FlaskClient],
) -> None:
    client = client_of(access="tokens", rate_per_minute=3)
    assert statuses(client, 4, "/page.js", environ_base=FAR) == [200, 200, 200, 429]
    assert statuses(client, 3, "/page.js", environ_base={"REMOTE_ADDR": "192.0.2.8"}) == [200] * 3


def test_without_tokens_addresses_are_counted_but_not_this_machine(
    client_of: Callable[..., FlaskClient],
) -> None:
    client = client_of(access="open", rate_per_minute=3)
    assert statuses(client, 4, environ_base=FAR) == [200, 200, 200, 429]
    assert set(statuses(client, 20)) == {200}


# --- open on this machine -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8000"},
        {"Origin": "http://127.0.0.1:8000", "Host": "127.0.0.1:11001"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "rebound.evil.example:11001"},
        {"Host": "rebound.evil.example", "Origin": "http://rebound.evil.example"},
    ],
)
def test_a_web_page_elsewhere_cannot_speak_on_an_open_station(
    client_of: Callable[..., FlaskClient], headers: dict[str, str]
) -> None:
    client = client_of()
    form = {"text": "Buy this."}
    for path in ("/generate_video", "/interrupt", "/whep/main"):
        answer = client.post(path, data=form, headers=headers)
        assert answer.status_code == 403
        assert answer.mimetype == "application/problem+json"
    assert client.get("/tasks").get_json() == {"tasks": []}


def test_a_rebound_name_reads_nothing_either(client_of: Callable[..., FlaskClient]) -> None:
    client = client_of()
    for path in ("/tasks", "/status", "/events"):
        assert client.get(path, headers={"Host": "evil.example"}).status_code == 403
    named = client_of(hosts=["tv.example.com"])
    assert named.get("/tasks", headers={"Host": "tv.example.com"}).status_code == 200


def test_our_own_page_and_curl_work_on_an_open_station(
    client_of: Callable[..., FlaskClient],
) -> None:
    client = client_of()
    own = {"Host": "127.0.0.1:11001", "Origin": "http://127.0.0.1:11001",
           "Sec-Fetch-Site": "same-origin"}  # fmt: skip
    for headers in (own, {}):
        answer = client.post("/generate_video", json={"text": "Hello."}, headers=headers)
        assert answer.status_code == 202
    left_over = {"Authorization": "Bearer of-another-time"}
    assert client.get("/tasks", headers=left_over).status_code == 200


# --- callbacks in a request ---------------------------------------------------------------------


def test_a_callback_is_stored_with_the_task_and_shown_without_its_secrets(
    client_of: Callable[..., FlaskClient],
) -> None:
    client = client_of()
    url = "https://hooks.example.com/T0/secret-path?key=secret"
    for sent in ({"json": {"text": "Hello.", "callback_url": url}},
                 {"data": {"text": "Hello.", "callback_url": url}}):  # fmt: skip
        task = client.post("/generate_video", **sent).get_json()["task_id"]
        shown = client.delete(f"/tasks/{task}")
        assert "secret" not in shown.text
        answer = client.get(f"/tasks/{task}/callbacks")
        (told,) = answer.get_json()["callbacks"]
        assert (told["event"], told["state"], told["attempts"]) == ("task.cancelled", "pending", 0)
        assert told["receiver"] == "https://hooks.example.com"
        assert "secret" not in answer.text


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:11935/stat", "http://169.254.169.254/latest/meta-data",
     "http://2130706433/", "http://[::ffff:10.0.0.1]/", "http://localhost/", "ftp://example.com/",
     "example.com", "x" * 3000, "http://u:p@example.com/"],
)  # fmt: skip
def test_a_callback_that_may_not_be_called_is_refused_and_leaves_nothing(
    client_of: Callable[..., FlaskClient], tmp_path: Path, url: str
) -> None:
    client = client_of()
    answer = client.post("/generate_video", json={"text": "Hello.", "callback_url": url})
    assert answer.status_code == 422
    assert "callback_url" in answer.get_json()["error"]
    assert client.get("/tasks").get_json() == {"tasks": []}
    assert not list((tmp_path / "spool").glob("*/upload"))


def test_an_allowed_receiver_is_taken(tmp_path: Path) -> None:
    document = {"station": {"state_dir": str(tmp_path)}, "callbacks": {"allow": ["10.0.0.0/8"]}}
    client = create_app(SettingsModel.model_validate(document)).test_client()
    asked = {"text": "Hello.", "callback_url": "http://10.0.0.1/hook", "idempotency_key": "k"}
    assert client.post("/generate_video", json=asked).status_code == 202
    assert client.post("/generate_video", json=asked).headers["Idempotency-Replayed"] == "true"
    other = {**asked, "callback_url": "http://10.0.0.2/hook"}
    assert client.post("/generate_video", json=other).status_code == 409
