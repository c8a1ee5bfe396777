"""``POST /generate_video`` as a contract, under the real gunicorn: what may be sent, what is said.

Several tests stand for what went wrong in the service whose clients this one serves; their
docstrings say what that was.
"""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import idle_media
from broadcaster.speech.sound_files import SoundFiles
from broadcaster.store import Spool, TaskState, TaskStore
from broadcaster.store.task import ACTIVE_STATES
from tests.doubles.api_server import Answer, ApiServer, form
from tests.doubles.sound import wav

RATE = 48_000


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    limits = {"max_upload_mb": 2, "max_sound_s": 30.0, "queue_limit": 20}
    channels = [{"name": "main"}, {"name": "second", "audio": {"sample_rate": 44_100}}]
    made = ApiServer(tmp_path_factory.mktemp("api") / "var", api=limits, channels=channels)
    made.start()
    yield made
    made.close()


@pytest.fixture
def store(api: ApiServer) -> Iterator[TaskStore]:
    """The same store; after each test nothing waits in it."""
    made = TaskStore(api.paths.database, Spool(api.paths.spool), 1000)
    yield made
    for task in made.recent(500):
        if not task.ended:
            made.cancel(task.id, "end of test")
    made.clear_ended()
    made.forget_ended(-1)
    made.close()


def post_json(api: ApiServer, document: Any, **headers: str) -> Answer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kind = {"Content-Type": "application/json"}
    return api.request("POST", "/generate_video", body, {**kind, **named})


def post_form(
    api: ApiServer,
    content: bytes | None = None,
    fields: dict[str, str] | None = None,
    **headers: str,
) -> Answer:
    body, kind = form(content, "voice.wav", fields or {})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.request("POST", "/generate_video", body, {"Content-Type": kind, **named})


def refused(answer: Answer, status: int) -> str:
    assert answer[0] == status, answer[2]
    assert answer[1]["Content-Type"].startswith("application/problem+json")
    assert isinstance(answer[2]["error"], str)
    return str(answer[2]["error"])


def nothing_on_disk(api: ApiServer) -> bool:
    return not [*(api.paths.spool / "incoming").iterdir(), *api.paths.spool.glob("*/upload")]


# --- text -------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["json", "multipart", "urlencoded"])
def test_a_text_is_accepted_in_every_form(api: ApiServer, store: TaskStore, way: str) -> None:
    text = "Grüße, 世界! & = + %"
    if way == "json":
        answer = post_json(api, {"text": text, "voice": "espeak:de"})
    elif way == "multipart":
        answer = post_form(api, None, {"text": text, "voice": "espeak:de"})
    else:
        body = "text=Gr%C3%BC%C3%9Fe%2C+%E4%B8%96%E7%95%8C%21+%26+%3D+%2B+%25&voice=espeak%3Ade"
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = api.request("POST", "/generate_video", body, kind)
    assert answer[0] == 202, answer[2]
    task = store.get(answer[2]["task_id"])
    assert (task.text, task.voice, task.state) == (text, "espeak:de", TaskState.QUEUED)
    shown = api.get(answer[1]["Location"])[2]
    assert (shown["text"], shown["voice"], shown["duration_s"]) == (text, "espeak:de", None)


def test_the_station_chooses_the_voice_unless_told(api: ApiServer, store: TaskStore) -> None:
    fitting = idle_media.voice(idle_media.DEFAULT)
    for asked in ({}, {"voice": "auto"}, {"voice": ""}):
        task_id = post_json(api, {"text": "Hello.", **asked})[2]["task_id"]
        assert store.get(task_id).voice == fitting


def test_sound_and_text_are_either_or(api: ApiServer, store: TaskStore) -> None:
    assert "not both" in refused(post_form(api, wav(), {"text": "Hello."}), 400)
    assert "one of them" in refused(post_form(api, None, {"priority": "1"}), 400)
    assert "one of them" in refused(post_json(api, {"voice": "espeak"}), 400)
    assert nothing_on_disk(api)


def test_a_page_that_sends_both_fields_but_fills_one_is_understood(
    api: ApiServer, store: TaskStore
) -> None:
    """Browsers send an empty file for a file that was not chosen, and an empty text."""
    assert post_form(api, wav(), {"text": ""})[0] == 202
    empty = (
        b'--x\r\nContent-Disposition: form-data; name="audio_file"; filename=""\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\r\n"
        b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\nHello.\r\n--x--\r\n'
    )
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    status, _, body = api.request("POST", "/generate_video", empty, kind)
    assert status == 202
    assert store.get(body["task_id"]).text == "Hello."


@pytest.mark.parametrize(
    ("sent", "status", "says"),
    [
        ({"text": ""}, 422, "nothing"),
        ({"text": " \n\t"}, 422, "nothing"),
        ({"text": "?! ... \u200b\x00"}, 422, "nothing"),
        ({"text": "x" * 5001}, 413, "5000"),
        ({"text": "語" * 5001}, 413, "5000"),
        ({"text": ["Hello"]}, 422, "text must be a string"),
        ({"text": "Hello.", "voice": "bob"}, 422, "bob"),
        ({"text": "Hello.", "voice": "espeak:xx"}, 422, "xx"),
        ({"text": "Hello.", "voice": "espeak:de+nobody"}, 422, "nobody"),
        ({"text": "Hello.", "channel": "none"}, 422, "main, second"),
        ({"text": "Hello.", "avatar": "nobody"}, 422, "avatar"),
        ({"text": "Hello.", "priority": 101}, 422, "priority"),
        (["Hello."], 400, "object"),
        (b'{"text": "Hel', 400, "JSON"),
        (b"\xff\xfe", 400, "JSON"),
        (b"[" * 200_000, 400, "JSON"),
        (b'{"text": "' + b"x" * 300_000 + b'"}', 413, "too large"),
    ],
)
def test_a_text_that_cannot_be_said_is_refused_and_leaves_nothing(
    api: ApiServer, store: TaskStore, sent: Any, status: int, says: str
) -> None:
    assert says in refused(post_json(api, sent), status)
    assert nothing_on_disk(api)


def test_the_longest_text_in_the_longest_spelling_is_accepted(
    api: ApiServer, store: TaskStore
) -> None:
    text = "\U0001f600a" * 2500
    status, _, body = post_json(api, {"text": text})  # json.dumps spells each as \ud83d\ude00
    assert status == 202
    assert store.get(body["task_id"]).text == text


# --- what comes with it -----------------------------------------------------------------------


def test_wishes_are_kept_with_the_task(api: ApiServer, store: TaskStore) -> None:
    fields = {"priority": "7", "guidance_scale": "1.5", "inference_steps": "20", "seed": "3"}
    shown = api.get(f"/tasks/{post_form(api, wav(), fields)[2]['task_id']}")[2]
    assert (shown["priority"], shown["interrupt"]) == (7, False)
    assert shown["options"] == {"guidance_scale": 1.5, "inference_steps": 20}


def test_a_guidance_scale_that_no_engine_could_use_is_refused_before_it_is_a_task(
    api: ApiServer, store: TaskStore
) -> None:
    """There, a guidance over 1 made every batch fail after the client had been told 200."""
    assert "guidance_scale" in refused(post_form(api, wav(), {"guidance_scale": "x"}), 422)
    assert post_form(api, wav(), {"guidance_scale": "2"})[0] == 202


def test_more_tasks_than_workers_wait_in_order_instead_of_being_refused(
    api: ApiServer, store: TaskStore
) -> None:
    """There, as many tasks as GPUs were admitted, and their sounds were mixed up on air."""
    answers = [post_form(api, wav(1.5))[2] for _ in range(4)]
    assert [answer["position"] for answer in answers] == [0, 1, 2, 3]
    assert [answer["eta_seconds"] for answer in answers] == [0.3, 1.5, 3.0, 4.5]


def test_a_short_sound_is_decoded_when_it_is_answered(api: ApiServer, store: TaskStore) -> None:
    task_id = post_form(api, wav(1.5))[2]["task_id"]
    shown = api.get(f"/tasks/{task_id}")[2]
    assert (shown["state"], shown["duration_s"]) == ("queued", 1.5)
    task = store.get(task_id)
    assert SoundFiles(store.spool.sound(task_id), store.spool.sound_16k(task_id)).holds(
        task.samples, task.sample_rate
    )
    assert task.gain_db is not None
    long_id = post_form(api, wav(13))[2]["task_id"]
    assert api.get(f"/tasks/{long_id}")[2]["duration_s"] is None
    assert {file.name for file in store.spool.folder(long_id).iterdir()} == {"upload"}


def test_the_place_in_line_is_told_as_it_changes(api: ApiServer, store: TaskStore) -> None:
    first = post_form(api, wav(2))[2]["task_id"]
    last = post_json(api, {"text": "Good evening."})[2]["task_id"]
    urgent = post_form(api, wav(3), {"priority": "9"})[2]
    assert (urgent["position"], urgent["eta_seconds"]) == (0, 0.3)
    shown = api.get(f"/tasks/{last}")[2]
    assert (shown["position"], shown["eta_seconds"]) == (2, 5.0)
    store.move(first, ACTIVE_STATES, TaskState.PREPARING)
    store.move(first, ACTIVE_STATES, TaskState.ON_AIR, samples=2 * RATE)
    listed = {task["task_id"]: task for task in api.get("/tasks")[2]["tasks"]}
    assert (listed[first]["position"], listed[first]["eta_seconds"]) == (0, 0)
    store.cancel(first, "x")
    ended = api.get(f"/tasks/{first}")[2]
    assert (ended["position"], ended["eta_seconds"]) == (None, None)
    assert api.get(f"/tasks/{last}")[2]["position"] == 1


def test_other_channels_do_not_count(api: ApiServer, store: TaskStore) -> None:
    post_form(api, wav(9))
    assert post_form(api, wav(), {"channel": "second"})[2]["position"] == 0


@pytest.mark.parametrize(
    "prefer", ["status=200", "respond-async, status=200", "wait=5; status = 200", 'status="200"']
)
def test_a_client_that_knows_only_200_can_ask_for_it(
    api: ApiServer, store: TaskStore, prefer: str
) -> None:
    """Clients of the original service compare with 200 and read status and task_id."""
    status, headers, body = post_form(api, wav(), Prefer=prefer)
    assert (status, headers["Preference-Applied"]) == (200, "status=200")
    assert body["status"] == "processing_started"
    assert api.get(headers["Location"])[0] == 200, (
        "there, the task_id could not be used for anything"
    )
    assert post_form(api, wav(), Prefer="status=201")[0] == 202


def test_a_request_without_anything_gets_the_error_that_clients_read(api: ApiServer) -> None:
    """There, 400 with a string ``error`` whatever was wrong."""
    assert "audio_file" in refused(api.request("POST", "/generate_video"), 400)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    refused(api.request("POST", "/generate_video", "guidance_scale=1", kind), 400)


def test_a_sound_sent_as_a_plain_field_is_explained(api: ApiServer, store: TaskStore) -> None:
    assert "audio_file as a file" in refused(post_form(api, None, {"audio_file": "voice.wav"}), 400)


def test_an_upload_that_is_no_sound_never_becomes_a_task(api: ApiServer, store: TaskStore) -> None:
    """There, anything was accepted with 200 and failed later where nobody could see it."""
    for junk in (b"text named wav", wav()[:30], bytes(3000)):
        refused(post_form(api, junk), 422)
    assert store.recent() == []
    assert nothing_on_disk(api)


def float_wav(samples: np.ndarray, rate: int = 16_000) -> bytes:
    data = samples.astype("<f4").tobytes()
    head = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVEfmt ", 16, 3, 1,
                       rate, rate * 4, 4, 32, b"data", len(data))  # fmt: skip
    return head + data


def test_numbers_that_are_none_from_the_start_are_refused(api: ApiServer, store: TaskStore) -> None:
    refused(post_form(api, float_wav(np.full(48_000, np.nan))), 422)
    assert nothing_on_disk(api)


# --- idempotency ------------------------------------------------------------------------------


def test_the_same_request_with_the_same_key_is_one_task(api: ApiServer, store: TaskStore) -> None:
    sound = wav(1)
    first = post_form(api, sound, {"priority": "1"}, Idempotency_Key="once")
    again = post_form(api, sound, {"priority": "1", "idempotency_key": "once"})
    assert (first[0], again[0]) == (202, 202)
    assert first[2]["task_id"] == again[2]["task_id"]
    assert again[1]["Location"] == first[1]["Location"]
    assert "Idempotency-Replayed" not in first[1]
    assert again[1]["Idempotency-Replayed"] == "true"
    assert len(store.recent()) == 1
    assert len(list(api.paths.spool.glob("*/upload"))) == 1


def test_a_text_can_be_sent_twice_too_even_after_it_was_said(
    api: ApiServer, store: TaskStore
) -> None:
    first = post_json(api, {"text": "Hello."}, Idempotency_Key="said")[2]["task_id"]
    store.cancel(first, "x")
    status, _, body = post_json(api, {"text": "Hello."}, Idempotency_Key="said")
    assert (status, body["task_id"], body["position"]) == (202, first, 0)


@pytest.mark.parametrize("other", [{"priority": "1"}, {"channel": "second"}, {"interrupt": "true"}])
def test_the_same_key_for_another_request_is_a_conflict(
    api: ApiServer, store: TaskStore, other: dict[str, str]
) -> None:
    post_form(api, wav(1), Idempotency_Key="k")
    assert "another request" in refused(post_form(api, wav(1), other, Idempotency_Key="k"), 409)
    refused(post_form(api, wav(1.5), Idempotency_Key="k"), 409)
    refused(post_json(api, {"text": "Hello."}, Idempotency_Key="k"), 409)
    assert len(store.recent()) == 1
    assert len(list(api.paths.spool.glob("*/upload"))) == 1


def test_many_clients_with_one_key_at_once_get_one_task(api: ApiServer, store: TaskStore) -> None:
    """There, the check and the insertion were apart: two requests could both be admitted."""
    answers: list[Answer] = []
    at_once = threading.Barrier(4)

    def post() -> None:
        at_once.wait(10)
        answers.append(post_form(api, wav(0.5), Idempotency_Key="crowd"))

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer[0] for answer in answers] == [202] * 4
    assert len({answer[2]["task_id"] for answer in answers}) == 1
    assert len(list(api.paths.spool.glob("*/upload"))) == 1


def test_a_request_that_was_refused_does_not_use_up_its_key(
    api: ApiServer, store: TaskStore
) -> None:
    refused(post_form(api, b"junk", Idempotency_Key="later"), 422)
    assert post_form(api, wav(), Idempotency_Key="later")[0] == 202


def test_a_full_queue_still_answers_a_repeated_request(api: ApiServer, store: TaskStore) -> None:
    sound = wav(0.1)
    first = post_form(api, sound, Idempotency_Key="early")
    for _ in range(19):
        post_json(api, {"text": "Hello."})
    assert post_form(api, sound)[0] == 429
    again = post_form(api, sound, Idempotency_Key="early")
    assert (again[0], again[2]["task_id"]) == (202, first[2]["task_id"])
    assert again[2]["position"] == 0


def test_a_bad_key_is_refused(api: ApiServer) -> None:
    refused(post_json(api, {"text": "Hello."}, Idempotency_Key="k" * 300), 422)
    other = post_json(api, {"text": "Hello.", "idempotency_key": "a"}, Idempotency_Key="b")
    assert "Two different" in refused(other, 422)
