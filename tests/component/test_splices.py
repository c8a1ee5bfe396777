"""Encoded-domain switching, offline: tasks at random ticks, every picture and sample judged."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from broadcaster.codec.aac import encode_periodic
from broadcaster.codec.sound_line import IdleSound, SoundLoop
from broadcaster.formats import AirTick, EncodeFormat
from broadcaster.idle.loop import EncodedLoop
from broadcaster.mixer.blend import Picture, blend
from broadcaster.mixer.ramp import idle_gain
from broadcaster.playout.channel import ChannelAir
from tests.doubles.programme import (
    SMALL,
    MemoryTask,
    Recorder,
    make_loop,
    moving_pictures,
    speech_like,
)
from tests.oracles import openh264, splice_check

FADE_TICKS = 6


@dataclass
class Programme:
    """A recorded run and what should have been on air."""

    channel: ChannelAir
    recorder: Recorder
    fmt: EncodeFormat
    expected: list[Picture] = field(default_factory=list)
    mix: NDArray[np.float32] = field(default_factory=lambda: np.zeros((2, 0), np.float32))
    starts: list[int] = field(default_factory=list)
    events: list[dict[str, object]] = field(default_factory=list)


def run_until(channel: ChannelAir, tick: int) -> None:
    deadline = time.monotonic() + 60
    while channel.tick < tick:
        while not channel.tick_ready:
            assert time.monotonic() < deadline, "idle pictures never came"
            time.sleep(0.0002)
        channel.run_tick()


def run_programme(
    fmt: EncodeFormat,
    tasks: int,
    seed: int,
    sound: IdleSound | None = None,
    allow_splice: bool = True,
    longest: int = 30,
) -> Programme:
    rng = np.random.default_rng(seed)
    idle_pictures = moving_pictures(fmt.video, 3 * fmt.gop_ticks, 1)
    task_pictures = moving_pictures(fmt.video, 2 * fmt.gop_ticks, 2)
    loop = make_loop(fmt, idle_pictures, sound)
    events: list[dict[str, object]] = []
    channel = ChannelAir("main", fmt, loop, FADE_TICKS, 60, allow_splice, events.append)
    recorder = Recorder()
    channel.destinations.append(recorder)
    programme = Programme(channel, recorder, fmt, events=events)
    plan: list[tuple[int, MemoryTask, NDArray[np.float32]]] = []
    for number in range(tasks):
        run_until(channel, channel.tick + int(rng.integers(2, 40)))
        ticks = int(rng.integers(1, longest))
        voice = speech_like(ticks * fmt.samples_per_tick, number)
        source = MemoryTask(f"t{number}", task_pictures, voice, fmt.samples_per_tick)
        channel._commands.append(lambda s=source: channel._tasks.add(s))
        deadline = time.monotonic() + 30
        while not any(e["event"] == "started" and e["task_id"] == source.task_id for e in events):
            assert time.monotonic() < deadline
            run_until(channel, channel.tick + 1)
            time.sleep(0.003)  # virtual ticks must not outrun the decoding thread
        start = channel.tick - 1
        plan.append((start, source, voice))
        while not any(e["event"] == "done" and e["task_id"] == source.task_id for e in events):
            run_until(channel, channel.tick + 1)
    run_until(channel, channel.tick + 2 * fmt.gop_ticks)
    programme.starts = [start for start, _, _ in plan]
    _model(programme, loop, plan, task_pictures)
    channel.close(1.0)
    return programme


def _model(
    programme: Programme,
    loop: EncodedLoop,
    plan: list[tuple[int, MemoryTask, NDArray[np.float32]]],
    task_pictures: list[Picture],
) -> None:
    """What should be on air, from nothing but the start ticks: an independent, simple model."""
    fmt, total = programme.fmt, programme.channel.tick
    headers = programme.channel.headers
    packets = [
        AirTick(i, type(programme.recorder.ticks[0].video)(i, p, False), (), True)
        for i, p in enumerate(loop.packets)
    ]
    idle = splice_check.decode_video(packets, headers)
    weights, tops = np.zeros(total + 1), [(0, 0)] * total
    steps, position, shown = FADE_TICKS + 1, 0, (0, 0)
    on_air = {s + k: (n, k) for n, (s, t, _) in enumerate(plan) for k in range(t.length_ticks)}
    for tick in range(total):
        position = min(steps, max(0, position + (1 if tick in on_air else -1)))
        weights[tick] = position / steps
        shown = on_air.get(tick, (shown[0], shown[1] + 1))
        tops[tick] = shown
    per = fmt.samples_per_tick
    mix = np.zeros((2, total * per), np.float32)
    before = 0.0
    for tick in range(total):
        base = loop.sound.pcm(tick * per, per)
        if weights[tick] or before:
            base = base * idle_gain(before, weights[tick], per)
        mix[:, tick * per : (tick + 1) * per] = base
        before = weights[tick]
        picture = idle[tick % len(idle)]
        if weights[tick]:
            number, index = tops[tick]
            top = task_pictures[index % len(task_pictures)]
            start, before_start = plan[number][0], plan[number - 1][0] if number else -1000
            end = before_start + plan[number - 1][1].length_ticks if number else -1000
            if index < FADE_TICKS and end + FADE_TICKS >= start:
                leaving = task_pictures[(tick - before_start) % len(task_pictures)]
                top = blend(leaving, top, (index + 1) / steps)
            picture = blend(picture, top, weights[tick])
        programme.expected.append(picture)
    for start, _, voice in plan:
        mix[:, start * per : start * per + voice.shape[1]] += voice
    programme.mix = mix


@pytest.fixture(scope="module")
def programme() -> Programme:
    return run_programme(SMALL, tasks=30, seed=7)


@pytest.fixture(scope="module")
def audible() -> Programme:
    seconds = np.arange(8 * 48000) / 48000
    tone = sum(0.04 * np.sin(2 * np.pi * f * seconds) for f in (220.0, 277.0, 330.0))
    pcm = np.stack([tone, tone]).astype(np.float32)
    return run_programme(SMALL, 12, 3, SoundLoop(pcm, encode_periodic(pcm, SMALL.audio)))


def test_two_independent_decoders_agree_bit_for_bit(programme: Programme) -> None:
    headers, ticks = programme.channel.headers, programme.recorder.ticks
    assert splice_check.strict_decode_errors(ticks, headers) == ""
    one = splice_check.decode_video(ticks, headers)
    other = list(openh264.decode_video(ticks, headers))
    assert len(one) == len(other) == len(ticks)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_every_picture_is_the_one_that_should_be_on_air(programme: Programme) -> None:
    decoded = splice_check.decode_video(programme.recorder.ticks, programme.channel.headers)
    own, wrong = splice_check.match(decoded, programme.expected)
    assert wrong == []
    assert own.min() >= 40.0


def test_the_idr_grid_is_kept_and_no_two_idrs_are_adjacent(programme: Programme) -> None:
    idr = splice_check.idr_ticks(programme.recorder.ticks)
    grid = set(range(0, programme.channel.tick, SMALL.gop_ticks))
    assert grid <= set(idr)
    assert set(idr) - grid <= set(programme.starts)
    assert min(np.diff(idr)) >= 2


def test_idle_is_not_encoded_again(programme: Programme) -> None:
    live = programme.channel._video.live_ticks
    spoken = sum(1 for t in programme.recorder.ticks if not t.idle)
    assert live == spoken
    assert live < len(programme.recorder.ticks)


@pytest.mark.parametrize("which", ["programme", "audible"])
def test_sound_at_splices_is_as_good_as_one_continuous_encode(
    which: str, request: pytest.FixtureRequest
) -> None:
    run: Programme = request.getfixturevalue(which)
    packets = [p for t in run.recorder.ticks for p in t.audio]
    assert [p.slot for p in packets] == list(range(len(packets)))
    heard = splice_check.decode_sound(packets, run.channel.headers.aac_config)
    reference = splice_check.continuous_encode(run.mix, SMALL)
    length = min(heard.shape[1], reference.shape[1], run.mix.shape[1]) // 1024 * 1024
    spliced = splice_check.block_rms(heard[:, :length] - run.mix[:, :length])[4:]
    continuous = splice_check.block_rms(reference[:, :length] - run.mix[:, :length])[4:]
    assert np.max(spliced / np.maximum(continuous, 1e-3)) <= 2.0


def test_the_decoders_buffer_never_underflows(programme: Programme) -> None:
    assert programme.channel._video.bucket.underflows == 0


def test_sound_and_picture_stay_together(programme: Programme) -> None:
    last = programme.recorder.ticks[-1]
    assert last.tick == len(programme.recorder.ticks) - 1
    ahead_s = last.audio[-1].slot * 1024 / 48000 - last.tick / 25
    assert 0.0 <= ahead_s <= 0.08


def test_everything_live_gives_the_same_programme() -> None:
    run = run_programme(SMALL, tasks=3, seed=5, allow_splice=False)
    assert run.channel.report(0.0)["encoder"]["idle_path"] == "live"
    decoded = splice_check.decode_video(run.recorder.ticks, run.channel.headers)
    own, wrong = splice_check.match(decoded, run.expected)
    assert wrong == []
    assert own.min() >= 38.0


def test_negative_control_leaving_live_off_the_grid_is_seen() -> None:
    """Without the grid rule libavcodec still decodes without an error: only pictures tell."""
    run = run_programme(SMALL, tasks=2, seed=9)
    ticks = list(run.recorder.ticks)
    start = run.starts[0]
    cut = next(t for t in range(start + 3, start + 25) if t % SMALL.gop_ticks)
    loop_packet = run.channel._timeline.packet
    broken = [
        AirTick(t.tick, loop_packet(t.tick), t.audio, t.idle)
        if cut <= t.tick < (cut // SMALL.gop_ticks + 1) * SMALL.gop_ticks
        else t
        for t in ticks
    ]
    assert splice_check.strict_decode_errors(broken, run.channel.headers) == ""
    decoded = splice_check.decode_video(broken, run.channel.headers)
    idle = splice_check.decode_video(ticks, run.channel.headers)
    assert min(splice_check.psnr(a, b) for a, b in zip(decoded, idle, strict=True)) < 35.0
