"""The page's desk in a real browser: text, a dropped file, the microphone, interrupt, the log."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.chromium import Chromium, Page, chromium, find_chromium
from tests.doubles.station import Station

pytestmark = pytest.mark.skipif(
    find_chromium() is None, reason="chromium is not installed (requirements/setup.sh test)"
)

SPEECH = Path(__file__).parents[1] / "fixtures" / "slt.opus"
TASKS = "getJson('tasks').then(all => all.tasks)"
LOG = "[...document.querySelectorAll('#log li')].map(each => each.innerText)"
SAID = "document.getElementById('said').textContent"


@pytest.fixture(scope="module")
def station() -> Iterator[Station]:
    made = Station(
        "preview: {enabled: false}\nchannels: [{name: main, video: {width: 640, height: 360}}]\n"
    )
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of a voice."""
    file = tmp_path_factory.mktemp("speech") / "voice.wav"
    command = ["ffmpeg", "-v", "error", "-t", "3", "-i", str(SPEECH), "-ar", "48000", str(file)]
    subprocess.run(command, check=True, timeout=30)
    return file


@pytest.fixture(scope="module")
def browser(speech: Path) -> Iterator[Chromium]:
    """With a microphone that hears the voice."""
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with chromium(*flags, f"--use-file-for-fake-audio-capture={speech}") as made:
        yield made


@pytest.fixture
def page(browser: Chromium, station: Station) -> Iterator[Page]:
    made = browser.new_page()
    made.open(f"http://127.0.0.1:{station.api}/")
    made.wait("document.getElementById('air').textContent === 'ON AIR'", 30)
    yield made
    made.close()


def newest(page: Page) -> dict[str, Any]:
    tasks: list[dict[str, Any]] = page.run(TASKS)
    return tasks[0]


def said(page: Page, timeout_s: float = 30.0) -> dict[str, Any]:
    """The newest task, once it has been said to its end."""
    deadline = time.monotonic() + timeout_s
    while (task := newest(page))["state"] != "done":
        assert time.monotonic() < deadline, task
        assert task["state"] not in {"failed", "cancelled"}, task
        time.sleep(0.05)
    return task


def test_a_written_text_is_said_and_the_log_tells_it(page: Page) -> None:
    page.run("document.getElementById('text').value = 'Good evening.'")
    page.run("document.getElementById('speak').requestSubmit()")
    page.wait(f"{SAID} === 'processing started'", 10)
    assert page.run("document.getElementById('text').value") == ""
    assert said(page)["text"] == "Good evening."
    page.wait(f"{LOG}.length === 2", 10, "the log")
    newest_line, first_line = page.run(LOG)
    assert "Good evening." in first_line
    assert "began" in first_line
    assert "was said" in newest_line


def test_a_file_dropped_anywhere_on_the_page_is_said(page: Page, speech: Path) -> None:
    data = {"items": [], "files": [str(speech)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver"):
        page.call("Input.dispatchDragEvent", type=kind, x=300, y=300, data=data)
    page.wait("!document.getElementById('drop-zone').hidden", 5, "the drop zone")
    page.call("Input.dispatchDragEvent", type="drop", x=300, y=300, data=data)
    page.wait("document.getElementById('file-name').textContent === 'voice.wav'", 5)
    assert page.run("document.getElementById('drop-zone').hidden")
    page.run("document.getElementById('speak').requestSubmit()")
    page.wait(f"{SAID} === 'processing started'", 10)
    task = said(page)
    assert (task["file_name"], task["duration_s"]) == ("voice.wav", pytest.approx(3.0, abs=0.1))


def test_what_the_microphone_hears_is_said(page: Page) -> None:
    page.run("document.getElementById('record').click()")
    page.wait("document.getElementById('record-text').textContent === 'Send 0:02'", 15)
    page.run("document.getElementById('record').click()")
    page.wait(f"{SAID} === 'processing started'", 10)
    task = said(page)
    assert task["file_name"] == "microphone.webm"
    assert task["duration_s"] > 1.5
    assert task["gain_db"] < 19.5, "a boost at its limit: the recording is silent"


def test_a_recording_that_is_discarded_goes_nowhere(page: Page) -> None:
    before = len(page.run(TASKS))
    page.run("document.getElementById('record').click()")
    page.wait("!document.getElementById('no-recording').hidden", 10, "the recording")
    page.run("document.getElementById('no-recording').click()")
    page.wait("document.getElementById('record-text').textContent === 'Record'", 10)
    page.wait(f"{SAID} === ''", 10)
    assert len(page.run(TASKS)) == before


def test_interrupt_ends_what_is_on_air_and_the_log_says_so(page: Page) -> None:
    text = "This sentence is long enough to be ended before it has been said to its very end."
    page.run(f"document.getElementById('text').value = {text!r}")
    page.run("document.getElementById('speak').requestSubmit()")
    page.wait(f"{TASKS}.then(all => all[0].state === 'on_air')", 20, "the task on air")
    page.run("document.getElementById('stop').click()")
    page.wait(f"{TASKS}.then(all => all[0].state === 'cancelled')", 10, "its end")
    assert newest(page)["reason"] == "interrupted"
    page.wait(f"{LOG}[0].includes('was interrupted')", 10, "the log")


def test_a_text_said_at_once_ends_the_one_on_air(page: Page) -> None:
    page.run("speak(null, 'The first text is much longer than the one that comes after it here.')")
    page.wait(f"{TASKS}.then(all => all[0].state === 'on_air')", 20, "the task on air")
    page.run("document.getElementById('at-once').checked = true")
    page.run("speak(null, 'Now this.')")
    assert said(page)["text"] == "Now this."
    assert page.run(TASKS)[1]["reason"] == "interrupted"


def test_nothing_is_complained_about_and_a_phone_sees_all_of_it(
    browser: Chromium, station: Station
) -> None:
    page = browser.new_page()
    page.open(f"http://127.0.0.1:{station.api}/", 390, 844)
    page.wait("document.querySelectorAll('#tasks li').length > 0", 20)
    assert page.run("document.documentElement.scrollWidth") == 390
    assert page.console == []
    page.close()
