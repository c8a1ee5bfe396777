"""Idle programmes change under a channel: every picture and sample is decoded and compared."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from broadcaster.idle.loop import EncodedLoop
from tests.doubles.channel_air import (
    CARD,
    CLIP,
    SLATE,
    Air,
    TracedTask,
    assert_sounds_like,
    expected_picture,
    shown_by,
)
from tests.doubles.programme import (
    SMALL,
)
from tests.oracles import splice_check


def switches(air: Air) -> list[tuple[int, EncodedLoop]]:
    """The programmes shown so far, read from what was sent: first tick and loop."""
    found: list[tuple[int, EncodedLoop]] = []
    for tick in air.recorder.ticks:
        loop = next(
            loop for loop in (SLATE, CARD, CLIP)
            if bytes(tick.video.payload) == bytes(loop.packets[tick.tick % len(loop.packets)])
        )  # fmt: skip
        if not found or found[-1][1] is not loop:
            found.append((tick.tick, loop))
    return found


@pytest.mark.parametrize("second_after", [None, 0, 1, 23])
def test_programmes_change_on_the_grid_and_every_picture_is_exact(
    air: Air, second_after: int | None
) -> None:
    """Slate, card, clip; the clip may come at any moment, also while the card is only decided."""
    air.run(7)
    air.channel.show_idle(CARD, 1.0)
    if second_after is None:
        air.run(80)
    else:
        air.run(second_after)
    air.channel.show_idle(CLIP, 2.0)
    air.run(130)
    heard, changes = air.heard(), switches(air)
    assert changes[-1][1] is CLIP
    assert all(at % SMALL.gop_ticks == 0 for at, _ in changes)
    assert len(changes) == (2 if second_after == 0 else 3)
    loops = {id(loop): shown_by(loop) for _, loop in changes}
    on_air = SLATE
    for tick, picture in enumerate(heard.pictures):
        on_air = next((loop for at, loop in changes if at == tick), on_air)
        wanted = loops[id(on_air)]
        assert np.array_equal(picture, wanted[tick % len(wanted)]), f"tick {tick}"
    assert_sounds_like(air, heard, _programme_mix(air, changes))
    assert air.channel.report(3.0)["live_video"] is False
    assert air.channel._video.live_ticks == 0


def _programme_mix(air: Air, changes: list[tuple[int, EncodedLoop]]) -> NDArray[np.float32]:
    per, total = SMALL.samples_per_tick, (air.channel.tick + 8) * SMALL.samples_per_tick
    mix = changes[0][1].sound.pcm(0, total)
    for (_, before), (at, loop) in pairwise(changes):
        angle = np.linspace(0.0, np.pi / 2, per, dtype=np.float32)
        first, end = at * per, (at + 1) * per
        mix[:, end:] = loop.sound.pcm(end, total - end)
        faded = before.sound.pcm(first, per) * np.cos(angle)
        mix[:, first:end] = faded + loop.sound.pcm(first, per) * np.sin(angle)
    return mix


def test_what_is_on_air_is_told(air: Air) -> None:
    air.run(3)
    assert (air.channel.source, air.channel.report(9.0)["idle"]["state"]) == ("slate", "slate")
    air.channel.show_idle(CARD, 5.0)
    air.run(60)
    report = air.channel.report(9.0)
    assert (report["source"], report["idle"]["state"], report["idle"]["since_s"]) == (
        "idle", "test card", 4.0,
    )  # fmt: skip
    air.channel.idle_failed("clip.mp4: no such file")
    assert air.channel.report(9.0)["idle"]["last_error"] == "clip.mp4: no such file"
    assert air.channel.report(9.0)["idle"]["state"] == "test card"
    air.task(TracedTask("a", 40, SMALL))
    air.run_until(lambda: air.told("a") == ["started"])
    report = air.channel.report(9.0)
    assert (report["source"], report["task_id"], report["live_video"]) == ("task", "a", True)
    assert 0 < report["played_samples"] <= 2 * SMALL.samples_per_tick


@pytest.mark.parametrize(
    ("before_end", "covers"),
    [(88, True), (35, True), (25, True), (20, True), (4, True), (25, False)],
)
def test_a_programme_may_change_at_any_moment_of_a_task(
    air: Air, before_end: int, covers: bool
) -> None:
    """The fade out must show the new programme, not pictures decoded ahead from the old one."""
    task = TracedTask("a", 90, SMALL)
    task.covers_idle = covers
    air.run(4)  # the fade out then lies across the grid
    air.task(task)
    air.run_until(lambda: bool(task.mixed))
    end = task.mixed[0][0] + 90
    air.run(end - before_end - air.channel.tick)
    air.channel.show_idle(CARD, 1.0)
    air.run(1)
    at = air.channel._timeline.changes
    air.run(before_end + 100)
    slate, card, heard = shown_by(SLATE), shown_by(CARD), air.heard()
    expected = []
    for tick in range(air.channel.tick):
        idle = card[tick % 75] if tick >= at else slate[tick % 25]
        inside = tick >= task.at[0]
        expected.append(expected_picture(idle, task, tick, task.at[0], end) if inside else idle)
    own, wrong = splice_check.match(heard.pictures, expected)
    assert wrong == []
    assert own.min() >= 38.0
    assert air.channel._video.late_pictures == 0
    assert task.indices == list(range(90))
