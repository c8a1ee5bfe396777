"""Loops whose headers differ from live ones are coded live, and never sent as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.doubles.channel_air import (
    SLATE,
    Air,
    TracedTask,
    assert_pictures,
    loop_of,
    shown_by,
)
from tests.doubles.programme import (
    SMALL,
)
from tests.oracles import splice_check

FOREIGN = loop_of(31, 2, replace(SMALL, preset="ultrafast"), title="foreign")


def test_a_first_loop_with_other_headers_is_coded_live_and_looks_right() -> None:
    assert FOREIGN.parameter_sets != SLATE.parameter_sets
    air = Air(replace(FOREIGN, title="x"))
    task = air.task(TracedTask("a", 30, SMALL))
    air.run_until(lambda: air.ended("a"))
    air.run(50)
    assert_pictures(air, air.heard(), task, 36.0)
    assert air.channel.report(0.0)["encoder"]["idle_path"] == "live"
    assert air.recorder.ticks[-1].idle, "a rollover would never find idle"
    assert not air.recorder.ticks[task.at[0]].idle
    air.close()


@pytest.mark.parametrize("phase", [0, 9, 11, 24])
def test_a_later_loop_with_other_headers_is_coded_live_and_looks_right(
    air: Air, phase: int
) -> None:
    air.run(25 + phase)
    air.channel.show_idle(FOREIGN, 1.0)
    air.run(100)
    heard, slate, foreign = air.heard(), shown_by(SLATE), shown_by(FOREIGN)
    expected = [slate[t % 25] for t in range(air.channel.tick)]
    change = next(
        t for t in range(0, air.channel.tick, 25)
        if splice_check.psnr(heard.pictures[t], foreign[t % 50]) > 34
    )  # fmt: skip
    expected[change:] = [foreign[t % 50] for t in range(change, air.channel.tick)]
    own, wrong = splice_check.match(heard.pictures, expected)
    assert wrong == []
    assert own.min() >= 34.0
    assert air.channel.report(0.0)["encoder"]["idle_path"] == "live"


def test_packets_with_other_headers_are_never_sent_however_slow_the_decoder(air: Air) -> None:
    """The change waits until pictures are coded live; until then the old programme stays."""
    air.run(25)
    air.channel.show_idle(FOREIGN, 1.0)
    for _ in range(120):
        air.channel.run_tick()  # nobody waits for the decoder here
    sent = {bytes(t.video.payload) for t in air.recorder.ticks}
    assert not sent & {bytes(p) for p in FOREIGN.packets}


def test_a_live_start_that_was_held_up_is_never_beside_a_grid_idr(
    air: Air, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle pictures gone at the last moment: the start slips, but not onto a forbidden tick."""
    air.run(20)
    task = air.task(TracedTask("a", 30, SMALL))
    air.run_until(lambda: bool(task.mixed))
    real, start = air.channel._pictures.get, task.at[0]
    held = -(-start // 25) * 25
    monkeypatch.setattr(air.channel._pictures, "get", lambda t: None if t <= held else real(t))
    air.run_until(lambda: air.ended("a"))
    air.run(60)
    air.heard()
