"""The page: files that need nothing from elsewhere and nothing inline."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from broadcaster.api import page
from broadcaster.api.app import create_app
from broadcaster.settings.model import SettingsModel

FOLDER = Path(page.__file__).parent
ROOT = FOLDER.parents[2]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    channels = [{"name": "main"}, {"name": "tall", "video": {"width": 720, "height": 1280}}]
    document = {"station": {"state_dir": str(tmp_path)}, "channels": channels}
    with create_app(SettingsModel.model_validate(document)).test_client() as made:
        yield made


def test_the_policy_allows_our_own_files_and_nothing_inline(client: FlaskClient) -> None:
    policy = client.get("/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    html = (FOLDER / "page.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html)


def test_everything_the_page_names_is_there(client: FlaskClient) -> None:
    names = re.findall(r'(?:href|src)="([^"]+)"', client.get("/").text)
    scripts = {file.name for file in FOLDER.glob("*.js")}
    assert set(names) == {"page.css", "favicon.svg", *scripts}
    for name in names:
        answer = client.get(f"/{name}")
        assert answer.status_code == 200
        assert "charset=utf-8" in answer.headers["Content-Type"]


def test_no_file_reaches_for_another_host() -> None:
    for file in FOLDER.iterdir():
        if file.suffix in (".html", ".css", ".js"):
            assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", file.read_text()), file.name


def test_a_file_that_has_not_changed_is_not_sent_again(client: FlaskClient) -> None:
    first = client.get("/page.js")
    again = client.get("/page.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert first.headers["Cache-Control"] == "no-cache"


def test_the_script_is_told_each_channels_size(client: FlaskClient) -> None:
    text = client.get("/").text.replace("&#34;", '"')
    assert '"sizes": {"main": [1280, 720], "tall": [720, 1280]}' in text


def test_every_control_has_a_name_for_those_who_do_not_see_it() -> None:
    html = (FOLDER / "page.html").read_text()
    for button in re.findall(r"<button.*?</button>", html, re.S):
        words = re.sub(r"<[^>]+>", "", button).strip()
        assert words or "aria-label=" in button, button
    for field in re.findall(r"<(?:select|input)[^>]*>", html):
        name = re.search(r'id="([^"]+)"', field)
        assert name
        labelled = re.search(rf'<label[^>]*(for="{name[1]}")?.*?{name[1]}', html, re.S)
        assert labelled or "aria-label=" in field, field


def test_every_id_the_script_asks_for_is_in_the_page() -> None:
    html = (FOLDER / "page.html").read_text()
    script = "".join(file.read_text() for file in FOLDER.glob("*.js"))
    wanted = set(re.findall(r'\$\("([\w-]+)"\)', script))
    assert wanted <= set(re.findall(r'id="([\w-]+)"', html))


def test_the_files_are_part_of_the_package() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = data["tool"]["setuptools"]["package-data"]["broadcaster"]
    packed = {file for pattern in patterns for file in (ROOT / "broadcaster").glob(pattern)}
    files = {file for file in FOLDER.iterdir() if file.suffix not in (".py", "")}
    assert files <= packed
