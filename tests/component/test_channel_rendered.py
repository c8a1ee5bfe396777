"""Rendered tasks on a channel: pictures from a real ring, at the tick they were made for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from broadcaster.mixer.blend import Picture, blend
from broadcaster.playout.spoken import SpokenSource
from broadcaster.playout.task_door import PlayOrder
from gpu_pool.contracts import PictureFormat, PictureRef
from gpu_pool.ring import Ring, RingReader
from tests.component.test_channel_door import pcm_file
from tests.doubles.channel_air import FADE, SLATE, STEPS, Air, shown_by
from tests.doubles.programme import SMALL, moving_pictures
from tests.oracles import splice_check

FORMAT = PictureFormat(SMALL.video.width, SMALL.video.height, SMALL.video.fps)
TICKS = 60
LEAD = 8


class Studio:
    """The other side: orders a task, writes its pictures into a ring, takes them back."""

    def __init__(self, air: Air, folder: Path, slots: int = TICKS + FADE) -> None:
        self.air, self.ring = air, Ring(slots, FORMAT.picture_bytes)
        self.samples = TICKS * SMALL.samples_per_tick
        self.pcm = pcm_file(folder, self.samples)
        self.pictures = moving_pictures(SMALL.video, TICKS + FADE, 77)
        self.answer: dict[str, Any] = {}

    def order(self, preroll: int = 10) -> dict[str, Any]:
        order = PlayOrder("a", self.pcm, self.samples, 0, LEAD, preroll)
        reader = RingReader(self.ring.path)
        self.answer = self.air.call(lambda: self.air.channel.play(order, reader))
        return self.answer

    def render(self, first: int, count: int) -> None:
        refs = self.ring.take(count)
        assert len(refs) == count, "the ring is full"
        for offset, ref in enumerate(refs):
            self.ring.picture(ref, FORMAT)[:] = self.pictures[first + offset]
        self.air.channel.announce("a", first, refs, count)

    def take_back(self) -> int:
        released = [e for e in self.air.events if e["event"] == "released"]
        self.air.events[:] = [e for e in self.air.events if e["event"] != "released"]
        return sum(self.ring.release([PictureRef(*r) for r in e["refs"]]) for e in released)

    @property
    def began(self) -> int:
        return next(int(e["tick"]) for e in self.air.events if e["event"] == "started")

    def expected(self, tick: int, idle: Picture, start: int) -> Picture:
        index, end = tick - start, start + TICKS
        weight = max(0, min(index + 1, STEPS, STEPS - 1 - (tick - end)))
        return blend(idle, self.pictures[max(0, min(index, TICKS + FADE - 1))], weight / STEPS)


@pytest.fixture
def studio(air: Air, tmp_path: Path) -> Iterator[Studio]:
    made = Studio(air, tmp_path)
    yield made
    made.ring.close()


def wait_for_sound(air: Air) -> None:
    """The samples are read by a thread in real time; ticks here are free."""
    source, deadline = air.channel._tasks.source("a"), time.monotonic() + 10
    assert isinstance(source, SpokenSource)
    while len(source._blocks) < 40:
        assert time.monotonic() < deadline, "the sound was never read"
        time.sleep(0.001)


def psnr_of(air: Air, studio: Studio, start: int, lost: range = range(0)) -> list[float]:
    idle, found = shown_by(SLATE), []
    for tick, picture in enumerate(air.heard().pictures):
        below = idle[tick % len(idle)]
        inside = start <= tick < start + TICKS + FADE and tick - start not in lost
        wanted = studio.expected(tick, below, start) if inside else below
        found.append(splice_check.psnr(picture, wanted))
    return found


def test_a_task_is_on_air_at_the_tick_it_was_rendered_for(air: Air, studio: Studio) -> None:
    air.run(31)
    answer = studio.order()
    assert (answer["index"], answer["pictures"]) == (0, TICKS + FADE)
    assert answer["tick"] >= air.channel.tick + LEAD
    studio.render(0, TICKS + FADE)
    air.run_until(lambda: air.ended("a"), 5000)
    air.run(60)
    assert studio.began == answer["tick"]
    assert min(psnr_of(air, studio, answer["tick"])) > 40
    assert studio.take_back() == TICKS + FADE
    assert studio.ring.free == studio.ring.slots


def test_a_task_that_misses_its_tick_begins_later_and_whole(air: Air, studio: Studio) -> None:
    answer = studio.order()
    air.run(40)
    studio.render(0, 9)
    air.run(10)
    assert air.told("a") == [], "nine pictures are less than its pre-roll"
    studio.render(9, TICKS + FADE - 9)
    air.run_until(lambda: air.ended("a"), 5000)
    air.run(60)
    assert studio.began > answer["tick"]
    assert min(psnr_of(air, studio, studio.began)) > 40
    done = next(e for e in air.events if e["event"] == "done")
    assert done["played_samples"] == studio.samples


def test_a_task_that_misses_its_tick_is_reserved_again_and_drawn_for_that_one(
    air: Air, studio: Studio
) -> None:
    missed = studio.order()
    assert missed["in_ticks"] >= LEAD
    assert missed["preroll_ticks"] == 10
    air.run(40)
    studio.render(0, 9)
    air.run(10)
    answer = air.call(lambda: air.channel.reserve("a", LEAD))
    assert answer["ok"]
    assert answer["index"] == 0
    assert answer["tick"] >= air.channel.tick + LEAD
    air.run(2)
    assert studio.take_back() == 9, "what was drawn for the tick before is given back"
    studio.render(0, TICKS + FADE)
    air.run_until(lambda: air.ended("a"), 5000)
    air.run(60)
    assert studio.began == answer["tick"]
    assert min(psnr_of(air, studio, answer["tick"])) > 40
    assert studio.take_back() == TICKS + FADE


def test_a_task_on_air_or_unknown_is_not_reserved_again(air: Air, studio: Studio) -> None:
    studio.order()
    studio.render(0, TICKS + FADE)
    air.run_until(lambda: air.told("a") == ["started"], 5000)
    assert air.call(lambda: air.channel.reserve("a", LEAD)) == {"ok": False, "error": "begun"}
    unknown = air.call(lambda: air.channel.reserve("b", LEAD))
    assert unknown == {"ok": False, "error": "no such task"}
    air.run_until(lambda: air.ended("a"), 5000)
    air.run(60)
    assert studio.take_back() == TICKS + FADE


def test_lost_pictures_show_idle_under_the_real_sound(air: Air, studio: Studio) -> None:
    answer = studio.order()
    wait_for_sound(air)
    studio.render(0, 20)
    air.channel.announce("a", 20, None, 10)
    studio.render(30, TICKS + FADE - 30)
    air.run_until(lambda: air.ended("a"), 5000)
    air.run(60)
    found = psnr_of(air, studio, studio.began, range(20, 30))
    assert min(found) > 38
    assert air.channel._mixer.underruns == 0
    assert air.channel._video.late_pictures == 0
    assert answer["ok"]


def test_a_ring_run_dry_pauses_sound_and_picture_together_and_loses_no_sample(
    air: Air, studio: Studio
) -> None:
    studio.order()
    studio.render(0, 25)
    air.run_until(lambda: air.channel._mixer.underruns == 1, 5000)
    air.run(40)
    assert air.channel.source == "slate"
    studio.render(25, TICKS + FADE - 25)
    air.run_until(lambda: air.ended("a"), 5000)
    air.run(40)
    # An event on index 25 tells where the task came back.
    first = studio.began
    second = next(e["tick"] for e in air.events if e["event"] == "progress" and e["index"] == 25)
    assert second > first + 25 + 40
    said = np.fromfile(studio.pcm, "<i2").reshape(-1, 2).T / np.float32(32768)
    per = SMALL.samples_per_tick
    mix = np.zeros((2, air.channel.tick * per), np.float32)
    mix[:, first * per : (first + 25) * per] = said[:, : 25 * per]
    mix[:, second * per : (second + TICKS - 25) * per] = said[:, 25 * per :]
    heard = air.heard().sound
    length = min(heard.shape[1], mix.shape[1]) // 1024 * 1024
    assert splice_check.block_rms(heard[:, :length] - mix[:, :length]).max() < 0.02


@pytest.mark.parametrize("late", range(1, FADE + 2))
def test_pictures_that_come_while_a_dry_task_fades_out_are_kept_for_their_sound(
    air: Air, studio: Studio, late: int
) -> None:
    studio.order()
    wait_for_sound(air)
    studio.render(0, 25)
    air.run_until(lambda: air.channel._mixer.underruns == 1, 5000)
    lead = air.channel._first_free_tick - air.channel.tick
    air.run(lead + late)
    for first in range(25, TICKS + FADE, 5):
        studio.render(first, min(5, TICKS + FADE - first))
        air.run(2)
    air.run_until(lambda: air.ended("a"), 5000)
    air.run(60)
    done = next(e for e in air.events if e["event"] == "done")
    assert done["played_samples"] == studio.samples
    assert air.channel._mixer.underruns == 1
    assert studio.take_back() == TICKS + FADE


def test_every_picture_comes_back_once_also_after_an_interrupt(air: Air, studio: Studio) -> None:
    studio.order()
    wait_for_sound(air)
    studio.render(0, 40)
    air.run_until(lambda: air.told("a") != [], 5000)
    air.run(5)
    assert air.call(lambda: air.channel.interrupt("a")) == "a"
    air.run_until(lambda: air.ended("a"))
    studio.render(40, 10)
    air.run(60)
    assert studio.take_back() == 50
    assert studio.ring.free == studio.ring.slots


def test_a_studio_that_came_back_goes_on_where_pictures_end(air: Air, studio: Studio) -> None:
    studio.order()
    wait_for_sound(air)
    studio.render(0, 30)
    air.run_until(lambda: studio.air.told("a") != [], 5000)
    lost, studio.ring = studio.ring, Ring(TICKS + FADE, FORMAT.picture_bytes)
    lost.close()
    answer = studio.order()
    assert (answer["index"], answer["tick"]) == (30, studio.began + 30)
    studio.render(30, TICKS + FADE - 30)
    air.run_until(lambda: air.ended("a"), 5000)
    air.run(60)
    assert air.channel._mixer.underruns == 0
    assert min(psnr_of(air, studio, studio.began)) > 40
    assert studio.take_back() == TICKS + FADE - 30, "references into a lost ring are not given back"


def test_a_studio_that_came_back_and_cannot_render_lets_the_sound_go_on(
    air: Air, studio: Studio
) -> None:
    studio.order()
    wait_for_sound(air)
    studio.render(0, 30)
    air.run_until(lambda: studio.air.told("a") != [], 5000)
    order = PlayOrder("a", studio.pcm, studio.samples)
    assert air.call(lambda: air.channel.play(order)) == {"ok": True}
    air.run_until(lambda: air.ended("a"), 5000)
    air.run(60)
    assert air.channel._mixer.underruns == 0
    assert min(psnr_of(air, studio, studio.began, range(30, TICKS + FADE))) > 38
    assert studio.take_back() == 30


def test_pictures_that_a_studio_took_back_while_it_was_out_of_touch_are_not_shown(
    air: Air, studio: Studio
) -> None:
    studio.order()
    wait_for_sound(air)
    studio.render(0, 40)
    air.run_until(lambda: any(e.get("index") == 25 for e in air.events), 5000)
    shown = air.channel.tick - studio.began
    refs = [PictureRef(slot, 1) for slot in range(studio.ring.slots)]
    studio.ring.release(refs)  # it has lost sight of the playout: nobody shows anything any more
    same = air.channel._tasks.source("a").rendered._ring
    order = PlayOrder("a", studio.pcm, studio.samples, 0, LEAD, 10)
    answer = air.call(lambda: air.channel.play(order, same))
    assert shown - 1 <= answer["index"] <= shown + 2
    for ref in studio.ring.take(studio.ring.slots):
        studio.ring.picture(ref, FORMAT)[:] = 255  # somebody else's pictures now
        studio.ring.release([ref])
    air.events[:] = [e for e in air.events if e["event"] != "released"]
    air.run(30)
    studio.render(answer["index"], TICKS + FADE - answer["index"])
    air.run_until(lambda: air.ended("a"), 5000)
    air.run(60)
    assert max(float(p[: SMALL.video.height].mean()) for p in air.heard().pictures) < 250
    assert next(e for e in air.events if e["event"] == "done")["played_samples"] == studio.samples
    assert studio.take_back() == TICKS + FADE - answer["index"]
