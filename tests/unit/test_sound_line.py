"""AAC on the slot grid: loops that repeat for ever, and the line that splices live sound in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from broadcaster.codec.aac import ENCODER_LAG_SLOTS, SoundEncoder, encode_periodic
from broadcaster.codec.sound_line import IdleSound, Silence, SoundLine, SoundLoop
from broadcaster.errors import EncodeError
from broadcaster.formats import AAC_FRAME_SAMPLES, AudioFormat, AudioPacket
from broadcaster.mixer.mixer import Mixer
from broadcaster.playout.sound_path import SoundPath, lead_ticks
from tests.doubles.programme import SMALL, speech_like
from tests.oracles.splice_check import block_rms, continuous_encode, decode_sound

FMT = SMALL.audio
PER_TICK = SMALL.samples_per_tick


def tone(hertz: float, samples: int, peak: float = 0.1) -> NDArray[np.float32]:
    wave = peak * np.sin(2 * np.pi * hertz * np.arange(samples) / FMT.sample_rate)
    return np.stack([wave, wave]).astype(np.float32)


def residual_ratio(packets: list[AudioPacket], config: bytes, mix: NDArray[np.float32]) -> float:
    """Worst block of the spliced packets against one continuous encode of the same mix."""
    heard, whole = decode_sound(packets, config), continuous_encode(mix, SMALL)
    length = min(heard.shape[1], whole.shape[1], mix.shape[1]) // 1024 * 1024
    spliced = block_rms(heard[:, :length] - mix[:, :length])[4:]
    continuous = block_rms(whole[:, :length] - mix[:, :length])[4:]
    # How well a slot comes out hangs on the encoder's whole past: of two continuous encodes one may
    # be twice as good in a slot. So a slot may be as far off as its neighbours in the other one.
    reference = np.max([np.roll(continuous, k) for k in (-1, 0, 1)], axis=0)
    return float(np.max(spliced / np.maximum(reference, 1e-3)))


def run_line(
    line: SoundLine, ticks: int, fed: dict[int, NDArray[np.float32]]
) -> tuple[list[AudioPacket], NDArray[np.float32]]:
    """Feed ``ticks`` ticks; ``fed`` is what some of them carry instead of idle."""
    mix, packets = [], []
    for tick in range(ticks):
        pcm = fed.get(tick)
        if pcm is None:
            line.feed_idle()
            mix.append(line.idle.pcm(tick * PER_TICK, PER_TICK))
        else:
            line.feed(pcm)
            mix.append(pcm)
        packets += line.take(10**12)
    return packets, np.concatenate(mix, axis=1)


def test_packets_sit_on_the_grid_and_come_out_with_the_stated_lag() -> None:
    encoder = SoundEncoder(FMT)
    silence = np.zeros((2, AAC_FRAME_SAMPLES), np.float32)
    out = [[p.slot for p in encoder.encode(silence, 40 + n)] for n in range(6)]
    first = next(n for n, slots in enumerate(out) if 40 in slots)
    assert first == ENCODER_LAG_SLOTS - 1
    flat = [slot for slots in out for slot in slots]
    assert flat == list(range(39, 39 + len(flat)))


def test_a_slot_decodes_to_its_own_samples() -> None:
    """An offset of one slot would shift sound against picture by 21 ms for ever."""
    pcm = speech_like(40 * 1024, 5)
    encoder, packets = SoundEncoder(FMT), []
    for slot in range(40):
        packets += encoder.encode(pcm[:, slot * 1024 : (slot + 1) * 1024], slot)
    packets = [p for p in packets if p.slot >= 0]
    heard = decode_sound(packets, encoder.config)
    length = min(heard.shape[1], pcm.shape[1])
    error = heard[0, 4096:length] - pcm[0, 4096:length]
    assert np.std(error) < 0.15 * np.std(pcm[0, 4096:length])


def test_a_periodic_loop_repeats_without_a_seam() -> None:
    pcm = tone(750.0, 30 * 1024)  # a whole number of periods: the loop itself has no seam
    packets = encode_periodic(pcm, FMT)
    assert len(packets) == 30
    thrice = [AudioPacket(n, packets[n % 30]) for n in range(90)]
    assert residual_ratio(thrice, SoundEncoder(FMT).config, np.tile(pcm, (1, 3))) <= 2.0


@pytest.mark.parametrize("samples", [0, 1023, 1025])
def test_a_loop_off_the_slot_grid_is_refused(samples: int) -> None:
    with pytest.raises(EncodeError, match="whole number"):
        encode_periodic(np.zeros((2, samples), np.float32), FMT)


def test_silence_is_one_tiny_packet_that_decodes_to_nothing() -> None:
    silence = Silence(FMT)
    assert silence.packets is not None
    assert len(silence.packets) == 1
    assert len(silence.packets[0]) < 12
    heard = decode_sound(
        [AudioPacket(n, silence.packets[0]) for n in range(8)], SoundEncoder(FMT).config
    )
    assert not heard.any()


@given(st.integers(-(10**6), 10**9), st.integers(0, 3000))
def test_a_sound_loop_is_a_function_of_the_absolute_sample(first: int, count: int) -> None:
    loop = np.stack([np.arange(700, dtype=np.float32), -np.arange(700, dtype=np.float32)])
    pcm = SoundLoop(loop, None).pcm(first, count)
    assert pcm.shape == (2, count)
    assert all(pcm[0, k] == (first + k) % 700 for k in range(0, count, 97))


IDLE_PCM = tone(330.0, 8 * 48000, 0.08)
IDLE_PACKETS = encode_periodic(IDLE_PCM, FMT)


@pytest.mark.parametrize("audible", [False, True])
@given(runs=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), min_size=1, max_size=5))
@settings(max_examples=12, deadline=None)
def test_any_live_runs_leave_every_slot_once_and_sound_like_one_encode(
    audible: bool, runs: list[tuple[int, int]]
) -> None:
    idle: IdleSound = SoundLoop(IDLE_PCM, IDLE_PACKETS) if audible else Silence(FMT)
    fed, tick = {}, 0
    for number, (gap, length) in enumerate(runs):
        tick += gap
        voice = speech_like(length * PER_TICK, number)
        for k in range(length):
            part = voice[:, k * PER_TICK : (k + 1) * PER_TICK]
            fed[tick + k] = part + idle.pcm((tick + k) * PER_TICK, PER_TICK)
        tick += length
    line = SoundLine(FMT, PER_TICK, idle)
    packets, mix = run_line(line, tick + 20, fed)
    assert [p.slot for p in packets] == list(range(len(packets)))
    assert len(packets) == (tick + 20) * PER_TICK // 1024 - ENCODER_LAG_SLOTS + 1
    assert not line.live
    assert residual_ratio(packets, line.config, mix) <= 2.0


@pytest.mark.parametrize("alignment", range(8))
def test_a_sound_that_stops_dead_anywhere_in_a_slot_ends_exactly(alignment: int) -> None:
    """Its last packet overlaps the slot after it: cached silence one slot early clicks."""
    loud = tone(1000.0, PER_TICK, 0.7)
    line = SoundLine(FMT, PER_TICK, Silence(FMT))
    packets, mix = run_line(line, alignment + 24, {alignment + 8: loud})
    assert residual_ratio(packets, line.config, mix) <= 1.5


def test_idle_costs_no_encoder_and_live_coding_ends_soon_after_the_sound() -> None:
    line = SoundLine(FMT, PER_TICK, Silence(FMT))
    packets, _ = run_line(line, 100, {})
    assert line.live_packets == 0
    run_line(line, 100, {3: tone(440.0, PER_TICK)})
    assert 2 <= line.live_packets <= 8
    assert len({p.payload for p in packets}) == 1


def test_a_loop_without_packets_is_coded_live_all_the_time() -> None:
    loop = IDLE_PCM[:, :44100]
    line = SoundLine(FMT, PER_TICK, SoundLoop(loop, None))
    packets, mix = run_line(line, 40, {})
    assert line.live
    assert [p.slot for p in packets] == list(range(len(packets)))
    assert residual_ratio(packets, line.config, mix) <= 2.0


def test_packets_are_handed_out_when_due_and_only_once() -> None:
    line = SoundLine(FMT, PER_TICK, Silence(FMT))
    for _ in range(20):
        line.feed_idle()
    assert [p.slot for p in line.take(1)] == [0]
    assert [p.slot for p in line.take(1024)] == []
    assert [p.slot for p in line.take(1025)] == [1]
    assert [p.slot for p in line.take(5 * 1024)] == [2, 3, 4]


def test_a_tick_of_the_wrong_length_is_refused() -> None:
    line = SoundLine(FMT, PER_TICK, Silence(FMT))
    with pytest.raises(ValueError, match="shape"):
        line.feed(np.zeros((2, PER_TICK - 1), np.float32))


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("fps", [25, 30])
@pytest.mark.parametrize("ahead_ms", [20, 60, 500])
def test_sound_is_sent_as_early_as_promised_at_every_tick(
    rate: int, fps: int, ahead_ms: int
) -> None:
    """At tick t every slot that begins before t + ahead is out: the muxer waits for none."""
    video = type(SMALL.video)(192, 112, fps)
    fmt = type(SMALL)(video, AudioFormat(rate, 128_000), fps, 600_000, "veryfast")
    per = fmt.samples_per_tick
    path = SoundPath(fmt, ahead_ms, Mixer(5, per), Silence(fmt.audio))
    slots = []
    for tick in range(120):
        slots += [p.slot for p in path.packets(tick)]
        assert (slots[-1] + 1) * 1024 >= tick * per + rate * ahead_ms // 1000 > slots[-1] * 1024
        assert path.mixed_samples == (tick + 1 + lead_ticks(fmt, ahead_ms)) * per
    assert slots == list(range(len(slots)))


def test_the_lead_is_no_longer_than_needed() -> None:
    assert lead_ticks(SMALL, 60) == 3
    assert (3 + 1) * PER_TICK >= 2880 + 3 * 1024 > 3 * PER_TICK


@pytest.mark.parametrize("order", ["silent to tone", "tone to silent", "tone to other tone"])
def test_a_change_of_programme_fades_within_one_tick_and_splices_exactly(order: str) -> None:
    other = tone(500.0, 8 * 48000, 0.08)
    first: IdleSound = SoundLoop(IDLE_PCM, IDLE_PACKETS)
    second: IdleSound = SoundLoop(other, encode_periodic(other, FMT))
    if order == "silent to tone":
        first = Silence(FMT)
    if order == "tone to silent":
        second = Silence(FMT)
    path = SoundPath(SMALL, 60, Mixer(5, PER_TICK), first)
    path.switch(25, second)
    packets = [p for tick in range(70) for p in path.packets(tick)]
    assert [p.slot for p in packets] == list(range(len(packets)))
    assert not path.switching
    mix = first.pcm(0, 72 * PER_TICK)
    at, end = 25 * PER_TICK, 26 * PER_TICK
    angle = np.linspace(0.0, np.pi / 2, PER_TICK, dtype=np.float32)
    mix[:, end:] = second.pcm(end, mix.shape[1] - end)
    mix[:, at:end] = mix[:, at:end] * np.cos(angle) + second.pcm(at, PER_TICK) * np.sin(angle)
    assert residual_ratio(packets, SoundEncoder(FMT).config, mix) <= 2.0
    assert path.live_packets < 12


def test_from_silence_to_silence_nothing_is_encoded() -> None:
    path = SoundPath(SMALL, 60, Mixer(5, PER_TICK), Silence(FMT))
    path.switch(25, Silence(FMT))
    for tick in range(60):
        path.packets(tick)
    assert path.live_packets == 0
    assert not path.switching
