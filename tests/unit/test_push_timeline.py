from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from broadcaster.formats import AudioFormat, EncodeFormat, VideoFormat
from broadcaster.push.timeline import SessionTimeline

RATES = st.sampled_from([(25, 48000), (30, 48000), (25, 44100), (30, 44100)])
BASE = EncodeFormat(VideoFormat(64, 64, 25), AudioFormat(48000, 128_000), 25, 500_000, "fast")


def rated(rates: tuple[int, int]) -> EncodeFormat:
    fps, rate = rates
    return dataclasses.replace(
        BASE, video=VideoFormat(64, 64, fps), audio=AudioFormat(rate, 128_000)
    )


def first_sound_ms(timeline: SessionTimeline, near: int) -> int:
    return next(
        ms for slot in range(near - 3, near + 5) if (ms := timeline.audio_ms(slot)) is not None
    )


@given(RATES, st.integers(0, 3_000_000_000))
def test_the_first_sound_is_within_20_ms_of_the_first_picture_and_never_before_it(
    rates: tuple[int, int], first_tick: int
) -> None:
    fmt = rated(rates)
    timeline = SessionTimeline(fmt, first_tick)
    picture = timeline.video_ms(first_tick)
    sound = first_sound_ms(timeline, first_tick * fmt.samples_per_tick // 1024)
    assert picture == 0
    assert 0 <= sound <= 20


@given(st.integers(0, 10**9), st.integers(0, 50_000_000))
def test_picture_times_come_from_the_counter_and_never_drift(first_tick: int, later: int) -> None:
    timeline = SessionTimeline(rated((30, 48000)), first_tick, 1000)
    assert timeline.video_ms(first_tick + later) == 1000 + later * 1000 // 30


@given(st.integers(1, 500), st.integers(1, 500))
def test_a_gap_is_taken_out_of_picture_and_sound_alike(sent: int, missing: int) -> None:
    fmt = rated((25, 48000))
    timeline = SessionTimeline(fmt, 0)
    slots = iter(range(100_000))
    slot, last_sound = 0, -1.0
    for tick in range(sent):
        picture = timeline.video_ms(tick)
        while (slot + 1) * 1024 <= (tick + 1) * 1920 + 2880:
            slot = next(slots)
            ms = timeline.audio_ms(slot)
            last_sound = ms if ms is not None else last_sound
    timeline.resume_at(sent + missing, sent - 1, timeline.mark())
    assert timeline.video_ms(sent + missing) == picture + 40
    resumed = next(
        ms
        for late in range((sent + missing) * 1920 // 1024, 10**6)
        if (ms := timeline.audio_ms(late)) is not None
    )
    assert 21 <= resumed - last_sound <= 21.4 + 21.4 + 1


def test_age_counts_what_was_played_and_the_offset() -> None:
    timeline = SessionTimeline(BASE, 1000, 5000)
    timeline.video_ms(1000 + 249)
    assert timeline.age_s() == 15.0


def test_a_gap_that_is_closed_twice_because_the_first_attempt_was_dropped_counts_once() -> None:
    timeline = SessionTimeline(BASE, 0)
    timeline.video_ms(0)
    mark = timeline.mark()
    timeline.resume_at(25, 0, mark)
    timeline.video_ms(25)
    timeline.resume_at(50, 0, mark)
    assert timeline.video_ms(50) == 40
