"""A channel changes its avatar on virtual ticks: when, and what a task is seen with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from broadcaster.playout.task_door import PlayOrder
from broadcaster.wire import Message
from tests.component.test_channel_door import pcm_file
from tests.doubles.channel_air import FADE, Air, TracedTask, expected_picture, loop_of, shown_by
from tests.doubles.programme import SMALL
from tests.oracles import splice_check

ANNA_LOOP, LEON_LOOP = loop_of(21, 2, title="anna"), loop_of(22, 3, title="leon")


def avatar(name: str, version: str = "1") -> Message:
    return {"name": name, "version": version, "engine": "presenter", "source": f"/{name}"}


ANNA, LEON = avatar("anna"), avatar("leon")


@pytest.fixture
def on_air(air: Air) -> Air:
    """A channel that has come up with Anna."""
    air.channel.show_idle(ANNA_LOOP, 1.0, ANNA)
    air.run_until(lambda: shown(air) == "anna")
    return air


def shown(air: Air) -> str | None:
    found = air.channel.report(0.0)["avatar"]["on_air"]
    return None if found is None else str(found["name"])


def states(air: Air) -> list[str]:
    told = [event for event in air.events if event["event"] == "avatar"]
    return [f"{event['avatar']['name']} {event['state']}" for event in told]


def wish(air: Air, wished: Message) -> Any:
    return air.call(lambda: air.channel.wish_avatar(wished))


def prepare_leon(air: Air) -> None:
    assert wish(air, LEON) == ("preparing", True)
    air.channel.avatar_prepared(LEON, LEON_LOOP)
    air.run(1)


def show_leon(air: Air) -> None:
    assert air.call(lambda: air.channel.show_avatar(LEON)) is True


def changed_at(air: Air) -> int:
    """The first tick sent from Leon's loop."""
    packets = [bytes(packet) for packet in LEON_LOOP.packets]
    return next(
        tick.tick
        for tick in air.recorder.ticks
        if bytes(tick.video.payload) == packets[tick.tick % len(packets)]
    )


def test_a_wished_avatar_is_prepared_shown_on_the_grid_and_told(on_air: Air) -> None:
    prepare_leon(on_air)
    on_air.run(60)
    assert shown(on_air) == "anna", "nobody has said to show him"
    show_leon(on_air)
    on_air.run_until(lambda: shown(on_air) == "leon", 90)
    assert states(on_air) == ["anna on_air", "leon prepared", "leon on_air"]
    at = changed_at(on_air)
    assert at % SMALL.gop_ticks == 0
    on_air.run(30)
    heard, anna, leon = on_air.heard(), shown_by(ANNA_LOOP), shown_by(LEON_LOOP)
    loops = [leon if tick >= at else anna for tick in range(at - 50, on_air.channel.tick)]
    expected = [
        loop[tick % len(loop)] for tick, loop in zip(range(at - 50, 9999), loops, strict=False)
    ]
    _, wrong = splice_check.match(heard.pictures[at - 50 :], expected)
    assert wrong == [], "a hole, or somebody else"


def test_a_task_on_air_ends_with_the_avatar_that_it_began_with(on_air: Air) -> None:
    prepare_leon(on_air)
    task = on_air.task(TracedTask("a", 60, SMALL))
    on_air.run_until(lambda: bool(task.mixed))
    show_leon(on_air)
    on_air.run_until(lambda: on_air.ended("a"))
    assert shown(on_air) == "anna"
    on_air.run_until(lambda: shown(on_air) == "leon", 120)
    at, start, end = changed_at(on_air), task.at[0], task.at[-1] + 1
    assert at >= end + FADE, "the fade back to idle was seen with him"
    on_air.run(10)
    anna, leon = shown_by(ANNA_LOOP), shown_by(LEON_LOOP)
    ticks = range(start - 5, on_air.channel.tick)
    expected = [
        leon[tick % len(leon)]
        if tick >= at
        else expected_picture(anna[tick % len(anna)], task, tick, start, end)
        for tick in ticks
    ]
    own, wrong = splice_check.match(on_air.heard().pictures[start - 5 :], expected)
    assert wrong == []
    assert own.min() >= 40


def test_a_task_of_another_avatar_waits_at_the_door(on_air: Air, tmp_path: Path) -> None:
    samples = 20 * SMALL.samples_per_tick
    pcm = pcm_file(tmp_path, samples)

    def play(task_id: str, label: str) -> Message:
        order = PlayOrder(task_id, pcm, samples, avatar=label)
        answer: Message = on_air.call(lambda: on_air.channel.play(order))
        return answer

    assert play("too-early", "leon.1") == {"ok": False, "error": "busy"}
    assert play("another-version", "anna.2") == {"ok": False, "error": "busy"}
    prepare_leon(on_air)
    show_leon(on_air)
    on_air.run(2)
    assert play("too-late", "anna.1") == {"ok": False, "error": "busy"}
    assert play("first-of-leon", "leon.1") == {"ok": True}
    on_air.run_until(lambda: on_air.ended("first-of-leon"), 900)
    began = next(e for e in on_air.events if e["event"] == "started")
    assert began["at_tick"] >= on_air.channel._timeline.changes
    assert states(on_air)[-1] == "leon on_air"
    on_air.run(60)
    assert changed_at(on_air) > began["at_tick"], "what follows is his idle"


def test_a_change_that_failed_leaves_who_is_there_and_may_be_tried_again(on_air: Air) -> None:
    assert wish(on_air, LEON) == ("preparing", True)
    assert wish(on_air, LEON) == ("preparing", False), "prepared twice"
    on_air.channel.avatar_failed(LEON, "no face")
    on_air.run(60)
    assert shown(on_air) == "anna"
    report = on_air.channel.report(0.0)["avatar"]
    assert (report["state"], report["error"]) == ("failed", "no face")
    assert on_air.call(lambda: on_air.channel.show_avatar(LEON)) is False
    assert wish(on_air, LEON) == ("preparing", True)


def test_a_wish_is_taken_back_by_wishing_who_is_there(on_air: Air) -> None:
    prepare_leon(on_air)
    task = on_air.task(TracedTask("a", 40, SMALL))
    on_air.run_until(lambda: bool(task.mixed))
    show_leon(on_air)
    assert wish(on_air, ANNA) == ("on_air", False)
    on_air.run_until(lambda: on_air.ended("a"))
    on_air.run(120)
    assert shown(on_air) == "anna"


def test_the_newest_of_several_wishes_counts(on_air: Air) -> None:
    mia = avatar("mia")
    assert wish(on_air, mia) == ("preparing", True)
    prepare_leon(on_air)
    on_air.channel.avatar_prepared(mia, loop_of(23))
    show_leon(on_air)
    on_air.run_until(lambda: shown(on_air) == "leon", 120)


def test_beside_clips_only_the_speaker_changes(air: Air) -> None:
    assert wish(air, LEON) == ("preparing", True)
    air.channel.avatar_prepared(LEON, None)
    air.run(1)
    show_leon(air)
    air.run(3)
    assert shown(air) == "leon"
    assert air.channel.source == "slate"
