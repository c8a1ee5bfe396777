"""One channel on virtual ticks: what goes out is decoded and compared with what should go out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from broadcaster.codec.aac import encode_periodic
from broadcaster.codec.h264_decode import PictureDecoder
from broadcaster.codec.sound_line import IdleSound, Silence, SoundLoop
from broadcaster.formats import AudioFormat, EncodeFormat, VideoFormat
from broadcaster.idle.loop import EncodedLoop
from broadcaster.mixer.blend import Picture, blend
from broadcaster.playout.channel import ChannelAir
from tests.doubles.programme import (
    SMALL,
    MemoryTask,
    Recorder,
    make_loop,
    moving_pictures,
    speech_like,
)
from tests.oracles import splice_check

FADE = 6
STEPS = FADE + 1
CD = EncodeFormat(VideoFormat(192, 112, 30), AudioFormat(44100, 128_000), 30, 600_000, "veryfast")


class TracedTask(MemoryTask):
    """Remembers which of its ticks were mixed at which tick of the air."""

    def __init__(self, task_id: str, ticks: int, fmt: EncodeFormat, seed: int = 5) -> None:
        self.voice = speech_like(ticks * fmt.samples_per_tick, seed, fmt.audio.sample_rate)
        pictures = moving_pictures(fmt.video, 40, 50 + seed)
        super().__init__(task_id, pictures, self.voice, fmt.samples_per_tick)
        self.mixed: list[tuple[int, int]] = []
        self.air: Air | None = None

    def sound(self, index: int) -> NDArray[np.float32] | None:
        assert not self.closed
        block = super().sound(index)
        if block is not None and self.air is not None:
            self.mixed.append((self.air.channel._first_free_tick, index))
        return block

    @property
    def indices(self) -> list[int]:
        return [index for _, index in self.mixed]

    @property
    def at(self) -> list[int]:
        return [tick for tick, _ in self.mixed]


@dataclass
class Heard:
    """The decoded air."""

    pictures: list[Picture]
    sound: NDArray[np.float32]


class Air:
    """A channel with a recorder, advanced tick by tick as fast as its pictures are decoded."""

    def __init__(
        self, loop: EncodedLoop, fmt: EncodeFormat = SMALL, allow_splice: bool = True
    ) -> None:
        self.fmt, self.loop, self.events = fmt, loop, list[dict[str, Any]]()
        self.channel = ChannelAir("main", fmt, loop, FADE, 60, allow_splice, self.events.append)
        self.recorder = Recorder()
        self.channel.destinations.append(self.recorder)

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            self._settle()
            self.channel.run_tick()

    def run_to_grid(self, phase: int = 0) -> None:
        self.run((phase - self.channel.tick) % self.fmt.gop_ticks)

    def run_until(self, condition: Callable[[], bool], limit: int = 600) -> None:
        for _ in range(limit):
            if condition():
                return
            self.run(1)
        raise AssertionError(f"not within {limit} ticks")

    def _settle(self) -> None:
        """Real time is scarce here: let the decoder catch up with the virtual tick."""
        deadline = time.monotonic() + 10
        pictures, wanted = self.channel._pictures, self.channel._pictures._wanted
        while wanted is not None and not pictures.ready(wanted, 3):
            assert time.monotonic() < deadline, "idle pictures never came"
            time.sleep(0.0005)

    def call(self, command: Callable[[], Any]) -> Any:
        """A command of another thread, as the control socket gives it; the tick loop goes on."""
        answer: list[Any] = []
        thread = threading.Thread(target=lambda: answer.append(command()))
        thread.start()
        while thread.is_alive():
            if self.channel._commands:
                self.run(1)
            thread.join(0.001)
        return answer[0]

    def task(self, source: TracedTask) -> TracedTask:
        source.air = self
        self.call(lambda: self.channel.play_source(source))
        return source

    def told(self, task_id: str) -> list[str]:
        events = [e["event"] for e in self.events if e["task_id"] == task_id]
        return [e for e in events if e != "progress"]

    def ended(self, task_id: str) -> bool:
        return bool({"done", "interrupted", "failed"} & set(self.told(task_id)))

    def heard(self) -> Heard:
        headers, ticks = self.channel.headers, self.recorder.ticks
        assert [t.tick for t in ticks] == list(range(self.channel.tick))
        assert splice_check.strict_decode_errors(ticks, headers) == ""
        packets = [p for t in ticks for p in t.audio]
        assert [p.slot for p in packets] == list(range(len(packets))), "an AAC slot is missing"
        idr = splice_check.idr_ticks(ticks)
        assert set(range(0, self.channel.tick, self.fmt.gop_ticks)) <= set(idr)
        assert min(np.diff(idr), default=9) >= 2, "two IDRs are adjacent"
        pictures = splice_check.decode_video(ticks, headers)
        assert len(pictures) == len(ticks)
        return Heard(pictures, splice_check.decode_sound(packets, headers.aac_config))

    def close(self) -> None:
        self.channel.close(1.0)


def shown_by(loop: EncodedLoop) -> list[Picture]:
    decoder = PictureDecoder(loop.parameter_sets.avc_config())
    return [decoder.decode(packet) for packet in loop.packets]


def tone(hertz: float, rate: int = 48000, seconds: float = 8) -> NDArray[np.float32]:
    wave = 0.08 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)
    return np.stack([wave, wave]).astype(np.float32)


def audible(hertz: float, fmt: EncodeFormat = SMALL) -> IdleSound:
    pcm = tone(hertz, fmt.audio.sample_rate)
    return SoundLoop(pcm, encode_periodic(pcm, fmt.audio) if fmt is SMALL else None)


def assert_sounds_like(air: Air, heard: Heard, mix: NDArray[np.float32]) -> None:
    """As good as one continuous encode of ``mix``, block by block."""
    whole = splice_check.continuous_encode(mix, air.fmt)
    length = min(heard.sound.shape[1], whole.shape[1], mix.shape[1]) // 1024 * 1024
    assert length > 0.9 * air.channel.tick * air.fmt.samples_per_tick
    spliced = splice_check.block_rms(heard.sound[:, :length] - mix[:, :length])[4:]
    continuous = splice_check.block_rms(whole[:, :length] - mix[:, :length])[4:]
    assert np.max(spliced / np.maximum(continuous, 1e-3)) <= 2.0


def silent_mix(air: Air, *tasks: TracedTask) -> NDArray[np.float32]:
    """What the mix should be over a silent idle: every mixed tick of every task at full gain."""
    per = air.fmt.samples_per_tick
    mix = np.zeros((2, (air.channel.tick + 8) * per), np.float32)
    for task in tasks:
        for tick, index in task.mixed:
            mix[:, tick * per : (tick + 1) * per] = task.voice[:, index * per : (index + 1) * per]
    return mix


def loop_of(seed: int, gops: int = 2, fmt: EncodeFormat = SMALL, sound: IdleSound | None = None,
            title: str = "loop") -> EncodedLoop:  # fmt: skip
    made = make_loop(fmt, moving_pictures(fmt.video, gops * fmt.gop_ticks, seed), sound)
    return replace(made, title=title)


SLATE = loop_of(11, 1, title="slate")
CARD = loop_of(12, 3, sound=audible(440.0), title="test card")
CLIP = loop_of(13, 2, sound=audible(523.0), title="clip.mp4")


@pytest.fixture
def air() -> Iterator[Air]:
    made = Air(SLATE)
    yield made
    made.close()


# Programmes.


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


# Tasks.


def expected_picture(idle: Picture, task: TracedTask, tick: int, start: int, end: int) -> Picture:
    inside, out = min(tick - start + 1, STEPS), max(0, tick - end + 1)
    weight = max(0, min(inside, min(end - start, STEPS) - out if out else inside)) / STEPS
    top = task.picture(tick - start, idle)
    return blend(idle, top, weight)


def assert_pictures(air: Air, heard: Heard, task: TracedTask, least_db: float = 40.0) -> None:
    idle = shown_by(air.loop)
    start, end = task.at[0], task.at[-1] + 1
    expected = [
        expected_picture(idle[t % len(idle)], task, t, start, end)
        if t >= start
        else idle[t % len(idle)]
        for t in range(air.channel.tick)
    ]
    own, wrong = splice_check.match(heard.pictures, expected)
    assert wrong == []
    assert own.min() >= least_db


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
        wanted = blend(idle[(pause + n) % 25], task.picture(27 + n, idle[0]), weight)
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
def test_an_interrupt_is_over_within_the_lead_and_the_fade(air: Air, after: int) -> None:
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
    for tick in range(last + 1 + FADE, air.channel.tick):
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
    assert_pictures(air, air.heard(), task)


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


# Sound files, and the door.


def pcm_file(folder: Path, samples: int, peak: int = 9000) -> Path:
    file = folder / f"{samples}.pcm"
    wave = peak * np.sin(2 * np.pi * 300 * np.arange(samples) / 48000)
    np.stack([wave, wave], axis=1).astype("<i2").tofile(file)
    return file


@pytest.mark.parametrize("peak", [0, 9000])
def test_a_sound_file_is_played_to_its_last_sample(air: Air, tmp_path: Path, peak: int) -> None:
    """Silence too is a task like any other: its bar is drawn, and it is done."""
    samples = 30 * SMALL.samples_per_tick + 77
    pcm = pcm_file(tmp_path, samples, peak)
    assert air.call(lambda: air.channel.play("a", pcm, samples, 0)) == ""
    deadline = time.monotonic() + 5
    while not air.ended("a"):
        assert time.monotonic() < deadline
        air.run(1)
        time.sleep(0.0005)
    done = air.events[-1]
    assert (done["event"], done["played_samples"]) == ("done", samples)
    air.run(60)
    heard, start = air.heard(), [t.idle for t in air.recorder.ticks].index(False)
    wave = np.fromfile(pcm, "<i2").reshape(-1, 2).T / np.float32(32768)
    mix = np.zeros((2, (air.channel.tick + 8) * SMALL.samples_per_tick), np.float32)
    at = start * SMALL.samples_per_tick
    mix[:, at : at + samples] = wave
    assert_sounds_like(air, heard, mix)
    bar = heard.pictures[start + 15][int(112 * 0.965) // 2 * 2 + 1, 20]
    assert (bar > 100) == (peak > 0)


def test_a_task_goes_on_from_where_it_was(air: Air, tmp_path: Path) -> None:
    samples, begun = 40 * SMALL.samples_per_tick, 33 * SMALL.samples_per_tick
    pcm = pcm_file(tmp_path, samples)
    air.call(lambda: air.channel.play("a", pcm, samples, begun))
    air.run_until(lambda: air.ended("a") or time.sleep(0.0005) is not None, 5000)
    assert [e["played_samples"] for e in air.events if e["event"] != "progress"] == [begun, samples]


def test_the_door_takes_two_knows_a_task_again_and_refuses_nonsense(
    air: Air, tmp_path: Path
) -> None:
    samples = 400 * SMALL.samples_per_tick
    pcm = pcm_file(tmp_path, samples)
    play = air.channel.play
    assert play("x", tmp_path / "none", 9, 0) == "no such sound"
    assert play("x", pcm, samples, samples) == "no such sound"
    assert play("x", pcm, samples, -1) == "no such sound"
    assert air.call(lambda: play("a", pcm, samples, 0)) == ""
    assert air.call(lambda: play("a", pcm, samples, 0)) == ""
    assert air.call(lambda: play("b", pcm, samples, 0)) == ""
    assert play("c", pcm, samples, 0) == "busy"
    assert play("b", pcm, samples, 0) == ""
    assert len(air.channel._tasks._held) == 2
    assert air.call(lambda: air.channel.interrupt("b")) == "b"
    assert air.told("b") == ["interrupted"]


def test_closing_in_the_middle_of_a_task_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    air = Air(SLATE)
    samples = 400 * SMALL.samples_per_tick
    pcm = pcm_file(tmp_path, samples)
    for name in ("a", "b"):
        air.call(lambda n=name: air.channel.play(n, pcm, samples, 0))
    air.run_until(lambda: air.told("a") == ["started"] or time.sleep(0.001) is not None, 5000)
    air.close()
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before:
        assert time.monotonic() < deadline, set(threading.enumerate()) - before
        time.sleep(0.005)


# Other headers.

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
