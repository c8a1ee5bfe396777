"""The page's shelf of presenters in a real browser: a face is added, pointed at, adjusted, used."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.doubles.api_server import form
from tests.doubles.chromium import Chromium, Page, chromium, find_chromium
from tests.doubles.portrait import HANDLES, photograph, save
from tests.doubles.station import Station

pytestmark = pytest.mark.skipif(
    find_chromium() is None, reason="chromium is not installed (requirements/setup.sh test)"
)

SAID = "document.getElementById('shelf-said')"
OPEN = "document.getElementById('editor').open"
LOG = "document.getElementById('log').innerText"
MAKING_S = 60


@pytest.fixture(scope="module")
def station() -> Iterator[Station]:
    """Without face models: what is found is found by the cascade."""
    made = Station(
        "preview: {enabled: false}\navatars: {models: /nonexistent}\n"
        "channels: [{name: main, video: {width: 320, height: 180}}]\n"
    )
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def friend(station: Station, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A face that was added without the page."""
    file = save(tmp_path_factory.mktemp("friend") / "friend.png", photograph())
    body, kind = form(file.read_bytes(), file.name, {"handles": json.dumps(HANDLES.json())}, "file")
    request = urllib.request.Request(f"http://127.0.0.1:{station.api}/avatars", body)
    request.add_header("Content-Type", kind)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 202
    return "friend"


@pytest.fixture
def page(browser: Chromium, station: Station) -> Iterator[Page]:
    made = browser.new_page()
    made.open(f"http://127.0.0.1:{station.api}/")
    made.wait("document.getElementById('air').textContent === 'ON AIR'", 30)
    yield made
    made.close()


def add(page: Page, file: Path) -> None:
    """Choose a file for a new face, as the dialog of the browser would."""
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    node = page.call("DOM.querySelector", nodeId=root, selector="#avatar-file")["nodeId"]
    page.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])


def button(label: str) -> str:
    return f"document.querySelector('.avatar button[aria-label={json.dumps(label)}]')"


def there(label: str) -> str:
    return f"{button(label)} !== null"


def drag(page: Page, selector: str, dx: int, dy: int) -> None:
    """With the mouse, by pixels of the page."""
    middle = "(box => [box.x + box.width / 2, box.y + box.height / 2])"
    x, y = page.run(f"{middle}(document.querySelector('{selector}').getBoundingClientRect())")
    for kind, part in (("mousePressed", 0), ("mouseMoved", 0.5), ("mouseMoved", 1)):
        page.call("Input.dispatchMouseEvent", type=kind, x=x + dx * part, y=y + dy * part,
                  button="left", buttons=1, clickCount=1)  # fmt: skip
    page.call("Input.dispatchMouseEvent", type="mouseReleased", x=x + dx, y=y + dy, button="left")


def avatar(station: Station, name: str) -> Any:
    return json.loads(station.get(f"/avatars/{name}", timeout_s=30)[1])


def test_a_face_that_is_not_found_is_pointed_at_and_then_adjusted(
    page: Page, station: Station, tmp_path: Path
) -> None:
    ramp = np.tile(np.linspace(60, 200, 360, dtype=np.uint8)[:, None, None], (1, 640, 3))
    add(page, save(tmp_path / "painting.png", ramp))
    page.wait(f"{SAID}.textContent.startsWith('No face was found')", 20, "the refusal")
    page.run("document.getElementById('by-hand').click()")
    page.wait(OPEN, 5, "the editor")
    drag(page, ".dot.chin", 0, -9)
    asked = page.run("editor.handles.chin[1]")
    page.run("document.getElementById('editor-save').click()")
    page.wait(f"!{OPEN} && {there('Adjust painting')}", MAKING_S, "the face")
    first = avatar(station, "painting")
    assert first["handles"]["chin"][1] == pytest.approx(asked, abs=0.2)
    page.run(f"{button('Adjust painting')}.click()")
    page.wait(OPEN, 5, "the editor")
    scale = page.run("editor.view.scale")
    drag(page, ".dot.left_eye", -12, 6)
    page.run("document.getElementById('editor-save').click()")
    page.wait(f"!{OPEN} && {LOG}.split('is made').length === 3", MAKING_S, "the face made anew")
    second = avatar(station, "painting")
    moved = np.subtract(second["handles"]["left_eye"], first["handles"]["left_eye"])
    assert moved == pytest.approx([-12 / scale, 6 / scale], abs=0.2)
    assert second["version"] != first["version"]
    assert second["handles"]["chin"] == first["handles"]["chin"]


def test_points_that_form_no_face_are_refused_where_they_were_set(
    page: Page, station: Station, friend: str
) -> None:
    page.wait(there(f"Adjust {friend}"), MAKING_S)
    before = avatar(station, friend)["version"]
    page.run(f"{button(f'Adjust {friend}')}.click()")
    page.wait(OPEN, 5, "the editor")
    page.run("moveHandle('chin', -1000, -1000)")
    page.run("editor.handles.chin = [-3, 0]")
    page.run("document.getElementById('editor-save').click()")
    page.wait("document.getElementById('editor-fault').textContent.includes('chin')", 20)
    assert page.run(OPEN)
    assert avatar(station, friend)["version"] == before


def test_another_presenter_goes_on_air_and_one_that_is_not_shown_is_removed(
    page: Page, station: Station, friend: str
) -> None:
    page.wait(f"{there('Use leon')} && {there(f'Remove {friend}')}", MAKING_S)
    page.run(f"{button('Use leon')}.click()")
    card = "[...document.querySelectorAll('.avatar')].find(c => c.innerText.startsWith('leon'))"
    page.wait(f"{card}.innerText.includes('on air')", 120, "leon on air")
    page.wait(f"{LOG}.includes('presents now')", 10, "the log")
    assert page.run("document.getElementById('source').textContent") == "Idle: leon"
    assert not page.run(there("Use leon"))
    page.run("confirm = () => true")
    page.run(f"{button(f'Remove {friend}')}.click()")
    page.wait(f"!({there(f'Adjust {friend}')})", 20, "its end")
    assert station.get(f"/avatars/{friend}")[0] == 404
    assert page.console == []


def test_what_is_no_picture_is_refused_and_nothing_is_offered(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "speech.wav"
    file.write_bytes(b"RIFF")
    add(page, file)
    page.wait(f"{SAID}.classList.contains('bad')", 20, "the refusal")
    assert page.run("document.getElementById('by-hand').hidden")
