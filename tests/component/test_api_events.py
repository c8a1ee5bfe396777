"""``/events`` under the real gunicorn: who is told what, who is let go, and what it costs."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broadcaster.store import Spool, Task, TaskState, TaskStore
from broadcaster.store.task import ACTIVE_STATES
from tests.doubles.api_server import ApiServer
from tests.doubles.fake_playout import FakePlayout

LISTENERS = 3


class Listening:
    """A client of ``/events`` that reads line by line."""

    def __init__(self, api: ApiServer, path: str = "/events", last_id: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)
        self._connection.request("GET", path, headers={"Last-Event-ID": last_id} if last_id else {})
        self.response = self._connection.getresponse()
        if self.response.status == 200:
            assert self.response.headers["Content-Type"].startswith("text/event-stream")
            assert self.next_lines() == {"retry": "2000"}

    def next_lines(self) -> dict[str, str]:
        """The fields of the next block."""
        fields: dict[str, str] = {}
        while True:
            line = self.response.readline().decode()
            if not line:
                raise ConnectionResetError
            if line == "\n":
                return fields
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value

    def next_event(self) -> tuple[str, dict[str, Any], str]:
        """Kind, data and id of the next event; comments are passed over."""
        while "event" not in (fields := self.next_lines()):
            pass
        data = json.loads(fields["data"])
        assert data["event"] == fields["event"]
        return fields["event"], data, fields["id"]

    def close(self) -> None:
        self.response.close()
        self._connection.close()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiServer]:
    channels = [{"name": "main"}, {"name": "second"}]
    made = ApiServer(tmp_path / "var", api={"event_clients": LISTENERS}, channels=channels)
    made.start()
    yield made
    made.close()


@pytest.fixture
def playout(api: ApiServer) -> Iterator[FakePlayout]:
    with FakePlayout(api.paths.playout_socket, ("main", "second"), speed=0) as made:
        yield made


@pytest.fixture
def listen(api: ApiServer) -> Iterator[Callable[..., Listening]]:
    made: list[Listening] = []

    def begin(path: str = "/events", last_id: str = "") -> Listening:
        made.append(Listening(api, path, last_id))
        return made[-1]

    yield begin
    for each in made:
        each.close()


@pytest.fixture
def store(api: ApiServer) -> Iterator[TaskStore]:
    made = TaskStore(api.paths.database, Spool(api.paths.spool), 100)
    yield made
    made.close()


def accepted(store: TaskStore) -> str:
    incoming = store.spool.begin()
    task = store.accept(Task(incoming.task_id, "main", "x", 48_000), incoming)
    incoming.discard()
    return task.id


def play(
    api: ApiServer, playout: FakePlayout, task_id: str, seconds: int, channel: str = "main"
) -> None:
    pcm = api.paths.root / f"{task_id}.s16"
    pcm.write_bytes(bytes(seconds * 48_000 * 4))
    order = {"channel": channel, "task_id": task_id, "samples": seconds * 48_000}
    assert playout._play({**order, "from_sample": 0, "pcm": str(pcm)})["ok"]


def until_subscribed(playout: FakePlayout) -> None:
    deadline = time.monotonic() + 10
    while not getattr(playout, "_subscribers", []):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_listener_hears_when_a_task_begins_and_ends_on_air(
    api: ApiServer, playout: FakePlayout, listen: Callable[..., Listening]
) -> None:
    listening = listen()
    until_subscribed(playout)
    play(api, playout, "a", 2)
    kind, data, _ = listening.next_event()
    assert (kind, data["task_id"], data["channel"]) == ("started", "a", "main")
    assert (data["played_s"], data["tick"]) == (0, 0)
    assert data["at"].endswith("+00:00")
    playout.advance(3)
    kind, data, _ = listening.next_event()
    assert (kind, data["task_id"], data["played_s"]) == ("finished", "a", 2.0)
    play(api, playout, "b", 5)
    assert listening.next_event()[0] == "started"
    playout._interrupt({"channel": "main"})
    kind, data, _ = listening.next_event()
    assert (kind, data["task_id"], data["reason"]) == ("interrupted", "b", "interrupted")


def test_an_event_arrives_at_once(
    api: ApiServer, playout: FakePlayout, listen: Callable[..., Listening]
) -> None:
    listening = listen()
    until_subscribed(playout)
    late_s = []
    for number in range(5):
        begun = time.monotonic()
        play(api, playout, f"t{number}", 1)
        playout.advance(2)
        assert listening.next_event()[0] == "started"
        assert listening.next_event()[0] == "finished"
        late_s.append(time.monotonic() - begun)
    assert sorted(late_s)[2] < 0.5, late_s


def test_a_channel_can_be_chosen(
    api: ApiServer, playout: FakePlayout, listen: Callable[..., Listening]
) -> None:
    listening = listen("/events?channel=second")
    until_subscribed(playout)
    play(api, playout, "a", 1)
    play(api, playout, "b", 1, "second")
    assert listening.next_event()[1]["task_id"] == "b"
    assert listen("/events?channel=third").response.status == 422


def test_a_listener_that_comes_back_misses_nothing(
    api: ApiServer, playout: FakePlayout, listen: Callable[..., Listening]
) -> None:
    listening = listen()
    until_subscribed(playout)
    play(api, playout, "a", 1)
    last_id = listening.next_event()[2]
    playout.advance(2)
    back = listen(last_id=last_id)
    assert back.next_event()[0] == "finished"


def test_a_task_that_fails_before_it_gets_to_the_air_is_told_too(
    api: ApiServer, playout: FakePlayout, listen: Callable[..., Listening], store: TaskStore
) -> None:
    listening = listen()
    task_id = accepted(store)
    store.move(task_id, ACTIVE_STATES, TaskState.FAILED, error="it cannot be decoded")
    kind, data, _ = listening.next_event()
    assert (kind, data["task_id"]) == ("failed", task_id)
    assert data["reason"] == "it cannot be decoded"


def test_what_the_playout_told_is_not_told_again_from_the_store(
    api: ApiServer, playout: FakePlayout, listen: Callable[..., Listening], store: TaskStore
) -> None:
    listening = listen()
    until_subscribed(playout)
    ids = [accepted(store), accepted(store)]
    play(api, playout, ids[0], 1)
    playout.advance(2)
    for state in (TaskState.PREPARING, TaskState.ON_AIR, TaskState.DONE):
        store.move(ids[0], ACTIVE_STATES, state)
    store.cancel(ids[1], "cancelled by request")
    heard = [listening.next_event()[:2] for _ in range(3)]
    assert [(kind, data["task_id"]) for kind, data in heard] == [
        ("started", ids[0]), ("finished", ids[0]), ("cancelled", ids[1])
    ]  # fmt: skip


def test_a_task_that_is_cancelled_before_it_began_was_not_interrupted(
    api: ApiServer, playout: FakePlayout, listen: Callable[..., Listening], store: TaskStore
) -> None:
    listening = listen()
    until_subscribed(playout)
    ids = [accepted(store), accepted(store)]
    for each in ids:
        play(api, playout, each, 1)
    assert listening.next_event()[0] == "started"
    playout._interrupt({"channel": "main", "task_id": ids[1]})
    store.cancel(ids[1], "cancelled by request")
    kind, data, _ = listening.next_event()
    assert (kind, data["task_id"], data["reason"]) == ("cancelled", ids[1], "cancelled by request")


def test_a_playout_that_dies_is_found_again(
    api: ApiServer, playout: FakePlayout, listen: Callable[..., Listening]
) -> None:
    listening = listen()
    until_subscribed(playout)
    playout.die()
    playout._subscribers.clear()
    playout.start()
    until_subscribed(playout)
    play(api, playout, "a", 1)
    assert listening.next_event()[1]["task_id"] == "a"


def test_too_many_listeners_are_told_to_come_later_and_requests_go_on(
    api: ApiServer, playout: FakePlayout, listen: Callable[..., Listening]
) -> None:
    for _ in range(LISTENERS):
        listen()
    refused = listen()
    assert refused.response.status == 503
    assert int(refused.response.headers["Retry-After"]) > 0
    assert json.loads(refused.response.read())["error"]
    for _ in range(20):
        assert api.get("/healthz", timeout_s=2)[0] == 200


def test_a_listener_that_has_gone_makes_room_within_seconds(
    api: ApiServer, playout: FakePlayout, listen: Callable[..., Listening]
) -> None:
    for _ in range(LISTENERS):
        listen().close()
    deadline = time.monotonic() + 8
    while True:
        back = listen()
        back.close()
        if back.response.status == 200:
            return
        assert time.monotonic() < deadline, "gone listeners still hold their places"
        time.sleep(0.1)


def test_listeners_do_not_hold_up_a_stop(
    api: ApiServer, playout: FakePlayout, listen: Callable[..., Listening]
) -> None:
    listening = listen()
    until_subscribed(playout)
    assert api.process is not None
    api.process.terminate()
    assert listening.response.read() == b"", "the stream ends as a stream should"
    api.process.wait(5)
    assert api.process.returncode == 0


def test_one_subscription_serves_every_listener(
    api: ApiServer, playout: FakePlayout, listen: Callable[..., Listening]
) -> None:
    listening = [listen() for _ in range(LISTENERS)]
    until_subscribed(playout)
    play(api, playout, "a", 1)
    assert [each.next_event()[1]["task_id"] for each in listening] == ["a"] * LISTENERS
    assert len(playout._subscribers) == 1
