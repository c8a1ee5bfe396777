"""``/openapi.json`` says what the API does: every route is in it, every answer fits its schema."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broadcaster.api.app import create_app
from broadcaster.api.openapi import openapi_document
from broadcaster.settings.model import SettingsModel
from tests.doubles.avatar_files import portrait
from tests.doubles.fake_playout import FakePlayout
from tests.doubles.sound import wav


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    document = {"station": {"state_dir": str(tmp_path)}, "relay": {"mode": "none"}}
    return create_app(SettingsModel.model_validate(document))


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as made:
        yield made


@pytest.fixture
def document(client: FlaskClient) -> Any:
    return client.get("/openapi.json").get_json()


def faults(value: Any, schema: Any, document: Any, at: str = "") -> list[str]:
    """Where ``value`` breaks ``schema`` (the part of JSON Schema that the contract uses)."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if "const" in schema:
        return [] if value == schema["const"] else [f"{at}: {value!r}"]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{at}: {value!r}"]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    known = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
    known |= {"object": dict, "array": list, "null": type(None)}
    if not any(isinstance(value, known[kind]) for kind in kinds):
        return [f"{at}: {value!r} is not {kinds}"]
    found = []
    if isinstance(value, dict) and "properties" in schema:
        found += [f"{at}: {key} missing" for key in schema["required"] if key not in value]
        found += [f"{at}: {key} unknown" for key in value if key not in schema["properties"]]
        for key, part in schema["properties"].items():
            if key in value:
                found += faults(value[key], part, document, f"{at}.{key}")
    if isinstance(value, list) and "items" in schema:
        for number, part in enumerate(value):
            found += faults(part, schema["items"], document, f"{at}[{number}]")
    return found


def test_every_route_is_in_the_document_and_nothing_else(app: Flask, document: Any) -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(rule)), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {(path, method) for path, item in document["paths"].items() for method in item}
    assert routes == described


def test_every_answer_fits_the_document(client: FlaskClient, document: Any, tmp_path: Path) -> None:
    def check(method: str, path: str, template: str = "", **sent: Any) -> Any:
        answer = client.open(path, method=method.upper(), **sent)
        described = document["paths"][template or path][method]["responses"]
        assert str(answer.status_code) in described, f"{method} {path}: {answer.status_code}"
        content = described[str(answer.status_code)]["content"]
        assert answer.mimetype in content
        if answer.mimetype.endswith("json"):
            schema = content[answer.mimetype]["schema"]
            if schema != {"type": "string"}:
                assert faults(answer.get_json(), schema, document, path) == []
        return answer

    with FakePlayout(tmp_path / "run" / "playout.sock"):
        for path in ("/", "/healthz", "/readyz", "/status", "/metrics", "/openapi.json"):
            assert check("get", path).status_code == 200
        form = {"audio_file": (io.BytesIO(wav()), "a.wav")}
        task = check("post", "/generate_video", data=form)
        assert task.status_code == 202
        one = f"/tasks/{task.get_json()['task_id']}"
        assert check("get", one, "/tasks/{task_id}").status_code == 200
        assert check("get", "/tasks").status_code == 200
        assert check("delete", one, "/tasks/{task_id}").status_code == 200
        assert check("delete", one, "/tasks/{task_id}").status_code == 409
        assert check("get", "/tasks/none", "/tasks/{task_id}").status_code == 404
        assert check("post", "/interrupt").status_code == 200
        assert check("get", "/channels").status_code == 200
        avatar, of_channel = "/channels/main/avatar", "/channels/{name}/avatar"
        for wished, status in (("leon", 202), ("nobody", 422)):
            answer = check("put", avatar, of_channel, json={"avatar": wished})
            assert answer.status_code == status
        assert check("put", "/channels/x/avatar", of_channel, json={}).status_code == 404
        assert check("post", "/generate_video", data=b"").status_code == 400
        plain = check("post", "/generate_video", data=b"hello", content_type="text/plain")
        assert plain.status_code == 415
        asked = {"text": "Hello.", "callback_url": "https://hooks.example.com/x"}
        said = check("post", "/generate_video", json=asked)
        assert said.status_code == 202
        two_hundred = {"Prefer": "status=200"}
        again = check("post", "/generate_video", json={"text": "Hello."}, headers=two_hundred)
        assert again.status_code == 200
        spoken = f"/tasks/{said.get_json()['task_id']}"
        assert check("get", spoken, "/tasks/{task_id}").get_json()["text"] == "Hello."
        assert check("delete", spoken, "/tasks/{task_id}").status_code == 200
        told = check("get", f"{spoken}/callbacks", "/tasks/{task_id}/callbacks")
        assert len(told.get_json()["callbacks"]) == 1
        there = {"Origin": "https://elsewhere.example"}
        assert check("post", "/interrupt", headers=there).status_code == 403
        assert check("post", "/generate_video", json={"text": "?!"}).status_code == 422
        assert check("get", "/events?channel=none", "/events").status_code == 422
        with check("get", "/events") as listening:
            assert listening.status_code == 200
        check_avatars(check)
        empty = {"audio_file": (io.BytesIO(b""), "a.wav")}
        assert check("post", "/generate_video", data=empty).status_code == 422
    answer = check("get", "/status")
    assert answer.status_code == 200


def test_refusals_for_want_of_a_token_are_described(tmp_path: Path) -> None:
    api = {"access": "tokens", "rate_per_minute": 40}
    client = create_app(
        SettingsModel.model_validate({"station": {"state_dir": str(tmp_path)}, "api": api})
    ).test_client()
    document = openapi_document()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            status = client.open(path, method=method.upper()).status_code
            assert (operation.get("security") == []) == (status == 200), f"{method} {path}"
            if status != 200:
                assert status == 401
                assert {"401", "403", "429"} <= set(operation["responses"])
    while client.get("/status").status_code == 401:
        pass
    assert client.get("/status").status_code == 429
    assert "429" in document["paths"]["/status"]["get"]["responses"]


def check_avatars(check: Any) -> None:
    """The routes of avatars; no studio runs, so what is sent stays in the making."""
    handles = {"data": "{}", "content_type": "application/json"}
    sent = {"file": (io.BytesIO(portrait()), "me.jpg")}
    assert check("post", "/avatars", data=sent).status_code == 202
    sent = {"file": (io.BytesIO(portrait()), "me.jpg"), "name": "anna"}
    assert check("post", "/avatars", data=sent).status_code == 409
    assert check("post", "/avatars", data={"name": "x"}).status_code == 415
    assert check("get", "/avatars").status_code == 200
    for name, status in (("me", 200), ("anna", 200), ("nobody", 404)):
        assert check("get", f"/avatars/{name}", "/avatars/{name}").status_code == status
    for which in ("thumbnail", "picture"):
        template = f"/avatars/{{name}}/{which}"
        assert check("get", f"/avatars/anna/{which}", template).status_code == 200
        assert check("get", f"/avatars/me/{which}", template).status_code == 404
    template = "/avatars/{name}/handles"
    assert check("put", "/avatars/me/handles", template, **handles).status_code == 422
    handles["data"] = '{"chin": [1, 2]}'
    assert check("put", "/avatars/me/handles", template, **handles).status_code == 409
    assert check("delete", "/avatars/anna", "/avatars/{name}").status_code == 409
    assert check("delete", "/avatars/nobody", "/avatars/{name}").status_code == 404


def test_the_station_that_is_down_is_described_too(client: FlaskClient, document: Any) -> None:
    for path in ("/readyz", "/status"):
        answer = client.get(path)
        described = document["paths"][path]["get"]["responses"][str(answer.status_code)]
        schema = described["content"]["application/json"]["schema"]
        assert faults(answer.get_json(), schema, document, path) == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("text", "voice", "channel", "priority", "interrupt"),
                    *("idempotency_key", "callback_url"),
                ]
            )
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=8,
)
_BODIES = st.binary(max_size=200) | _JSON.map(lambda value: json.dumps(value).encode())
_TYPES = st.sampled_from(
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "text/plain",
    ]
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=_BODIES, kind=_TYPES, key=st.text(st.characters(codec="latin-1"), max_size=10))
def test_whatever_is_sent_is_accepted_or_explained(
    client: FlaskClient, tmp_path: Path, body: bytes, kind: str, key: str
) -> None:
    """No request makes the API stumble, and none that is refused leaves anything."""
    headers = {"Idempotency-Key": re.sub(r"[\r\n]", "", key)}
    for path in ("/generate_video", "/avatars", "/interrupt"):
        answer = client.post(path, data=body, content_type=kind, headers=headers)
        if answer.status_code not in {200, 202}:
            assert answer.status_code < 500 or answer.status_code == 503, answer.text
            assert answer.mimetype == "application/problem+json"
            assert answer.get_json()["error"]
        else:
            assert path == "/generate_video"
            client.delete(answer.headers["Location"])
    incoming = tmp_path / "spool" / "incoming"
    assert not incoming.is_dir() or list(incoming.iterdir()) == []
