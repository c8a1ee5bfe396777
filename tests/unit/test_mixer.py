"""The mixer: fades, segments and what one tick is made of."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from broadcaster.mixer.blend import Picture, blend
from broadcaster.mixer.mixer import INTERRUPT_FADE_TICKS, Composition, Mixer
from broadcaster.mixer.ramp import Ramp, idle_gain
from broadcaster.mixer.schedule import Schedule, Segment
from broadcaster.playout.task_queue import TaskQueue

PER_TICK = 8
IDLE = np.zeros((3, 2), np.uint8)


class Voice:
    """A task whose every sample says which one it is; remembers what was asked of it."""

    def __init__(
        self, task_id: str, ticks: int, ready: int | None = None, base: int = 1000
    ) -> None:
        self.task_id, self.length_ticks, self.base = task_id, ticks, base
        self.ready = ticks if ready is None else ready
        self.error = ""
        self.closed = 0
        self.given: list[int] = []

    def samples(self, index: int) -> NDArray[np.float32]:
        first = self.base + index * PER_TICK
        row = np.arange(first, first + PER_TICK, dtype=np.float32)
        return np.stack([row, -row])

    def sound(self, index: int) -> NDArray[np.float32] | None:
        assert not self.closed
        if index >= self.ready:
            return None
        self.given.append(index)
        return self.samples(index)

    def ready_from(self, index: int) -> int:
        return max(0, self.ready - index)

    def picture(self, index: int, idle: Picture) -> Picture:
        assert not self.closed
        assert index >= 0
        return np.full_like(idle, 255)

    def played_samples(self, index: int) -> int:
        return min(index, self.length_ticks) * PER_TICK

    def close(self) -> None:
        self.closed += 1


def silence() -> NDArray[np.float32]:
    return np.zeros((2, PER_TICK), np.float32)


# Blending and ramps.


def test_a_blend_is_linear_and_its_ends_cost_nothing() -> None:
    below, above = np.full((3, 2), 40, np.uint8), np.full((3, 2), 240, np.uint8)
    assert blend(below, above, 0.25).tolist() == np.full((3, 2), 90).tolist()
    assert blend(below, above, 0.0) is below
    assert blend(below, above, 1.0) is above
    assert below.max() == 40


@given(st.integers(0, 50), st.lists(st.booleans(), max_size=200))
def test_a_ramp_walks_one_step_a_tick_from_where_it_is(fade: int, towards: list[bool]) -> None:
    ramp, before = Ramp(fade), 0.0
    for task in towards:
        weight = ramp.step(task)
        assert 0.0 <= weight <= 1.0
        wanted = min(1.0, before + 1 / (fade + 1)) if task else max(0.0, before - 1 / (fade + 1))
        assert weight == pytest.approx(wanted)
        before = weight


def test_a_fade_of_f_ticks_shows_f_mixed_pictures() -> None:
    ramp = Ramp(4)
    assert [ramp.step(True) for _ in range(6)] == [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]
    assert Ramp(0).step(True) == 1.0


@given(st.integers(0, 50), st.integers(0, 5), st.lists(st.booleans(), max_size=60))
def test_a_quick_way_back_shows_few_mixed_pictures_from_wherever_it_begins(
    fade: int, quick: int, towards: list[bool]
) -> None:
    ramp = Ramp(fade, quick)
    for task in towards:
        ramp.step(task)
    weights = [ramp.step(False, quick=True) for _ in range(quick + 1)]
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] == 0.0


def test_idle_sound_fades_by_equal_power_without_a_step_between_ticks() -> None:
    ramp, before, gains = Ramp(4), 0.0, []
    for towards in [True] * 6 + [False] * 6:
        weight = ramp.step(towards)
        gains.append(idle_gain(before, weight, 100))
        before = weight
    curve = np.concatenate(gains)
    assert curve[0] == 1.0
    assert curve[500:600].max() == 0.0
    assert curve[250] == pytest.approx(np.cos(np.pi / 4), abs=1e-3)
    assert np.abs(np.diff(curve)).max() < 0.004
    assert curve[-1] == pytest.approx(1.0)


# The schedule.


def test_segments_must_not_overlap() -> None:
    schedule = Schedule()
    schedule.add(Segment(Voice("a", 9), 10, 19, 0))
    with pytest.raises(ValueError, match="overlap"):
        schedule.add(Segment(Voice("b", 9), 18, 27, 0))
    schedule.add(Segment(Voice("b", 9), 19, 28, 0))


def test_who_plays_and_who_is_seen() -> None:
    schedule, a, b = Schedule(), Voice("a", 5), Voice("b", 5)
    schedule.add(Segment(a, 10, 15, 0))
    schedule.add(Segment(b, 20, 25, 0))
    assert [s.source.task_id if (s := schedule.at(t)) else "" for t in (9, 10, 14, 15, 20)] == [
        "", "a", "a", "", "b",
    ]  # fmt: skip
    assert [s.source.task_id if (s := schedule.shown(t)) else "" for t in (9, 10, 19, 20, 30)] == [
        "", "a", "a", "b", "b",
    ]  # fmt: skip


def test_a_segment_cut_to_nothing_is_never_seen() -> None:
    """Else a task that was stopped before it began would flash up in the fade of the one before."""
    schedule, a, b = Schedule(), Voice("a", 5), Voice("b", 5)
    schedule.add(Segment(a, 10, 15, 0))
    schedule.add(Segment(b, 17, 22, 0))
    schedule.cut_last(16, soft=True)
    assert schedule.last is not None
    assert (schedule.last.start, schedule.last.end) == (17, 17)
    seen = schedule.shown(18)
    assert seen is not None
    assert seen.source is a
    assert schedule.at(17) is None


def test_a_cut_never_makes_a_segment_longer() -> None:
    schedule, a = Schedule(), Voice("a", 5)
    schedule.add(Segment(a, 10, 15, 0))
    schedule.cut_last(40, soft=True)
    assert schedule.last == Segment(a, 10, 15, 0)
    assert schedule.last.complete


def test_old_segments_are_forgotten_but_not_the_place_of_a_task_that_is_still_held() -> None:
    schedule, a, b = Schedule(), Voice("a", 50), Voice("b", 5)
    schedule.add(Segment(b, 0, 5, 0))
    schedule.add(Segment(a, 10, 15, 0))
    schedule.add(Segment(a, 20, 22, 5))
    schedule.drop_before(1000, [a])
    kept = schedule.of(a)
    assert kept == Segment(a, 20, 22, 5)
    assert kept is schedule.last
    assert schedule.of(b) is None
    schedule.drop_before(1000)
    assert schedule.last is None


# The mixer by itself.


def test_idle_alone_is_left_unchanged() -> None:
    mixer = Mixer(3, PER_TICK)

    def never() -> NDArray[np.float32]:
        raise AssertionError("idle was read for nothing")

    assert mixer.sound(0, never) is None
    composition = mixer.compose(0)
    assert composition.is_idle
    assert mixer.draw(composition, 0, IDLE) is IDLE


def test_the_first_picture_of_a_task_is_already_mixed_and_the_fade_out_starts_after_its_last() -> (
    None
):
    mixer = Mixer(3, PER_TICK)
    mixer.schedule.add(Segment(Voice("a", 6), 2, 8, 0))
    weights = []
    for tick in range(14):
        mixer.sound(tick, silence)
        weights.append(mixer.compose(tick).weight)
    assert weights == [0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0]


def test_the_next_task_is_faded_in_over_the_last_one_not_over_idle() -> None:
    mixer, a, b = Mixer(3, PER_TICK), Voice("a", 10), Voice("b", 10)
    b.picture = lambda index, idle: np.full_like(idle, 55)  # type: ignore[method-assign]
    mixer.schedule.add(Segment(a, 0, 10, 0))
    mixer.schedule.add(Segment(b, 10, 20, 0))
    drawn = [int(mixer.draw(mixer.compose(t), t, IDLE)[0, 0]) for t in range(20)]
    assert drawn[3:10] == [255] * 7
    assert drawn[10:14] == [205, 155, 105, 55]


# The mixer and the queue together: any history.


class Rig:
    """A channel without codecs: queue and mixer tick by tick, sound ``lead`` ticks ahead."""

    def __init__(self, fade: int, lead: int, gop: int = 10) -> None:
        self.mixer, self.lead, self.fade, self.tick = Mixer(fade, PER_TICK), lead, fade, 0
        self.events: list[dict[str, object]] = []
        self.queue = TaskQueue("main", self.mixer, gop, 25, self.events.append)
        self.mixed: list[NDArray[np.float32] | None] = []
        self.segments: list[Segment | None] = []
        self.weights: list[float] = []
        self.drawn: list[Picture] = []
        self.compositions: list[Composition] = []
        for tick in range(lead):
            self.mix(tick)

    @property
    def free(self) -> int:
        return self.tick + self.lead

    def mix(self, tick: int) -> None:
        self.mixed.append(self.mixer.sound(tick, silence))
        self.segments.append(self.mixer.schedule.at(tick))

    def step(self, pictures_ready: bool = True) -> None:
        self.queue.decide(self.free, lambda _: pictures_ready)
        self.mix(self.free)
        composition = self.mixer.compose(self.tick)
        self.compositions.append(composition)
        self.weights.append(composition.weight)
        self.drawn.append(self.mixer.draw(composition, self.tick, IDLE))
        self.queue.after(self.tick, self.fade)
        self.tick += 1

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            self.step()

    def told(self, task_id: str) -> list[object]:
        names = [e["event"] for e in self.events if e["task_id"] == task_id]
        return [n for n in names if n != "progress"]


actions = st.lists(
    st.tuples(
        st.integers(1, 30),  # ticks to let pass before
        st.sampled_from(["task", "dry task", "broken task", "interrupt", "refill", "blind"]),
        st.integers(1, 40),  # length, or how much is there
    ),
    min_size=1,
    max_size=14,
)


@given(actions, st.integers(0, 8), st.integers(0, 17))
@settings(max_examples=200, deadline=None)
def test_any_history_gives_each_tick_one_picture_and_all_its_samples(
    history: list[tuple[int, str, int]], fade: int, lead: int
) -> None:
    rig, voices = Rig(fade, lead), []
    interrupted: set[str] = set()
    for number, (gap, action, size) in enumerate(history):
        rig.run(gap)
        if "task" in action and not rig.queue.full:
            ready = {"task": size, "dry task": size // 2, "broken task": size // 3}[action]
            voice = Voice(f"t{number}", size, ready, base=1000 * (number + 1))
            voice.error = "it broke" if action == "broken task" else ""
            voices.append(voice)
            rig.queue.add(voice)
        elif action == "interrupt":
            hit = rig.queue.interrupt(None, rig.free)
            interrupted |= {hit} if hit else set()
        elif action == "refill":
            for voice in [v for v in voices if not v.error]:
                voice.ready = min(voice.length_ticks, voice.ready + size)
        elif action == "blind":
            for _ in range(size):
                rig.step(pictures_ready=False)
    for voice in [v for v in voices if not v.error]:
        voice.ready = voice.length_ticks
    rig.run(130)
    _judge_air(rig, fade)
    _judge_tasks(rig, voices, interrupted)


def _judge_air(rig: Rig, fade: int) -> None:
    assert len(rig.drawn) == len(rig.weights) == rig.tick
    assert len(rig.mixed) == rig.free
    assert all(0.0 <= w <= 1.0 for w in rig.weights)
    steps = [_step(rig, tick, fade) + 1e-9 for tick in range(rig.tick)]
    weights = pairwise([0.0, *rig.weights])
    assert all(abs(b - a) <= s for (a, b), s in zip(weights, steps, strict=True))
    levels = pairwise([0, *(int(p[0, 0]) for p in rig.drawn)])
    assert all(abs(b - a) <= 255 * s + 2 for (a, b), s in zip(levels, steps, strict=True))
    for tick, (mixed, segment) in enumerate(zip(rig.mixed, rig.segments, strict=True)):
        if segment is None:
            assert mixed is None or not mixed.any()
            continue
        assert mixed is not None
        assert mixed.shape == (2, PER_TICK)
        assert isinstance(segment.source, Voice)
        whole = segment.source.samples(segment.index(tick))
        soft = segment.soft_end and tick == segment.end - 1
        if soft:
            assert (np.abs(mixed) <= np.abs(whole)).all()
            assert mixed[0, 0] == whole[0, 0]
            assert mixed[0, -1] == 0
        else:
            assert np.array_equal(mixed, whole)
    assert rig.mixer.idle
    assert rig.weights[-1] == 0.0


def _step(rig: Rig, tick: int, fade: int) -> float:
    """The most a weight may move: after an interrupt, half of the way."""
    said = next((s for s in reversed(rig.segments[: tick + 1]) if s is not None), None)
    interrupted = said is not None and said.soft_end and said.end <= tick
    return (
        -(-(fade + 1) // (INTERRUPT_FADE_TICKS + 1)) / (fade + 1) if interrupted else 1 / (fade + 1)
    )


def _judge_tasks(rig: Rig, voices: list[Voice], interrupted: set[str]) -> None:
    for voice in voices:
        assert voice.given == list(range(len(voice.given))), "a tick was lost, or played twice"
        told = rig.told(voice.task_id)
        assert voice.closed == 1
        assert told[:-1] == (["started"] if voice.given else []), told
        if voice.task_id in interrupted:
            assert told[-1] in ("interrupted", "failed", "done")
        elif voice.error and voice.ready < voice.length_ticks:
            assert told[-1] == "failed"
            assert len(voice.given) == voice.ready
        else:
            assert told[-1] == "done"
        if told[-1] == "done":
            assert len(voice.given) == voice.length_ticks
        last = next(e for e in reversed(rig.events) if e["task_id"] == voice.task_id)
        assert last["played_samples"] == len(voice.given) * PER_TICK
    assert rig.queue.task_id is None
    assert rig.mixer.schedule.last is None
