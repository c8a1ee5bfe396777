"""Avatars over the real API, made by the real studio with the real engine; nothing is mocked.

The face models need not be there: faces are then found by OpenCV's own cascade.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broadcaster.callbacks.signature import HEADER, verify
from broadcaster.store import Spool
from broadcaster.store.avatars import AvatarRow
from tests.doubles import plaster_maker as plaster
from tests.doubles.api_server import Answer
from tests.doubles.avatar_files import (
    HANDLES,
    clip,
    drawn,
    far_face,
    film,
    four_k,
    no_face,
    png_bomb,
    portrait,
    two_faces,
)
from tests.doubles.avatar_station import AvatarStation, until
from tests.doubles.fake_playout import FakePlayout
from tests.doubles.receiver import BUSY, Receiver


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AvatarStation]:
    root = tmp_path_factory.mktemp("avatars") / "var"
    made = AvatarStation(root, max_upload_mb=2, max_clip_s=4.0)
    made.api.start()
    made.start_studio()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _nothing_left(station: AvatarStation) -> Iterator[None]:
    """Every test ends with an empty shelf, and no file lies about."""
    yield
    for name in {*station.shelf.names(), *(row.name for row in station.journal.all())}:
        assert station.delete(name) == 204
    until(lambda: station.left() == [], f"everything is gone: {station.left()}")


def refused(answer: Answer, status: int) -> str:
    assert answer[0] == status, answer[2]
    assert answer[1]["Content-Type"].startswith("application/problem+json")
    return str(answer[2]["error"])


def test_a_picture_becomes_an_avatar(station: AvatarStation) -> None:
    status, headers, body = station.post(portrait(), "Anna Smith.JPG", name="me")
    assert (status, headers["Location"]) == (202, "/avatars/me")
    assert (body["name"], body["file_name"]) == ("me", "Anna Smith.JPG")
    made = station.ended("me")
    assert (made["state"], made["kind"], made["engine"]) == ("ready", "picture", "photo")
    assert (made["progress"], made["error"], made["usable"]) == (1.0, None, True)
    assert (made["width"], made["height"]) == (1280, 720)
    assert set(made["handles"]) == set(HANDLES)
    assert made["size_bytes"] > 10_000
    assert made["created_at"]
    for which in ("thumbnail", "picture"):
        status, headers, _ = station.api.get(made["links"][which])
        assert (status, headers["Content-Type"]) == (200, "image/webp")
    listed = station.api.get("/avatars")[2]["avatars"]
    assert [each["name"] for each in listed] == ["anna", "leon", "me"]
    assert listed[2] == made


def test_a_clip_becomes_an_avatar_and_tells_how_far_it_is(station: AvatarStation) -> None:
    assert station.post(clip(2.0), "anna.mp4")[0] == 202
    seen: list[float] = []

    def over() -> bool:
        told = station.get("anna-2")
        seen.append(told["progress"])
        return bool(told["state"] != "making")

    until(over, "it is made")
    made = station.get("anna-2")
    assert (made["state"], made["kind"]) == ("ready", "clip"), made["error"]
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_those_of_the_station_have_pictures_too_and_cannot_be_changed(
    station: AvatarStation,
) -> None:
    shown = station.get("leon")
    assert (shown["bundled"], shown["kind"], shown["engine"]) == (True, "drawn", "presenter")
    for which in ("thumbnail", "picture"):
        status, headers, _ = station.api.get(shown["links"][which])
        assert (status, headers["Content-Type"]) == (200, "image/webp")
        known = {"If-None-Match": headers["ETag"]}
        assert station.api.request("GET", shown["links"][which], headers=known)[0] == 304
    assert station.delete("leon") == 409
    refused(station.put("/avatars/leon/handles", HANDLES), 409)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (no_face(), "No face"),
        (two_faces(), "2 faces"),
        (far_face(), "No face"),
        (b"this is not a picture", "not a JPEG"),
        (portrait()[:3000], "damaged"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "not a JPEG"),
        (clip(1.0)[:2000], "damaged"),
        (clip(8.0), "4 s are the most"),
        (png_bomb(), "million pixels"),
        (b"", "empty"),
    ],
)
def test_what_can_be_no_avatar_is_refused_at_once_and_leaves_nothing(
    station: AvatarStation, content: bytes, says: str
) -> None:
    assert says in refused(station.post(content, name="me"), 422)
    assert station.api.get("/avatars/me")[0] == 404
    assert station.left() == []


def test_a_4k_portrait_is_taken_and_made_smaller(station: AvatarStation) -> None:
    assert station.post(four_k(), name="large")[0] == 202
    made = station.ended("large")
    assert made["state"] == "ready", made["error"]
    assert made["width"] <= 1920


def test_what_only_the_whole_clip_tells_shows_as_failed(station: AvatarStation) -> None:
    """Nobody is found in it, which a look at the first picture does not tell."""
    black = drawn("anna", 640, 360) * 0
    assert station.post(film([black] * 25), "c.mp4", name="blank")[0] == 202
    failed = station.ended("blank")
    assert (failed["state"], failed["usable"], failed["version"]) == ("failed", False, None)
    assert "face" in failed["error"]
    assert station.post(portrait(), name="blank")[0] == 202, "another file may have the name"
    assert station.ended("blank")["state"] == "ready"


@pytest.mark.parametrize(
    "file_name",
    ["../../../etc/passwd", "..\\\\x.png", "/etc/" + "a" * 300 + ".jpg", "日本語"],
)
def test_what_a_client_calls_its_file_never_becomes_a_path(
    station: AvatarStation, file_name: str
) -> None:
    before = {each for each in station.paths.root.rglob("*") if "avatars" not in each.parts}
    status, headers, _ = station.post(portrait(), file_name)
    assert status == 202
    name = headers["Location"].removeprefix("/avatars/")
    assert station.ended(name)["state"] == "ready"
    assert station.shelf.names() == [name]
    after = {each for each in station.paths.root.rglob("*") if "avatars" not in each.parts}
    assert {each.name for each in after - before} <= {"incoming"}


@pytest.mark.parametrize(
    ("name", "status"),
    [("../x", 422), ("a/b", 422), ("A", 422), ("x" * 33, 422), (".x", 422), ("日本", 422),
     ("anna", 409), ("auto", 409), ("none", 409)],
)  # fmt: skip
def test_a_name_that_cannot_be_is_refused(station: AvatarStation, name: str, status: int) -> None:
    refused(station.post(portrait(), name=name), status)
    assert station.shelf.names() == []


@pytest.mark.parametrize("path", ["..", "%2e%2e", "..%2f..%2fstore.sqlite3", ".bundled", "nobody"])
def test_a_strange_path_finds_nothing(station: AvatarStation, path: str) -> None:
    for tail in ("", "/thumbnail", "/picture"):
        assert station.api.get(f"/avatars/{path}{tail}")[0] == 404
    assert station.delete(path) in {404, 405}


def test_the_same_sent_again_is_answered_the_same(station: AvatarStation) -> None:
    first = station.post(portrait(), "me.jpg", name="me")
    again = station.post(portrait(), "other.jpg", name="me")
    assert (first[0], again[0]) == (202, 202)
    assert again[1]["Idempotency-Replayed"] == "true"
    made = station.ended("me")
    later = station.post(portrait(), "me.jpg", name="me")
    assert (later[0], later[2]["version"]) == (202, made["version"])
    assert "already" in refused(station.post(portrait("leon"), name="me"), 409)
    assert len(station.shelf.versions("me")) == 1


def test_without_a_name_the_same_file_is_the_same_avatar_and_another_gets_a_number(
    station: AvatarStation,
) -> None:
    places = [
        station.post(content, "me.jpg")[1]["Location"]
        for content in (portrait(), portrait("leon"), portrait())
    ]
    assert places == ["/avatars/me", "/avatars/me-2", "/avatars/me"]
    assert [station.ended(name)["state"] for name in ("me", "me-2")] == ["ready", "ready"]


def test_handles_can_be_given_and_dragged(station: AvatarStation) -> None:
    assert station.post(portrait(), name="me", handles=json.dumps(HANDLES))[0] == 202
    made = station.ended("me")
    for point, given in HANDLES.items():
        assert made["handles"][point] == pytest.approx(given, abs=1.0)
    moved = {**made["handles"], "chin": [641.0, 327.0]}
    status, headers, body = station.put(made["links"]["handles"], moved)
    assert (status, headers["Location"], body["usable"]) == (202, "/avatars/me", True)
    changed = station.ended("me")
    assert changed["error"] is None
    assert changed["handles"] == moved
    assert changed["version"] != made["version"]
    again = station.post(portrait(), name="me", handles=json.dumps(HANDLES))
    assert again[1]["Idempotency-Replayed"] == "true", "it is still the avatar of that file"


def test_handles_that_form_no_face_change_nothing(station: AvatarStation) -> None:
    station.post(portrait(), name="me")
    made = station.ended("me")
    place = made["links"]["handles"]
    assert "object" in refused(station.put(place, [1]), 400)
    assert "must be these" in refused(station.put(place, {"nose": [1, 2]}), 422)
    assert "outside" in refused(station.put(place, {**made["handles"], "chin": [1, 9999]}), 422)
    assert "point" in refused(station.put(place, {**made["handles"], "chin": ["a", None]}), 422)
    turned = {**made["handles"], "mouth_left": made["handles"]["mouth_right"]}
    assert station.put(place, turned)[0] == 202
    until(lambda: station.get("me")["error"] is not None, "the change has failed")
    kept = station.get("me")
    assert (kept["state"], kept["version"]) == ("ready", made["version"])
    assert "newest change failed" in kept["error"]
    assert station.put(place, made["handles"])[0] == 202
    until(lambda: station.get("me")["error"] is None, "a good change heals it")


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"handles": "["}, 400, "JSON"),
        ({"handles": "[]"}, 400, "object"),
        ({"handles": '{"nose": [1, 2]}'}, 422, "nose"),
        ({"handles": '{"chin": [1]}'}, 422, "chin"),
        ({"handles": json.dumps({"chin": [1e999, 0]})}, 422, "chin"),
        ({"handles": " " + "[" * 20_000}, 413, "too long"),
        ({"callback_url": "file:///etc/passwd"}, 422, "callback_url"),
        ({"callback_url": "http://"}, 422, "callback_url"),
        ({"callback_url": "http://x:99999/"}, 422, "callback_url"),
        ({"callback_url": "http://10.1.2.3/made"}, 422, "callback_url"),
        ({"callback_url": "http://localhost/made"}, 422, "callback_url"),
    ],
)
def test_a_field_that_cannot_be_meant_is_refused(
    station: AvatarStation, fields: dict[str, str], status: int, says: str
) -> None:
    assert says in refused(station.post(portrait(), name="me", **fields), status)
    assert station.left() == []


def test_how_it_ended_is_told_to_whom_it_was_to_be(station: AvatarStation) -> None:
    with Receiver(BUSY) as receiver:
        station.post(portrait(), "a.jpg", name="me", callback_url=receiver.url)
        until(lambda: len(receiver.heard) == 2, "told, and after a refusal again")
        station.post(
            film([drawn("anna", 640, 360) * 0] * 25),
            "b.mp4",
            name="nobody",
            callback_url=receiver.url,
        )
        until(lambda: len(receiver.heard) == 3, "the failure is told as well")
    first, again, failed = receiver.heard
    assert (first.body, first.headers["X-Broadcaster-Event-Id"]) == (
        again.body, again.headers["X-Broadcaster-Event-Id"],
    )  # fmt: skip
    secret = station.paths.callback_secret.read_text().strip()
    assert verify(secret, again.headers[HEADER], again.body, time.time())
    told = json.loads(again.body)
    assert (told["event"], told["avatar"], told["state"]) == ("avatar.ready", "me", "ready")
    assert (told["reason"], told["file_name"]) == (None, "a.jpg")
    assert told["ended_at"] >= told["created_at"]
    told = json.loads(failed.body)
    assert (told["event"], told["avatar"], told["state"]) == ("avatar.failed", "nobody", "failed")
    assert told["reason"] == station.get("nobody")["error"]


def test_what_is_no_upload_is_explained(station: AvatarStation) -> None:
    kind = {"Content-Type": "application/json"}
    refused(station.api.request("POST", "/avatars", "{}", kind), 415)
    refused(station.api.request("POST", "/avatars"), 415)
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    refused(station.api.request("POST", "/avatars", "--x--\r\n", form), 400)
    assert "2 MB" in refused(station.post(bytes(3 << 20), name="me"), 413)


def test_a_body_that_lies_about_its_length_is_cut_off(station: AvatarStation) -> None:
    def blocks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(20):
            yield bytes(1 << 17)

    kind = {"Content-Type": "multipart/form-data; boundary=x", "Transfer-Encoding": "chunked"}
    answer = station.api.request("POST", "/avatars", blocks(), kind, chunked=True)
    assert answer[0] == 413


def test_an_upload_that_is_broken_off_leaves_nothing(station: AvatarStation) -> None:
    head = (
        "POST /avatars HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    )
    with socket.create_connection(("127.0.0.1", station.api.port)) as client:
        client.sendall(head.encode() + bytes(300_000))
        until(lambda: station.left() != [], "it has begun to arrive")
    until(lambda: station.left() == [], "it is gone")


def test_what_is_on_air_is_not_removed(station: AvatarStation) -> None:
    station.post(portrait(), name="me")
    station.ended("me")
    with FakePlayout(station.paths.playout_socket) as playout:
        playout.avatars["main"] = "me"
        until(lambda: station.get("me")["channels"] == ["main"], "the playout shows it")
        assert "in use by main" in refused(station.api.request("DELETE", "/avatars/me"), 409)
    until(lambda: station.get("me")["channels"] == [], "nobody shows it")
    assert station.delete("me") == 204
    assert station.delete("me") == 404


def test_what_becomes_of_avatars_is_told_to_every_listener(station: AvatarStation) -> None:
    listener = http.client.HTTPConnection("127.0.0.1", station.api.port, timeout=20)
    listener.request("GET", "/events?channel=main")
    stream = listener.getresponse()
    told: list[dict[str, Any]] = []

    def listen() -> None:
        while len(told) < 2:
            line = stream.readline().decode()
            if line.startswith("data: "):
                told.append(json.loads(line[6:]))

    thread = threading.Thread(target=listen)
    thread.start()
    station.post(portrait(), name="good")
    station.ended("good")
    broken = AvatarRow("bad", "0" * 32, "photo")
    station.journal.ask(broken, lambda: None, on_shelf=False)
    station.ring()
    thread.join(20)
    listener.close()
    assert [(each["event"], each["avatar"]) for each in told] == [
        ("avatar_made", "good"),
        ("avatar_failed", "bad"),
    ]
    assert told[1]["reason"] == "The uploaded file is gone."


# --- what happens to a making -----------------------------------------------------------------


def scripted(station: AvatarStation, name: str, folder: Path, **script: Any) -> None:
    """Have an avatar made by the maker whose faults are written in the file."""
    spool = Spool(station.paths.spool)
    incoming = spool.begin()
    incoming.file.write(plaster.source(folder, **script).read_bytes())
    incoming.sync()
    row = AvatarRow(name, incoming.task_id, plaster.ENGINE, fingerprint=name)
    station.journal.ask(row, lambda: station.shelf.adopt(incoming), on_shelf=False)
    incoming.discard()
    station.ring()


def begun_anew(station: AvatarStation, name: str) -> bool:
    row = station.journal.find(name)
    return row is not None and row.attempts == 2 and row.progress == 0.5


def test_a_studio_killed_in_mid_making_begins_anew(station: AvatarStation, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    scripted(station, "slow", tmp_path, until=str(go_on))
    until(lambda: station.get("slow")["progress"] == 0.5, "it is being made")
    station.kill_studio()
    assert station.get("slow")["state"] == "making"
    station.start_studio()
    until(lambda: begun_anew(station, "slow"), "it is being made again")
    assert len(list((station.paths.avatars / ".drafts").iterdir())) == 1
    go_on.touch()
    assert station.ended("slow")["state"] == "ready"


def test_a_studio_killed_before_it_could_write_that_it_was_done_does_not_fail_it(
    station: AvatarStation, tmp_path: Path
) -> None:
    station.kill_studio()
    scripted(station, "done", tmp_path)
    row = station.journal.find("done")
    assert row is not None
    station.journal.begin(row.place)
    with station.shelf.draft() as draft:
        plaster._write(draft.files, {"handles": plaster.HANDLES, "warnings": []})
        draft.picture.write_bytes(b"RIFF")
        made = station.shelf.put(draft, "done", plaster.ENGINE, "x")
    station.start_studio()
    ended = station.ended("done")
    assert (ended["state"], ended["version"]) == ("ready", made.version)


def thing(station: AvatarStation) -> Any:
    """The maker in ``/status``."""
    things = station.api.get("/status")[2]["things"]
    return next(each for each in things if each["name"] == "avatars")


def test_a_file_that_takes_its_maker_with_it_fails_alone(
    station: AvatarStation, tmp_path: Path
) -> None:
    scripted(station, "bomb", tmp_path, fault="crash")
    scripted(station, "fine", tmp_path)
    assert "unexpectedly" in station.ended("bomb")["error"]
    assert station.ended("fine")["state"] == "ready"
    until(lambda: thing(station)["state"] == "idle", "the maker rests")
    assert "bomb" in thing(station)["last_error"]


def test_a_full_disk_fails_a_making_in_words(station: AvatarStation, tmp_path: Path) -> None:
    scripted(station, "fat", tmp_path, fault="full")
    assert station.ended("fat")["error"] == "The disk is full: the avatar could not be stored."


def test_what_is_removed_while_it_is_made_is_called_off(
    station: AvatarStation, tmp_path: Path
) -> None:
    scripted(station, "slow", tmp_path, until=str(tmp_path / "never"))
    scripted(station, "next", tmp_path)
    until(lambda: station.get("slow")["progress"] == 0.5, "it is being made")
    assert station.delete("slow") == 204
    assert station.ended("next")["state"] == "ready"
    assert station.api.get("/avatars/slow")[0] == 404
    assert station.shelf.names() == ["next"]


def test_too_many_at_once_are_told_to_come_later(station: AvatarStation, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    for number in range(4):
        scripted(station, f"n{number}", tmp_path, until=str(go_on))
    answer = station.post(portrait(), name="me")
    assert "4 avatars" in refused(answer, 429)
    assert int(answer[1]["Retry-After"]) > 0
    go_on.touch()
    for number in range(4):
        assert station.ended(f"n{number}")["state"] == "ready"
    assert station.post(portrait(), name="me")[0] == 202
    station.ended("me")


def test_a_broken_folder_is_listed_with_its_fault_and_can_be_removed(
    station: AvatarStation,
) -> None:
    station.post(portrait(), name="me")
    station.ended("me")
    (station.shelf.newest("me").files / "avatar.json").write_text("{")
    station.shelf.newest("me").folder.rename(station.shelf.root / "me" / "0002-new")
    listed = {each["name"]: each for each in station.api.get("/avatars")[2]["avatars"]}
    assert (listed["me"]["state"], listed["me"]["usable"]) == ("failed", False)
    assert "avatar.json" in listed["me"]["error"]
    assert str(station.paths.root) not in listed["me"]["error"]
    assert station.api.get("/avatars/me/thumbnail")[0] == 404
    assert station.delete("me") == 204
