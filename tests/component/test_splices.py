"""Encoded-domain switching, offline: tasks at random ticks, every picture and sample judged."""

from __future__ import annotations

import numpy as np
import pytest

from broadcaster.formats import AirTick
from tests.doubles.programme import SMALL
from tests.doubles.virtual_air import Programme, chord, run_offline
from tests.oracles import openh264, splice_check
from tests.oracles.expected_air import ExpectedAir


def expected_pictures(run: Programme) -> list[splice_check.Picture]:
    model = ExpectedAir(run)
    return [model.picture(tick) for tick in range(model.total)]


@pytest.fixture(scope="module")
def programme() -> Programme:
    return run_offline(SMALL, tasks=30, seed=7)


@pytest.fixture(scope="module")
def audible() -> Programme:
    return run_offline(SMALL, tasks=12, seed=3, sound=chord(SMALL))


def test_two_independent_decoders_agree_bit_for_bit(programme: Programme) -> None:
    headers, ticks = programme.channel.headers, programme.recorder.ticks
    assert splice_check.strict_decode_errors(ticks, headers) == ""
    one = splice_check.decode_video(ticks, headers)
    other = list(openh264.decode_video(ticks, headers))
    assert len(one) == len(other) == len(ticks)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_every_picture_is_the_one_that_should_be_on_air(programme: Programme) -> None:
    decoded = splice_check.decode_video(programme.recorder.ticks, programme.channel.headers)
    own, wrong = splice_check.match(decoded, expected_pictures(programme))
    assert wrong == []
    assert own.min() >= 40.0


def test_the_idr_grid_is_kept_and_no_two_idrs_are_adjacent(programme: Programme) -> None:
    idr = splice_check.idr_ticks(programme.recorder.ticks)
    grid = set(range(0, programme.channel.tick, SMALL.gop_ticks))
    assert grid <= set(idr)
    assert set(idr) - grid <= set(programme.script.starts.values())
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
    mix = np.concatenate(list(ExpectedAir(run).sound_slots()), axis=1)
    reference = splice_check.continuous_encode(mix, SMALL)
    length = min(heard.shape[1], reference.shape[1], mix.shape[1]) // 1024 * 1024
    spliced = splice_check.block_rms(heard[:, :length] - mix[:, :length])[4:]
    continuous = splice_check.block_rms(reference[:, :length] - mix[:, :length])[4:]
    assert np.max(spliced / np.maximum(continuous, 1e-3)) <= 2.0


def test_the_decoders_buffer_never_underflows(programme: Programme) -> None:
    assert programme.channel._video.bucket.underflows == 0


def test_sound_and_picture_stay_together(programme: Programme) -> None:
    last = programme.recorder.ticks[-1]
    assert last.tick == len(programme.recorder.ticks) - 1
    ahead_s = last.audio[-1].slot * 1024 / 48000 - last.tick / 25
    assert 0.0 <= ahead_s <= 0.08


def test_everything_live_gives_the_same_programme() -> None:
    run = run_offline(SMALL, tasks=3, seed=5, allow_splice=False)
    assert run.channel.report(0.0)["encoder"]["idle_path"] == "live"
    decoded = splice_check.decode_video(run.recorder.ticks, run.channel.headers)
    own, wrong = splice_check.match(decoded, expected_pictures(run))
    assert wrong == []
    assert own.min() >= 38.0


def test_negative_control_leaving_live_off_the_grid_is_seen() -> None:
    """Without the grid rule libavcodec still decodes without an error: only pictures tell."""
    run = run_offline(SMALL, tasks=2, seed=9)
    ticks = list(run.recorder.ticks)
    start = run.script.starts[0]
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
