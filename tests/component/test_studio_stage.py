"""The studio's stage with real workers and a real ring; the test does what the playout does."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from broadcaster.avatars.shelf import find
from broadcaster.settings.model import Channel, Pool, SettingsModel, Video
from broadcaster.studio.appointment import AGAIN_WITHIN_S, MARGIN_TICKS
from broadcaster.studio.backdrop import RING_S
from broadcaster.studio.stage import NEXT_SHARE, Readiness, Stage
from gpu_pool.contracts import EngineSpec, PictureFormat, PictureRef
from gpu_pool.engines.simulated import read_stamp, task_number
from gpu_pool.ring import RingReader

ANNA = find("anna", Path())
FPS = 25
VIDEO = Video(width=192, height=112, fps=FPS)
FORMAT = PictureFormat(192, 112, FPS)
SPOKEN, TAIL = 100, 10
RATE = 48_000
SLOTS = int(RING_S * FPS)
AHEAD = int(SLOTS * (1 - NEXT_SHARE))
WHOLE = AHEAD // 8 * 8
"""Whole batches of a task with none before it."""
WAITING = int(SLOTS * NEXT_SHARE) // 8 * 8
"""Whole batches of a task behind another one."""
RAMP = np.linspace(0, 1, SPOKEN * 640, dtype=np.float32)
"""A sound whose loudness tells the moment."""


class Air:
    """Takes what the stage announces, and gives pictures back as a playout does."""

    def __init__(self, folder: Path, engine: dict[str, Any], devices: tuple[str, ...]) -> None:
        self.messages: list[dict[str, Any]] = []
        settings = SettingsModel(channels=(Channel(video=VIDEO),), pool=Pool(devices=devices))
        spec = EngineSpec("simulated", engine)
        self.paused_s = 0.0
        self.reserved: list[int] = []
        """Leads that another tick was asked for with."""
        self.begun = False
        self.stage = Stage(settings, self.take, self.now, {"main": ANNA}, spec)
        self.sound = folder / "sound.f32"
        RAMP.tofile(self.sound)
        self.stamps: dict[int, Any] = {}
        self.lost: set[int] = set()
        self.given_back = 0

    def now(self) -> float:
        return time.monotonic() + self.paused_s

    def take(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """What is announced; another tick than 1000 is 2000."""
        if message["op"] == "pictures":
            self.messages.append(message)
            return {"ok": True}
        self.reserved.append(message["lead_ticks"])
        answer = {"tick": 2000, "index": 0, "from_sample": 0, "in_ticks": message["lead_ticks"]}
        answer |= {"spoken": SPOKEN, "pictures": SPOKEN + TAIL, "preroll_ticks": 5}
        return {"ok": False, "error": "begun"} if self.begun else {"ok": True, **answer}

    def until(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline
            self.stage.bring_forward()
            self.look()
            time.sleep(0.005)

    def order(self, task: str, tick: int = 1000, index: int = 0, from_sample: int = 0) -> None:
        samples = SPOKEN * RATE // FPS - from_sample
        asked = self.stage.order("main", samples)
        assert set(asked) == {"ring", "avatar", "lead_ticks", "preroll_ticks"}
        self.reader = RingReader(Path(asked["ring"]))
        spoken = SPOKEN - from_sample * FPS // RATE
        answer = {"tick": tick, "index": index, "from_sample": from_sample}
        answer |= {"spoken": spoken, "pictures": spoken + TAIL}
        answer |= {"in_ticks": 50, "preroll_ticks": 5}
        self.stage.begin("main", task, answer, self.sound, self.sound.with_name("none"))

    def look(self, give_back: bool = True) -> None:
        for message in self.messages:
            if message["refs"] is None:
                self.lost |= set(range(message["first"], message["first"] + message["count"]))
                continue
            for offset, pair in enumerate(message["refs"]):
                index, ref = message["first"] + offset, PictureRef(*pair)
                assert index not in self.stamps, "a picture came twice"
                picture = self.reader.picture(ref, FORMAT)
                assert picture is not None
                self.stamps[index] = read_stamp(picture)
            if give_back:
                self.stage.on_released([tuple(pair) for pair in message["refs"]])
                self.given_back += len(message["refs"])
        self.messages.clear()

    def count(self, told: dict[str, int]) -> dict[str, int]:
        """Take what was announced, without giving anything back; adds it up by task."""
        for message in self.messages:
            told[message["task_id"]] += len(message["refs"])
        self.messages.clear()
        return told

    @property
    def free(self) -> int:
        report = self.stage.report()
        assert report is not None
        return report.free_pictures


@contextmanager
def on_stage(
    folder: Path, engine: dict[str, Any] | None = None, devices: tuple[str, ...] = ("cpu",)
) -> Iterator[Air]:
    air = Air(folder, engine or {}, devices)
    try:
        air.until(lambda: air.stage.readiness("main") is Readiness.READY)
        ring = Path(str(air.stage.order("main", 1)["ring"]))
        assert ring.exists()
        yield air
    finally:
        air.stage.close()
    assert not ring.exists()


def test_every_picture_is_rendered_for_its_tick_and_the_ring_is_empty_afterwards(
    tmp_path: Path,
) -> None:
    with on_stage(tmp_path) as air:
        slots = air.free
        air.order("a")
        air.until(lambda: len(air.stamps) == SPOKEN + TAIL)
        for index, stamp in air.stamps.items():
            assert (stamp.task, stamp.picture) == (task_number("a"), index)
            assert stamp.tick == 1000 + index
        air.stage.end("a")
        air.until(lambda: air.free == slots)


def test_a_task_behind_another_holds_a_third_of_the_ring_and_the_first_one_the_rest(
    tmp_path: Path,
) -> None:
    with on_stage(tmp_path) as air:
        air.order("a")
        air.order("b", tick=1000 + SPOKEN)
        told = {"a": 0, "b": 0}
        deadline = time.monotonic() + 60
        while air.count(told) != {"a": WHOLE, "b": WAITING}:
            assert time.monotonic() < deadline
            air.stage.bring_forward()
            time.sleep(0.01)
        report = air.stage.report()
        assert report is not None
        assert report.queued == report.in_flight == 0, "nothing more is asked for"


def test_pictures_follow_the_air_when_a_task_begins_later_than_expected(tmp_path: Path) -> None:
    with on_stage(tmp_path, {"picture_s": 0.005}) as air:
        air.order("a")
        air.until(lambda: len(air.stamps) >= 8)
        air.stage.on_place("a", 0, 1007)
        air.until(lambda: len(air.stamps) == SPOKEN + TAIL)
        assert air.stamps[0].tick == 1000
        assert all(air.stamps[index].tick == 1007 + index for index in range(60, SPOKEN + TAIL))


def test_a_missed_tick_is_drawn_again_where_that_is_soon_done(tmp_path: Path) -> None:
    with on_stage(tmp_path) as air:
        slots = air.free
        air.order("a")
        air.paused_s += 10.0
        air.until(lambda: len(air.stamps) == SPOKEN + TAIL)
        assert [stamp.tick - index for index, stamp in air.stamps.items()] == [2000] * (
            SPOKEN + TAIL
        )
        assert len(air.reserved) == 1
        assert 1 + MARGIN_TICKS <= air.reserved[0] <= AGAIN_WITHIN_S * FPS + 1 + MARGIN_TICKS
        air.stage.end("a")
        air.until(lambda: air.free == slots)


def test_a_tick_missed_twice_is_not_reserved_a_third_time(tmp_path: Path) -> None:
    with on_stage(tmp_path) as air:
        air.order("a")
        air.paused_s += 10.0
        air.until(lambda: bool(air.reserved))
        air.paused_s += 10.0
        air.until(lambda: len(air.stamps) == SPOKEN + TAIL)
        assert [stamp.tick - index for index, stamp in air.stamps.items()] == [2000] * (
            SPOKEN + TAIL
        )
        assert len(air.reserved) == 1


def test_a_missed_tick_of_a_slow_engine_is_faded_over(tmp_path: Path) -> None:
    with on_stage(tmp_path, {"picture_s": 0.015}) as air:
        air.order("a")
        air.paused_s += 10.0
        air.until(lambda: len(air.stamps) == SPOKEN + TAIL)
        assert air.reserved == []
        assert [stamp.tick - index for index, stamp in air.stamps.items()] == [1000] * (
            SPOKEN + TAIL
        )


def test_a_task_that_began_just_in_time_goes_on_with_what_is_there(tmp_path: Path) -> None:
    with on_stage(tmp_path) as air:
        air.begun = True
        air.order("a")
        air.paused_s += 10.0
        air.until(lambda: len(air.stamps) == SPOKEN + TAIL)
        assert [stamp.tick - index for index, stamp in air.stamps.items()] == [1000] * (
            SPOKEN + TAIL
        )
        assert len(air.reserved) == 1


def test_a_task_that_is_resumed_hears_the_sound_of_its_place(tmp_path: Path) -> None:
    with on_stage(tmp_path) as air:
        air.order("a", from_sample=50 * RATE // FPS)
        air.until(lambda: len(air.stamps) == 50 + TAIL)
        for index in (0, 20, 49):
            own = RAMP[(50 + index) * 640 : (51 + index) * 640]
            assert air.stamps[index].loudness == pytest.approx(own.mean() * 1e6, rel=1e-3)


@pytest.mark.parametrize("picture", [0, 51, SPOKEN + TAIL - 1])
def test_a_worker_that_dies_is_not_noticed_in_the_pictures(tmp_path: Path, picture: int) -> None:
    fault = {"fault": "kill", "picture": picture, "times": 1, "marks": str(tmp_path)}
    with on_stage(tmp_path, {"faults": [fault]}) as air:
        air.order("a")
        air.until(lambda: len(air.stamps) == SPOKEN + TAIL)
        assert air.lost == set()


def test_a_batch_that_kills_every_worker_is_lost_and_the_others_come(tmp_path: Path) -> None:
    fault = {"fault": "kill", "picture": 42}
    with on_stage(tmp_path, {"faults": [fault]}, ("cpu", "cpu")) as air:
        air.order("a")
        air.until(lambda: len(air.stamps) + len(air.lost) == SPOKEN + TAIL)
        assert 42 in air.lost
        assert len(air.lost) <= 8
        slots = air.free
        assert slots > 0


def test_a_playout_that_is_lost_leaves_no_picture_behind(tmp_path: Path) -> None:
    with on_stage(tmp_path) as air:
        slots = air.free
        air.order("a")
        air.until(lambda: len(air.stamps) >= 8)
        air.look(give_back=False)
        air.stage.playout_lost()
        assert not air.stage.holds("a")
        air.until(lambda: air.free == slots)


def test_a_playout_that_is_lost_while_it_is_told_leaves_no_picture_behind(tmp_path: Path) -> None:
    with on_stage(tmp_path) as air:
        slots, told = air.free, list[dict[str, Any]]()

        def lose(message: dict[str, Any]) -> None:
            told.append(message)
            air.stage.playout_lost()

        air.order("a")
        air.messages.clear()
        air.stage._announce = lose
        air.until(lambda: bool(told))
        air.until(lambda: air.free == slots)


def test_pictures_of_an_earlier_ring_are_not_taken_for_the_present_ones(tmp_path: Path) -> None:
    with on_stage(tmp_path) as air:
        slots = air.free
        air.order("a")
        deadline = time.monotonic() + 60
        while sum(len(message["refs"]) for message in air.messages) < WHOLE:
            assert time.monotonic() < deadline
            air.stage.bring_forward()
            time.sleep(0.01)
        taken = slots - air.free
        pairs = [tuple(pair) for message in air.messages for pair in message["refs"]]
        air.stage.on_released(pairs, "/dev/shm/gpu-pool-of-a-studio-that-died")
        assert slots - air.free == taken == WHOLE
        air.stage.on_released(pairs, str(air.reader.path))
        assert air.free == slots


def test_when_every_worker_is_parked_sound_goes_on_without_pictures(tmp_path: Path) -> None:
    with on_stage(tmp_path, {"picture_s": 0.02}) as air:
        slots = air.free
        air.order("a")
        air.until(lambda: len(air.stamps) >= 8)
        air.stage.on_place("a", 8, 1008)
        deadline = time.monotonic() + 60
        while air.stage.readiness("main") is not Readiness.NEVER:
            assert time.monotonic() < deadline
            report = air.stage.report()
            assert report is not None
            if report.slots[0].pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(report.slots[0].pid, signal.SIGKILL)
            air.stage.bring_forward()
            air.look()
            time.sleep(0.01)
        air.until(lambda: 8 + AHEAD - 1 in air.lost | air.stamps.keys())
        assert max(air.lost) < 8 + AHEAD, "what is on air later may still be rendered"
        air.stage.on_place("a", SPOKEN, 1000 + SPOKEN)
        air.until(lambda: len(air.stamps) + len(air.lost) == SPOKEN + TAIL)
        air.until(lambda: air.free == slots)


def test_a_channel_without_a_presenter_never_has_pictures(tmp_path: Path) -> None:
    settings = SettingsModel(channels=(Channel(video=VIDEO, avatar="none"),))
    stage = Stage(settings, lambda _: None, time.monotonic, {})
    assert stage.readiness("main") is Readiness.NEVER
    assert stage.report() is None
    stage.close()


def test_workers_that_cannot_load_leave_tasks_to_the_idle_picture(tmp_path: Path) -> None:
    settings = SettingsModel(channels=(Channel(video=VIDEO),), pool=Pool(devices=("cpu",)))
    fault = {"fault": "exit", "picture": -1}
    stage = Stage(
        settings,
        lambda _: None,
        time.monotonic,
        {"main": ANNA},
        EngineSpec("simulated", {"faults": [fault]}),
    )
    try:
        deadline = time.monotonic() + 60
        while stage.readiness("main") is Readiness.WAIT:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert stage.readiness("main") is Readiness.NEVER
    finally:
        stage.close()
