"""Callbacks against real sockets: what is told, how often, and where it never goes."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broadcaster.callbacks import delivery
from broadcaster.callbacks.courier import PAUSES_S, Courier
from broadcaster.callbacks.delivery import Outcome, deliver
from broadcaster.callbacks.signature import HEADER, verify
from broadcaster.callbacks.target import Allowed, read_target
from broadcaster.store import Spool, Task, TaskState, TaskStore
from broadcaster.store.outbox import Callback
from broadcaster.store.task import ACTIVE_STATES
from tests.doubles.receiver import (
    BUSY,
    DEAF,
    DRIP,
    HANG,
    HUGE,
    OK,
    Receiver,
    certificate,
    redirect,
)

SECRET = "a secret that only the test knows"
HERE = Allowed(["127.0.0.1"])
NO_TRUST = ssl.create_default_context()
WHOLE_S = 10.0
SHORT_S = 0.5


def post(
    url: str,
    allowed: Allowed = HERE,
    trust: ssl.SSLContext = NO_TRUST,
    whole_s: float = WHOLE_S,
) -> Outcome:
    return deliver(read_target(url), b"{}", {"X-Test": "1"}, allowed, trust, whole_s)


# --- one attempt -----------------------------------------------------------------------------


def test_a_taken_callback_is_one_post_with_our_host_and_body() -> None:
    with Receiver() as receiver:
        assert post(receiver.url) == Outcome(True)
    (heard,) = receiver.heard
    assert heard.line == "POST /hook?key=1 HTTP/1.1"
    assert heard.headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert heard.headers["X-Test"] == "1"
    assert heard.body == b"{}"


@pytest.mark.parametrize("status", [400, 401, 404, 408, 429, 500, 503])
def test_any_other_answer_is_a_reason_to_try_again(status: int) -> None:
    with Receiver(f"HTTP/1.1 {status} No\r\n\r\n".encode()) as receiver:
        assert post(receiver.url) == Outcome(False, f"answered {status}")


def test_gone_is_final() -> None:
    with Receiver(b"HTTP/1.1 410 Gone\r\n\r\n") as receiver:
        assert post(receiver.url).hopeless


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_private_place_is_not_followed(status: int) -> None:
    with Receiver() as private:
        with Receiver(redirect(private.url, status)) as receiver:
            outcome = post(receiver.url)
        assert private.connections == 0
    assert outcome == Outcome(False, f"answered {status}: redirects are not followed", True)


@pytest.mark.parametrize("fault", [HANG, DRIP, DEAF])
def test_a_receiver_that_never_answers_is_given_up_in_time(fault: bytes) -> None:
    with Receiver(fault) as receiver:
        begun = time.monotonic()
        outcome = post(receiver.url, whole_s=SHORT_S)
    assert outcome == Outcome(False, "no answer within 0.5 s")
    assert time.monotonic() - begun < 5


def test_a_tls_handshake_that_never_ends_is_given_up_in_time() -> None:
    with Receiver(DEAF) as receiver:
        outcome = post(receiver.url.replace("http:", "https:"), whole_s=SHORT_S)
    assert outcome == Outcome(False, "no answer within 0.5 s")


def test_an_endless_body_is_not_read() -> None:
    with Receiver(HUGE) as receiver:
        assert post(receiver.url) == Outcome(True)
    assert receiver.bytes_sent < 32 * 2**20, "more than the sockets' own buffers was taken"


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x00" * 70000]
)
def test_what_is_no_http_answer_is_tried_again(answer: bytes) -> None:
    with Receiver(answer) as receiver:
        outcome = post(receiver.url)
    assert (outcome.delivered, outcome.hopeless) == (False, False)
    assert outcome.error


def test_nobody_listening_is_tried_again() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        outcome = post(f"http://127.0.0.1:{taken.getsockname()[1]}/")
    assert outcome == Outcome(False, "Connection refused")


def test_a_certificate_must_be_for_the_name(tmp_path: Path) -> None:
    server, trust = certificate(tmp_path, "localhost", "127.0.0.1")
    with Receiver(tls=server) as receiver:
        assert post(receiver.url, HERE, trust) == Outcome(True)
        by_name = f"https://localhost:{receiver.port}/"
        assert post(by_name, Allowed(["localhost"]), trust) == Outcome(True)
        assert "certificate" in post(receiver.url, HERE, NO_TRUST).error
    other, trust = certificate(tmp_path, "other.example")
    with Receiver(tls=other) as receiver:
        outcome = post(receiver.url, HERE, trust)
    assert "certificate is not accepted" in outcome.error
    assert receiver.heard == [], "nothing is said to whom we do not believe"


# --- names ------------------------------------------------------------------------------------


class Names:
    """A name server that gives each look-up its own answer, in place of the system's."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in answer]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Names]:
    def use(*answers: list[str]) -> Names:
        names = Names(*answers)
        monkeypatch.setattr(delivery.socket, "getaddrinfo", names)
        return names

    return use


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["169.254.169.254"]])
def test_a_name_that_leads_to_a_private_address_is_refused_for_good(
    resolver: Callable[..., Names], answer: list[str]
) -> None:
    with Receiver() as receiver:
        resolver(answer)
        outcome = post(f"http://hooks.example.com:{receiver.port}/", Allowed())
    assert outcome.hopeless
    assert "hooks.example.com leads to" in outcome.error
    assert receiver.connections == 0


def test_a_name_is_looked_up_once_so_that_it_cannot_change_its_mind(
    resolver: Callable[..., Names],
) -> None:
    with Receiver(host="127.0.0.2") as meant, Receiver() as private:
        names = resolver(["127.0.0.2"], ["127.0.0.1"])
        outcome = post(f"http://hooks.example.com:{meant.port}/", Allowed(["127.0.0.2"]))
        assert outcome == Outcome(True)
        assert names.asked == ["hooks.example.com"]
        assert private.connections == 0
    assert meant.heard[0].headers["Host"] == f"hooks.example.com:{meant.port}"


def test_the_next_address_is_tried_when_one_is_dead(resolver: Callable[..., Names]) -> None:
    with Receiver() as receiver:
        resolver(["127.0.0.9", "127.0.0.1"])
        url = f"http://hooks.example.com:{receiver.port}/"
        assert post(url, Allowed(["127.0.0.0/8"])) == Outcome(True)


def test_an_unknown_name_is_tried_again() -> None:
    outcome = post("http://no-such-host.invalid/", Allowed())
    assert outcome == Outcome(False, "the host name is not known")


# --- from a task's change to its delivery ------------------------------------------------------


class World:
    """A store, and couriers over it in virtual wall time."""

    def __init__(self, folder: Path) -> None:
        (folder / "spool").mkdir()
        self.store = TaskStore(folder / "store.sqlite3", Spool(folder / "spool"), 1000)
        self.now_s = time.time() + 1
        self.courier = self.new_courier()

    def new_courier(self) -> Courier:
        return Courier(
            self.store.outbox, SECRET, HERE, 3600.0, whole_s=WHOLE_S, now_s=lambda: self.now_s
        )

    def task(self, url: str, *states: TaskState, **changes: Any) -> Task:
        incoming = self.store.spool.begin()
        task = Task(incoming.task_id, "main", "voice.wav", 48_000, callback_url=url)
        self.store.accept(task, incoming)
        incoming.file.close()
        for state in states:
            more = changes if state is states[-1] else {}
            task = self.store.move(task.id, ACTIVE_STATES, state, **more)
        return task

    def run_until(self, done: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not done():
            assert time.monotonic() < deadline
            self.courier.run_once()
            time.sleep(0.005)

    def told(self, task: Task) -> list[Callback]:
        return self.store.outbox.of(task.id)

    def states(self, task: Task) -> list[str]:
        return [each.state for each in self.told(task)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


ON_AIR = (TaskState.PREPARING, TaskState.BUFFERING, TaskState.ON_AIR)


def test_the_start_and_the_end_of_a_task_are_told_and_signed(world: World) -> None:
    with Receiver() as receiver:
        task = world.task(receiver.url, *ON_AIR, TaskState.DONE, samples=96_000)
        world.run_until(lambda: world.states(task) == ["delivered"] * 2)
    bodies = [json.loads(heard.body) for heard in receiver.heard]
    by_event = {body["event"]: body for body in bodies}
    assert set(by_event) == {"task.started", "task.done"}
    ended = by_event["task.done"]
    assert (ended["task_id"], ended["state"], ended["channel"]) == (task.id, "done", "main")
    assert (ended["duration_s"], ended["reason"]) == (2.0, None)
    assert ended["created_at"] <= ended["started_at"] <= ended["ended_at"]
    assert by_event["task.started"]["ended_at"] is None
    for heard, body in zip(receiver.heard, bodies, strict=True):
        assert verify(SECRET, heard.headers[HEADER], heard.body, world.now_s)
        assert heard.headers["X-Broadcaster-Event-Id"] == body["event_id"]
        assert heard.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("states", "changes", "event"),
    [
        ((TaskState.CANCELLED,), {"reason": "cancelled by request"}, "task.cancelled"),
        ((TaskState.PREPARING, TaskState.FAILED), {"error": "Grüße: no sound"}, "task.failed"),
    ],
)
def test_other_ends_are_told_with_their_reason(
    world: World, states: tuple[TaskState, ...], changes: dict[str, str], event: str
) -> None:
    with Receiver() as receiver:
        task = world.task(receiver.url, *states, **changes)
        world.run_until(lambda: world.states(task) == ["delivered"])
    told = json.loads(receiver.heard[0].body)
    assert (told["event"], told["reason"]) == (event, *changes.values())


def test_a_task_whose_file_was_lost_is_told_too(world: World) -> None:
    task = world.task("http://127.0.0.1:1/")
    world.store.spool.remove(task.id)
    world.store.sweep()
    assert [each.event for each in world.told(task)] == ["task.failed"]


def test_nobody_is_told_of_a_task_that_names_nobody(world: World) -> None:
    assert world.told(world.task("", *ON_AIR, TaskState.DONE)) == []


def test_it_is_tried_again_with_the_same_id_and_body_until_it_is_taken(world: World) -> None:
    with Receiver(BUSY, BUSY) as receiver:
        task = world.task(receiver.url, TaskState.CANCELLED)
        for attempt in (1, 2):
            world.run_until(lambda: world.told(task)[0].attempts == attempt)  # noqa: B023
            assert world.told(task)[0].next_s == world.now_s + PAUSES_S[attempt - 1]
            world.courier.run_once()
            assert len(receiver.heard) == attempt, "not before its time"
            world.now_s += PAUSES_S[attempt - 1]
        world.run_until(lambda: world.states(task) == ["delivered"])
    assert len({heard.body for heard in receiver.heard}) == 1
    signatures = {heard.headers[HEADER] for heard in receiver.heard}
    assert len(signatures) == 3, "each attempt is signed at its own time"
    assert verify(SECRET, receiver.heard[2].headers[HEADER], receiver.heard[2].body, world.now_s)


def test_it_is_given_up_after_the_last_pause_and_says_why(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Receiver(*[BUSY] * 20) as receiver:
        task = world.task(receiver.url, TaskState.CANCELLED)
        for attempt in range(1, len(PAUSES_S) + 2):
            world.run_until(lambda: world.told(task)[0].attempts == attempt)  # noqa: B023
            world.now_s += 700
        world.courier.run_once()
    (told,) = world.told(task)
    assert (told.state, told.attempts, told.last_error) == ("failed", 6, "answered 500")
    assert len(receiver.heard) == 6
    assert "is given up: answered 500" in caplog.text
    assert "key=1" not in caplog.text
    assert "hook" not in caplog.text
    assert SECRET not in caplog.text


def test_a_new_courier_goes_on_where_the_old_one_died(world: World) -> None:
    with Receiver(HANG) as receiver:
        task = world.task(receiver.url, TaskState.CANCELLED)
        world.run_until(lambda: receiver.heard)
        world.courier = world.new_courier()  # the old one never notes how it went
        world.run_until(lambda: world.states(task) == ["delivered"])
    first, second = receiver.heard
    assert first.body == second.body


def test_a_slow_receiver_holds_up_only_itself(world: World) -> None:
    with Receiver(*[HANG] * 20) as slow, Receiver() as quick:
        waiting = [world.task(slow.url, TaskState.CANCELLED) for _ in range(10)]
        told = [world.task(quick.url, TaskState.CANCELLED) for _ in range(5)]
        world.run_until(lambda: all(world.states(task) == ["delivered"] for task in told))
        assert slow.connections <= 1 + sum(world.told(task)[0].attempts for task in waiting)
        assert len(quick.heard) == 5


def test_a_private_name_becomes_a_failed_callback(
    world: World, resolver: Callable[..., Names]
) -> None:
    resolver(["10.0.0.1"])
    task = world.task("https://hooks.example.com/x", TaskState.CANCELLED)
    world.run_until(lambda: world.states(task) == ["failed"])
    assert "a private address (10.0.0.1)" in world.told(task)[0].last_error


def test_a_clock_set_back_leaves_nothing_waiting_for_days(world: World) -> None:
    with Receiver() as receiver:
        task = world.task(receiver.url, TaskState.CANCELLED)
        world.now_s -= 10 * 86_400
        world.run_until(lambda: world.states(task) == ["delivered"])


def test_what_was_told_is_forgotten_after_its_time(world: World) -> None:
    with Receiver(OK) as receiver:
        task = world.task(receiver.url, TaskState.CANCELLED)
        world.run_until(lambda: world.states(task) == ["delivered"])
        world.now_s += 3600 + 600
        world.courier.run_once()
    assert world.told(task) == []


def test_a_started_courier_finds_and_delivers_by_itself(world: World) -> None:
    with Receiver() as receiver:
        world.courier.start()
        task = world.task(receiver.url, TaskState.CANCELLED)
        deadline = time.monotonic() + 10
        while world.states(task) != ["delivered"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        world.courier.close()
