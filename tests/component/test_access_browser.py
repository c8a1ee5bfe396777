"""Web pages from elsewhere in a real browser: what they can do to a station on this machine."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from broadcaster.access.role import Role
from broadcaster.access.tokens import TokenFile
from broadcaster.clock import wall_time_s
from tests.doubles.api_server import ApiServer
from tests.doubles.chromium import Chromium, Page, chromium, find_chromium

pytestmark = pytest.mark.skipif(
    find_chromium() is None, reason="chromium is not installed (requirements/setup.sh test)"
)

REBINDING = "--host-resolver-rules=MAP *.example 127.0.0.1"
"""As a name server would that changed its mind: the attacker's names lead to this machine."""

SUBMIT = """
(() => {{
  const form = document.createElement("form");
  form.method = "post"; form.action = "{url}/generate_video"; form.enctype = "{kind}";
  const text = document.createElement("input");
  text.name = "text"; text.value = "Buy this."; form.append(text);
  document.body.append(form); form.submit();
}})()
"""


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Somebody else's page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><body>")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with chromium(REBINDING) as made:
        yield made


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory, elsewhere: int) -> Iterator[ApiServer]:
    api = {"cors_origins": [f"http://desk.example:{elsewhere}"]}
    made = ApiServer(tmp_path_factory.mktemp("open") / "var", api=api)
    made.start()
    yield made
    made.close()


def visit(browser: Chromium, url: str) -> Page:
    page = browser.new_page()
    page.open(url)
    page.wait(f"location.href.startsWith('{url}') && document.readyState === 'complete'", 15)
    return page


def texts(station: ApiServer) -> list[str]:
    return [task["text"] for task in station.get("/tasks")[2]["tasks"]]


def says(path: str, options: str = "{}") -> str:
    """What a script of the page gets: a status, or that the browser keeps the answer from it."""
    return f"fetch('{path}', {options}).then(a => a.status, () => 'kept')"


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1"])
def test_a_form_on_another_page_speaks_nothing(
    browser: Chromium, station: ApiServer, elsewhere: int, host: str, kind: str
) -> None:
    page = visit(browser, f"http://{host}:{elsewhere}/")
    url = f"http://127.0.0.1:{station.port}"
    page.run(SUBMIT.format(url=url, kind=kind))
    page.wait(f"location.href.startsWith('{url}')", 15, "the answer to the form")
    assert json.loads(page.run("document.body.innerText"))["status"] == 403
    page.close()
    assert "Buy this." not in texts(station)


def test_a_script_on_another_page_speaks_and_reads_nothing(
    browser: Chromium, station: ApiServer, elsewhere: int
) -> None:
    page = visit(browser, f"http://evil.example:{elsewhere}/")
    url = f"http://127.0.0.1:{station.port}"
    body = "{method: 'POST', mode: 'no-cors', body: new URLSearchParams({text: 'Buy this.'})}"
    page.run(says(f"{url}/generate_video", body))
    assert page.run(says(f"{url}/tasks")) == "kept"
    beacon = f"navigator.sendBeacon('{url}/generate_video', new URLSearchParams({{text: 'B'}}))"
    page.run(beacon)
    page.run(says(f"{url}/healthz", "{mode: 'no-cors'}"))  # behind the beacon
    page.close()
    assert texts(station) == []


def test_a_name_rebound_to_the_station_gets_the_page_and_nothing_else(
    browser: Chromium, station: ApiServer
) -> None:
    page = visit(browser, f"http://rebound.example:{station.port}/")
    body = "{method: 'POST', body: new URLSearchParams({text: 'Buy this.'})}"
    assert page.run(says("/generate_video", body)) == 403
    for path in ("/tasks", "/status", "/metrics"):
        assert page.run(says(path)) == 403
    page.close()
    assert texts(station) == []


def test_a_named_page_speaks_with_a_token_and_our_own_without(
    browser: Chromium, station: ApiServer, elsewhere: int
) -> None:
    token = TokenFile(station.paths.tokens).create(Role.SPEAKER, "desk", wall_time_s())
    page = visit(browser, f"http://desk.example:{elsewhere}/")
    asked = (
        "{method: 'POST', body: JSON.stringify({text: 'From the desk.'}), "
        f"headers: {{'Content-Type': 'application/json', Authorization: 'Bearer {token}'}}}}"
    )
    assert page.run(says(f"http://127.0.0.1:{station.port}/generate_video", asked)) == 202
    page.close()
    own = visit(browser, f"http://127.0.0.1:{station.port}/")
    body = "{method: 'POST', body: new URLSearchParams({text: 'From the page.'})}"
    assert own.run(says("/generate_video", body)) == 202
    own.close()
    assert sorted(texts(station)) == ["From the desk.", "From the page."]
