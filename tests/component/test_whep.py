"""WHEP at the API's door, with a preview that is played by a script."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from broadcaster.api.app import create_app
from broadcaster.api.whep import OFFER_BYTES
from broadcaster.paths import StatePaths
from broadcaster.settings.model import SettingsModel
from broadcaster.wire import LineReader, Message, encode, listen

SDP = "application/sdp"


class ScriptedPreview:
    """Answers what it is told to, on the preview's socket."""

    def __init__(self, path: Path) -> None:
        self.asked: list[Message] = []
        self.answer: Message = {"ok": True, "session": "s1", "sdp": "v=0 answer"}
        self._listener = listen(path)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                for request in LineReader().feed(connection.recv(1 << 20)):
                    self.asked.append(request)
                    connection.sendall(encode(self.answer))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(2)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    document = {"station": {"state_dir": str(tmp_path)}, "channels": [{"name": "main"}]}
    with create_app(SettingsModel.model_validate(document)).test_client() as made:
        yield made


@pytest.fixture
def preview(client: FlaskClient, tmp_path: Path) -> Iterator[ScriptedPreview]:
    made = ScriptedPreview(StatePaths(tmp_path).preview_socket)
    yield made
    made.close()


def test_an_offer_is_handed_over_and_its_answer_back(
    client: FlaskClient, preview: ScriptedPreview
) -> None:
    answer = client.post("/whep/main", data="v=0 offer", content_type=SDP)
    assert (answer.status_code, answer.mimetype, answer.text) == (201, SDP, "v=0 answer")
    assert answer.headers["Location"] == "/whep/main/s1"
    assert preview.asked == [{"op": "offer", "channel": "main", "sdp": "v=0 offer"}]


def test_a_session_is_ended(client: FlaskClient, preview: ScriptedPreview) -> None:
    preview.answer = {"ok": True}
    assert client.delete("/whep/main/s1").status_code == 200
    assert preview.asked == [{"op": "leave", "session": "s1"}]


@pytest.mark.parametrize(("status", "retry"), [(404, None), (422, None), (429, 10), (503, 1)])
def test_a_refusal_is_a_problem(
    client: FlaskClient, preview: ScriptedPreview, status: int, retry: int | None
) -> None:
    preview.answer = {"ok": False, "status": status, "error": "no", "retry_after_s": retry}
    answer = client.post("/whep/main", data="v=0", content_type=SDP)
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    assert answer.headers.get("Retry-After") == (None if retry is None else str(retry))


def test_what_is_no_offer_is_refused_before_the_preview_is_asked(
    client: FlaskClient, preview: ScriptedPreview
) -> None:
    def status(path: str = "/whep/main", **sent: Any) -> int:
        return client.post(path, **sent).status_code

    assert status(data="v=0", content_type="text/plain") == 415
    assert status(data="{}", content_type="application/json") == 415
    assert status("/whep/other", data="v=0", content_type=SDP) == 404
    assert status(data="v" * (OFFER_BYTES + 1), content_type=SDP) == 413
    assert status(data=b"\xff\xfe", content_type=SDP) == 400
    assert preview.asked == []


def test_other_methods_are_not_allowed_there_is_no_trickle(client: FlaskClient) -> None:
    for method, path in (("PATCH", "/whep/main/s1"), ("GET", "/whep/main"), ("PUT", "/whep/main")):
        answer = client.open(path, method=method)
        assert answer.status_code == 405
        assert answer.headers["Allow"]


def test_without_a_preview_process_it_says_try_again(client: FlaskClient) -> None:
    answer = client.post("/whep/main", data="v=0", content_type=SDP)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert json.loads(answer.data)["error"] == "The preview does not answer."
    assert client.delete("/whep/main/s1").status_code == 503


@pytest.mark.parametrize("section", [{"preview": {"enabled": False}}, {"relay": {"mode": "none"}}])
def test_a_station_without_preview_has_none(tmp_path: Path, section: dict[str, Any]) -> None:
    document = {"station": {"state_dir": str(tmp_path)}} | section
    client = create_app(SettingsModel.model_validate(document)).test_client()
    assert client.post("/whep/main", data="v=0", content_type=SDP).status_code == 404
    assert client.get("/status").get_json()["preview"] is None
    assert "&#34;preview&#34;: false" in client.get("/").text
