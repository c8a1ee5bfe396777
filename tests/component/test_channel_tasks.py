"""Tasks on a channel on virtual ticks: what goes out is decoded and compared with what should."""

from __future__ import annotations

import numpy as np
import pytest

from broadcaster.codec.sound_line import Silence
from broadcaster.mixer.blend import blend
from broadcaster.mixer.mixer import INTERRUPT_FADE_TICKS
from tests.doubles.channel_air import (
    CD,
    FADE,
    SLATE,
    STEPS,
    Air,
    TracedTask,
    assert_pictures,
    assert_sounds_like,
    audible,
    loop_of,
    shown_by,
    silent_mix,
)
from tests.doubles.programme import (
    SMALL,
)
from tests.oracles import splice_check


@pytest.mark.parametrize("ticks", [1, 2, 2 * FADE - 1, 40])
def test_a_task_of_any_length_is_seen_and_heard_whole(air: Air, ticks: int) -> None:
    air.run(20)
    task = air.task(TracedTask("a", ticks, SMALL))
    air.run_until(lambda: air.ended("a"))
    assert air.recorder.ticks[-1].tick == task.at[-1], "done is told with the last tick"
    air.run(70)
    assert air.told("a") == ["started", "done"]
    assert task.indices == list(range(ticks))
    assert task.at == list(range(task.at[0], task.at[0] + ticks))
    assert task.closed
    heard = air.heard()
    assert_pictures(air, heard, task)
    assert_sounds_like(air, heard, silent_mix(air, task))


@pytest.mark.parametrize("phase", [19, 20, 21, 22, 23])
def test_a_task_may_come_at_any_distance_from_the_grid(air: Air, phase: int) -> None:
    """Two IDRs side by side would carry one idr_pic_id: the start is put off by one tick."""
    air.run(25 + phase - 9)
    task = air.task(TracedTask("a", 20, SMALL))
    air.run_until(lambda: air.ended("a"))
    air.run(50)
    assert_pictures(air, air.heard(), task)


def test_back_to_idle_is_at_the_grid_and_then_nothing_is_encoded(air: Air) -> None:
    task = air.task(TracedTask("a", 10, SMALL))
    air.run_until(lambda: air.ended("a"))
    air.run(100)
    back = -(-(task.at[-1] + 1 + FADE) // 25) * 25
    assert [t.idle for t in air.recorder.ticks].index(True, task.at[0]) == back
    assert air.channel._video.live_ticks == back - task.at[0]
    assert air.channel._pictures.get(air.channel.tick) is None


def test_a_task_that_runs_dry_fades_out_and_comes_back_without_a_sample_lost(air: Air) -> None:
    task = TracedTask("a", 60, SMALL)
    task.ready = 27
    air.task(task)
    air.run_until(lambda: len(task.mixed) == 27)
    air.run(90)
    assert not air.channel.live
    assert air.told("a") == ["started"]
    assert air.recorder.ticks[-1].idle
    task.ready = 60
    air.run_until(lambda: air.ended("a"))
    air.run(70)
    assert task.indices == list(range(60))
    assert air.told("a") == ["started", "done"]
    heard = air.heard()
    assert_sounds_like(air, heard, silent_mix(air, task))
    pause = task.at[26] + 1
    idle = shown_by(SLATE)
    weights = [(STEPS - 1 - n) / STEPS for n in range(FADE)]
    for n, weight in enumerate(weights):
        wanted = blend(idle[(pause + n) % 25], task.picture(26, idle[0]), weight)
        assert splice_check.psnr(heard.pictures[pause + n], wanted) >= 38
    assert np.array_equal(heard.pictures[pause + 30], idle[(pause + 30) % 25])


def test_a_task_that_runs_dry_at_once_twice_still_splices_exactly(air: Air) -> None:
    """The pause begins before the first picture is out: its idle pictures must not be let go."""
    task = TracedTask("a", 30, SMALL)
    task.ready = 30
    air.run(21)
    air.task(task)
    air.run_until(lambda: len(task.mixed) == 1)
    task.ready = 1
    air.run(1)
    task.ready = 30
    air.run_until(lambda: air.ended("a"))
    air.run(70)
    assert task.indices == list(range(30))
    assert air.channel._video.late_pictures == 0
    assert_sounds_like(air, air.heard(), silent_mix(air, task))


@pytest.mark.parametrize("after", [0, 3, 30])
def test_an_interrupt_is_over_within_the_lead_and_one_mixed_picture(air: Air, after: int) -> None:
    task = air.task(TracedTask("a", 200, SMALL))
    air.run_until(lambda: air.told("a") == ["started"])
    air.run(after)
    asked = air.channel.tick
    assert air.call(lambda: air.channel.interrupt(None)) == "a"
    lead = air.channel._sound.lead_ticks
    air.run_until(lambda: air.ended("a"))
    assert air.told("a") == ["started", "interrupted"]
    last = task.at[-1]
    assert last - asked <= lead + 2
    air.run(60)
    heard, idle = air.heard(), shown_by(SLATE)
    for tick in range(last + 1 + INTERRUPT_FADE_TICKS, air.channel.tick):
        assert splice_check.psnr(heard.pictures[tick], idle[tick % 25]) > 38
    mix = silent_mix(air, task)
    per = SMALL.samples_per_tick
    mix[:, last * per : (last + 1) * per] *= np.linspace(1.0, 0.0, per, dtype=np.float32)
    assert_sounds_like(air, heard, mix)
    assert air.call(lambda: air.channel.interrupt(None)) is None


@pytest.mark.parametrize("before_end", [36, 34, 20, 6])
def test_an_interrupt_shortly_before_the_end_finds_its_idle_pictures(
    air: Air, before_end: int
) -> None:
    """They were decoded for the planned end: an earlier one needs earlier pictures."""
    air.run(4)
    task = air.task(TracedTask("a", 100, SMALL))
    air.run_until(lambda: bool(task.mixed))
    air.run(task.at[0] + 100 - before_end - air.channel.tick)
    assert air.call(lambda: air.channel.interrupt("a")) == "a"
    air.run(70)
    assert air.told("a") == ["started", "interrupted"]
    assert_pictures(air, air.heard(), task, interrupted=True)


@pytest.mark.parametrize("first_ticks", [1, 2, 20])
def test_tasks_follow_one_another_without_an_idle_sample(air: Air, first_ticks: int) -> None:
    air.run(20)
    one = TracedTask("one", first_ticks, SMALL, 5)
    two = TracedTask("two", 30, SMALL, 6)
    one.air = two.air = air
    air.channel._commands.append(lambda: (air.channel._tasks.add(one), air.channel._tasks.add(two)))  # type: ignore[arg-type,return-value]
    air.run_until(lambda: air.ended("two"))
    air.run(60)
    assert two.at[0] == one.at[-1] + 1
    assert air.told("one") == air.told("two") == ["started", "done"]
    heard = air.heard()
    assert_sounds_like(air, heard, silent_mix(air, one, two))
    assert air.channel._video.late_pictures == 0
    idle, start = shown_by(SLATE), one.at[0]
    first = blend(idle[start % 25], one.picture(0, idle[0]), 1 / STEPS)
    assert splice_check.psnr(heard.pictures[start], first) >= 38
    middle = two.at[0] + 15
    assert splice_check.psnr(heard.pictures[middle], two.picture(15, idle[0])) >= 38
    assert one.closed
    assert two.closed


@pytest.mark.parametrize("sound", ["silent", "audible"])
def test_30_fps_and_44100_hz_work_as_well(sound: str) -> None:
    idle_sound = Silence(CD.audio) if sound == "silent" else audible(440.0, CD)
    air = Air(loop_of(21, 2, CD, idle_sound), CD)
    air.run(33)
    task = air.task(TracedTask("a", 50, CD))
    air.run_until(lambda: air.ended("a"))
    air.run(80)
    assert air.told("a") == ["started", "done"]
    heard = air.heard()
    assert_pictures(air, heard, task)
    if sound == "silent":
        assert_sounds_like(air, heard, silent_mix(air, task))
    last = air.recorder.ticks[-1]
    ahead_s = (last.audio[-1].slot + 1) * 1024 / 44100 - last.tick / 30
    assert 0.06 <= ahead_s <= 0.06 + 1024 / 44100 + 1e-6
    air.close()
