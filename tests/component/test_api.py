"""The API under the real gunicorn, with a fake playout: the contract, answer by answer."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from broadcaster.api.app import create_app
from broadcaster.settings.model import SettingsModel
from broadcaster.store import Spool, Task, TaskState, TaskStore
from broadcaster.store.task import ACTIVE_STATES
from tests.doubles.api_server import ApiServer, form
from tests.doubles.fake_playout import FakeDestination, FakePlayout
from tests.doubles.sound import wav

QUEUE_LIMIT = 40


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    limits = {"max_upload_mb": 2, "max_sound_s": 30.0, "queue_limit": QUEUE_LIMIT}
    channels = [{"name": "main"}, {"name": "second"}]
    made = ApiServer(tmp_path_factory.mktemp("api") / "var", api=limits, channels=channels)
    made.start()
    yield made
    made.close()


@pytest.fixture
def store(api: ApiServer) -> Iterator[TaskStore]:
    """The same store, emptied of waiting tasks before and after each test."""
    made = TaskStore(api.paths.database, Spool(api.paths.spool), 1000)

    def empty() -> None:
        for task in made.recent(500):
            if not task.ended:
                made.cancel(task.id, "end of test")
        made.clear_ended()

    empty()
    yield made
    empty()
    made.close()


def left_on_disk(api: ApiServer) -> list[str]:
    return sorted(str(p.relative_to(api.paths.spool)) for p in api.paths.spool.rglob("upload"))


def assert_problem(answer: tuple[int, dict[str, str], Any], status: int) -> str:
    got, headers, body = answer
    assert got == status, body
    assert headers["Content-Type"].startswith("application/problem+json")
    assert body["status"] == status
    assert body["title"]
    assert body["type"]
    assert isinstance(body["error"], str)
    assert body["error"] == body["detail"]
    assert "/" not in body["error"].replace("multipart/form-data", ""), "no path is shown"
    return str(body["error"])


def test_sound_is_accepted_and_lies_on_the_disk(api: ApiServer, store: TaskStore) -> None:
    content = wav()
    status, headers, body = api.post_file(content, "hello.wav", {"guidance_scale": "2"})
    assert status == 202
    assert body["status"] == "processing_started"
    assert headers["Location"] == f"/tasks/{body['task_id']}"
    task = store.get(body["task_id"])
    assert (task.state, task.channel, task.source_name) == (TaskState.QUEUED, "main", "hello.wav")
    assert store.spool.upload(task.id).read_bytes() == content
    status, _, shown = api.get(headers["Location"])
    assert (status, shown["state"], shown["file_name"]) == (200, "queued", "hello.wav")


def test_the_channel_can_be_chosen(api: ApiServer, store: TaskStore) -> None:
    _, _, body = api.post_file(wav(), fields={"channel": "second"})
    assert store.get(body["task_id"]).channel == "second"
    _, _, listed = api.get("/tasks?channel=second&limit=1")
    assert [task["task_id"] for task in listed["tasks"]] == [body["task_id"]]


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "a\x7f\u202eb.wav", "x" * 5000]
)
def test_a_hostile_file_name_is_only_a_name(api: ApiServer, store: TaskStore, name: str) -> None:
    status, _, body = api.post_file(wav(), name)
    assert status == 202
    assert left_on_disk(api) == [f"{body['task_id']}/upload"]
    assert len(store.get(body["task_id"]).source_name) <= 200


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"", 422, "empty"),
        (b"this is a text file called wav", 422, "not sound"),
        (wav()[:44], 422, "sound"),
        (os.urandom(4096), 422, "sound"),
        (wav(31), 413, "longer than 30 s"),
        (bytes(2 * 2**20 + 100), 413, "larger than 2 MB"),
    ],
)
def test_what_cannot_be_said_is_refused_and_leaves_nothing(
    api: ApiServer, store: TaskStore, content: bytes, status: int, says: str
) -> None:
    assert says in assert_problem(api.post_file(content), status)
    assert left_on_disk(api) == []
    assert list((api.paths.spool / "incoming").iterdir()) == []


def test_floats_that_are_no_numbers_are_refused(api: ApiServer, store: TaskStore) -> None:
    header = bytearray(wav(0.1))
    samples = np.full(8000, np.nan, dtype="<f4").tobytes()
    header[20:22] = (3).to_bytes(2, "little")  # WAVE_FORMAT_IEEE_FLOAT
    header[28:36] = (64_000).to_bytes(4, "little") + b"\x04\x00\x20\x00"
    header[40:44] = len(samples).to_bytes(4, "little")
    assert "no valid samples" in assert_problem(api.post_file(bytes(header[:44]) + samples), 422)


def test_a_truncated_file_is_accepted_for_what_it_holds(api: ApiServer, store: TaskStore) -> None:
    assert api.post_file(wav(2)[:20_000])[0] == 202


def test_a_streamed_file_with_a_false_length_is_accepted(api: ApiServer, store: TaskStore) -> None:
    content = bytearray(wav(1))
    content[40:44] = (0x7FFFFFFF).to_bytes(4, "little")
    assert api.post_file(bytes(content))[0] == 202


def test_an_unknown_channel_is_refused(api: ApiServer, store: TaskStore) -> None:
    assert "main, second" in assert_problem(api.post_file(wav(), fields={"channel": "x"}), 422)
    assert left_on_disk(api) == []


def test_a_form_without_the_file_is_refused(api: ApiServer, store: TaskStore) -> None:
    body, kind = form(None, "", {"voice": "espeak"})
    headers = {"Content-Type": kind}
    assert_problem(api.request("POST", "/generate_video", body, headers), 400)
    junk = {"Content-Type": "multipart/form-data; boundary=x"}
    assert_problem(api.request("POST", "/generate_video", b"--y\r\nrubbish", junk), 400)
    assert_problem(
        api.request("POST", "/generate_video", b"", {"Content-Type": "multipart/form-data"}), 400
    )


def test_another_content_type_is_refused(api: ApiServer) -> None:
    for kind in ("text/plain", "audio/wav", "application/octet-stream"):
        headers = {"Content-Type": kind}
        assert_problem(api.request("POST", "/generate_video", b"hello", headers), 415)


def test_a_huge_body_is_refused_before_it_is_sent(api: ApiServer) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(2**30)}
    begun = time.monotonic()
    assert_problem(api.request("POST", "/generate_video", None, headers), 413)
    assert time.monotonic() - begun < 1


def test_a_huge_chunked_body_is_refused(api: ApiServer, store: TaskStore) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="audio_file"; filename="a"\r\n\r\n'
        for _ in range(3):
            yield bytes(2**20)

    headers = {"Content-Type": "multipart/form-data; boundary=x", "Transfer-Encoding": "chunked"}
    answer = api.request("POST", "/generate_video", chunks(), headers, chunked=True)
    assert_problem(answer, 413)
    assert left_on_disk(api) == []


def test_many_files_in_one_form_are_refused(api: ApiServer, store: TaskStore) -> None:
    part = '--x\r\nContent-Disposition: form-data; name="f{}"; filename="a"\r\n\r\nz\r\n'
    body = "".join(part.format(n) for n in range(50)).encode() + b"--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert_problem(api.request("POST", "/generate_video", body, headers), 400)
    assert left_on_disk(api) == []


def test_a_client_that_goes_away_in_mid_upload_leaves_nothing(
    api: ApiServer, store: TaskStore
) -> None:
    with socket.create_connection(("127.0.0.1", api.port)) as client:
        client.sendall(
            b"POST /generate_video HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
            b'--x\r\nContent-Disposition: form-data; name="audio_file"; filename="a"\r\n\r\n'
            + bytes(300_000)
        )
        deadline = time.monotonic() + 5
        while not left_on_disk(api):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    while left_on_disk(api):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_full_queue_says_when_to_come_back(api: ApiServer, store: TaskStore) -> None:
    for _ in range(QUEUE_LIMIT):
        incoming = store.spool.begin()
        store.accept(Task(incoming.task_id, "main", "", 48_000), incoming)
        incoming.discard()
    answer = api.post_file(wav())
    assert_problem(answer, 429)
    assert int(answer[1]["Retry-After"]) > 0


def test_unknown_things_are_404_and_wrong_methods_405(api: ApiServer) -> None:
    assert_problem(api.get("/nothing"), 404)
    assert_problem(api.get("/tasks/" + "0" * 32), 404)
    assert_problem(api.get("/tasks/..%2f..%2fetc"), 404)
    assert_problem(api.request("DELETE", "/tasks/nothing"), 404)
    answer = api.request("PUT", "/status")
    assert_problem(answer, 405)
    assert "GET" in answer[1]["Allow"]


@pytest.mark.parametrize("limit", ["0", "501", "x", "-1", "9" * 40, "\u0663"])
def test_a_bad_limit_is_refused(api: ApiServer, limit: str) -> None:
    assert_problem(api.get(f"/tasks?limit={quote(limit)}"), 422)


def test_a_task_can_be_cancelled_once(api: ApiServer, store: TaskStore) -> None:
    _, _, body = api.post_file(wav())
    status, _, task = api.request("DELETE", f"/tasks/{body['task_id']}")
    assert (status, task["state"], task["reason"]) == (200, "cancelled", "cancelled by request")
    assert task["ended_at"]
    assert_problem(api.request("DELETE", f"/tasks/{body['task_id']}"), 409)


def test_cancelling_on_air_tells_the_playout(api: ApiServer, store: TaskStore) -> None:
    _, _, body = api.post_file(wav())
    store.move(body["task_id"], ACTIVE_STATES, TaskState.PREPARING)
    store.move(body["task_id"], ACTIVE_STATES, TaskState.ON_AIR)
    with FakePlayout(api.paths.playout_socket) as playout:
        assert api.request("DELETE", f"/tasks/{body['task_id']}")[0] == 200
        assert [i["task_id"] for i in playout.interrupts] == [body["task_id"]]


def test_interrupt_says_what_was_stopped(api: ApiServer, tmp_path: Path) -> None:
    assert_problem(api.request("POST", "/interrupt"), 503)
    pcm = tmp_path / "x.s16"
    pcm.write_bytes(bytes(400))
    with FakePlayout(api.paths.playout_socket, ("main", "second"), speed=0) as playout:
        status, _, body = api.request("POST", "/interrupt")
        assert (status, body) == (200, {"status": "nothing_on_air", "task_id": None})
        play = {"channel": "second", "task_id": "t", "samples": 100, "from_sample": 0}
        playout._play({**play, "pcm": str(pcm)})
        headers = {"Content-Type": "application/json"}
        answer = api.request("POST", "/interrupt", b'{"channel": "second"}', headers)
        assert answer[2] == {"status": "interrupted", "task_id": "t"}
        assert_problem(api.request("POST", "/interrupt", b'{"channel": 3}', headers), 422)


def test_readiness_follows_the_playout(api: ApiServer) -> None:
    time.sleep(0.35)  # the age up to which an earlier answer is used again
    status, _, body = api.get("/readyz")
    assert (status, body["ready"]) == (503, False)
    with FakePlayout(api.paths.playout_socket, ("main", "second")):
        deadline = time.monotonic() + 3
        while api.get("/readyz")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert api.get("/readyz")[2] == {"ready": True, "reason": "on air"}


def test_many_looks_at_the_station_ask_the_playout_rarely(api: ApiServer) -> None:
    with FakePlayout(api.paths.playout_socket) as playout:
        begun = time.monotonic()
        for _ in range(50):
            api.get("/readyz")
            api.get("/status")
        most = (time.monotonic() - begun) / 0.3 + 2
        assert playout.status_asked <= most


def test_status_shows_every_thing_and_no_key(tmp_path: Path) -> None:
    key = "sk-very-secret-key"
    url = f"rtmp://live.example.org/app/{key}"
    settings = SettingsModel.model_validate(
        {
            "station": {"state_dir": str(tmp_path)},
            "relay": {"mode": "none"},
            "channels": [{"destinations": [{"name": "tube", "url": url}]}],
        }
    )
    client = create_app(settings).test_client()
    (tmp_path / "run" / "roles.json").write_text(
        '{"roles": [{"name": "playout", "pid": 1, "state": "running", "since": 1.0, '
        f'"last_error": "could not push {url}", "restarts": 0}}]}}'
    )
    leaky = FakeDestination("tube", last_error=f"cannot open {url}")
    with FakePlayout(tmp_path / "run" / "playout.sock", destinations=[leaky]):
        answer = client.get("/status")
    assert key not in answer.text
    body = answer.get_json()
    names = {thing["name"] for thing in body["things"]}
    assert {"role/playout", "push/main/tube", "idle/main"} <= names
    for thing in body["things"]:
        assert set(thing) == {"name", "state", "last_error", "since_s"}
    assert body["ready"]


def test_metrics_are_in_prometheus_format(api: ApiServer, store: TaskStore) -> None:
    api.post_file(wav())
    time.sleep(0.35)  # the age up to which an earlier answer is used again
    status, headers, text = api.get("/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    assert 'broadcaster_tasks_queued{channel="main"} 1.0' in text
    waited = re.search(r'broadcaster_oldest_queued_seconds{channel="main"} ([\d.e-]+)', text)
    assert waited is not None
    assert 0.3 < float(waited[1]) < 30
    assert 'broadcaster_oldest_queued_seconds{channel="second"} 0.0' in text
    assert re.search(r"^broadcaster_tasks_queue_limit [1-9]", text, re.MULTILINE)


def test_the_page_names_the_station(api: ApiServer) -> None:
    status, headers, text = api.get("/")
    assert status == 200
    assert headers["Content-Type"].startswith("text/html")
    assert "Broadcaster" in text
    assert "<option>second</option>" in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_a_station_name_cannot_inject_markup(tmp_path: Path) -> None:
    station = {"state_dir": str(tmp_path), "name": "<script>x</script>"}
    app = create_app(SettingsModel.model_validate({"station": station}))
    assert "<script>x" not in app.test_client().get("/").text


def test_a_fault_of_ours_is_a_problem_without_details(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SettingsModel.model_validate({"station": {"state_dir": str(tmp_path)}})
    app = create_app(settings)

    def broken() -> None:
        raise RuntimeError("secret detail")

    app.add_url_rule("/broken", view_func=broken)
    answer = app.test_client().get("/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.mimetype == "application/problem+json"


def test_a_locked_store_is_503_with_retry_after(api: ApiServer, store: TaskStore) -> None:
    other = sqlite3.connect(api.paths.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = api.post_file(wav())
    other.execute("ROLLBACK")
    other.close()
    assert_problem(answer, 503)
    assert int(answer[1]["Retry-After"]) > 0
    assert left_on_disk(api) == []


def test_a_killed_worker_is_replaced_and_accepted_tasks_are_there(
    api: ApiServer, store: TaskStore
) -> None:
    _, _, body = api.post_file(wav())
    os.kill(api.worker_pid(), signal.SIGKILL)
    deadline = time.monotonic() + 15
    while True:
        try:
            status, _, task = api.get(f"/tasks/{body['task_id']}", timeout_s=2)
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert (status, task["state"]) == (200, "queued")
