"""Splices judged picture by picture and sample by sample (goals P9, P10, P11, P13).

    python benchmarks/splices.py [--switches 1000] [--rtmp 50] [--seed 1]

Offline: tasks at random ticks through the real channel, small pictures, as fast as they decode.
RTMP: the same at 720p in real time through a real push and relay, judged on what a reader pulled.
A switch is one task: into live coding and back to idle. Two decoders must agree bit for bit, every
picture must fit its own index best and at 40 dB or more, sound may be twice as far from the mix as
one continuous encode, the decoder's buffer must never underflow, the IDR grid must be kept.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.air import format_of
from benchmarks.rig import SIZES, Rig, ffmpeg, wait_for
from broadcaster.clock import MonotonicClock
from broadcaster.codec.aac import SoundEncoder, encode_periodic
from broadcaster.codec.sound_line import SoundLoop
from broadcaster.formats import AirTick, AudioPacket, EncodeFormat, StreamHeaders, VideoPacket
from broadcaster.idle.loop import EncodedLoop
from broadcaster.mixer.blend import Picture, blend
from broadcaster.mixer.ramp import idle_gain
from broadcaster.playout.channel import ChannelAir
from broadcaster.playout.loop import TickLoop
from broadcaster.push.destination import Destination
from broadcaster.settings.model import Push
from tests.doubles.programme import (
    SMALL,
    MemoryTask,
    Recorder,
    make_loop,
    moving_pictures,
    speech_like,
)
from tests.oracles import openh264
from tests.oracles.flv_check import AUDIO, VIDEO, Rules, faults, from_flv
from tests.oracles.splice_check import decode_video, strict_decode_errors

FADE_TICKS = 6
SLOT = 1024


@dataclass
class Script:
    """Adds tasks at random moments, sometimes two that follow without idle in between."""

    fmt: EncodeFormat
    tasks: int
    rng: np.random.Generator
    longest: int
    pictures: list[Picture]
    starts: dict[int, int] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)
    done: int = 0
    _next_at: int = 0
    _channel: ChannelAir | None = None

    def emit(self, event: dict[str, object]) -> None:
        if event["event"] == "started" and self._channel is not None:
            self.starts[int(str(event["task_id"]))] = self._channel.tick
        self.done += event["event"] in {"done", "failed", "interrupted"}

    def begin(self, channel: ChannelAir) -> None:
        self._channel = channel
        self._next_at = channel.tick + 3

    def before_tick(self, channel: ChannelAir) -> bool:
        """Called by the tick loop's thread; False when the last task has ended."""
        waiting = len(self.lengths) - self.done
        if waiting == 0:
            if len(self.lengths) == self.tasks:
                return False
            if self._next_at < channel.tick - 1:
                self._next_at = channel.tick + int(self.rng.integers(0, 45))
            if channel.tick >= self._next_at:
                both = self.rng.random() < 0.2 and len(self.lengths) + 2 <= self.tasks
                for _ in range(2 if both else 1):
                    self._add(channel)
                self._next_at = -1
        return True

    def _add(self, channel: ChannelAir) -> None:
        number = len(self.lengths)
        self.lengths.append(int(self.rng.integers(1, self.longest)))
        task = MemoryTask(str(number), self.pictures, self.voice(number), self.fmt.samples_per_tick)
        channel._tasks.add(task)

    def voice(self, number: int) -> NDArray[np.float32]:
        return speech_like(self.lengths[number] * self.fmt.samples_per_tick, number)


@dataclass
class Expectation:
    """What should be on air, from nothing but the start ticks: an independent, simple model."""

    script: Script
    loop: EncodedLoop
    headers: StreamHeaders
    total: int

    def __post_init__(self) -> None:
        script, steps = self.script, FADE_TICKS + 1
        self._idle = decode_video(
            [
                AirTick(i, VideoPacket(i, p, False), (), True)
                for i, p in enumerate(self.loop.packets)
            ],
            self.headers,
        )
        self._on_air = {
            start + k: number
            for number, start in script.starts.items()
            for k in range(script.lengths[number])
        }
        self.weights = np.zeros(self.total + 1)
        self._top = np.full(self.total, -1)
        position, shown = 0, -1
        for tick in range(self.total):
            position = min(steps, max(0, position + (1 if tick in self._on_air else -1)))
            self.weights[tick] = position / steps
            shown = self._on_air.get(tick, shown)
            self._top[tick] = shown

    def picture(self, tick: int) -> Picture:
        idle = self._idle[tick % len(self._idle)]
        weight, number = float(self.weights[tick]), int(self._top[tick])
        if weight == 0.0:
            return idle
        start, pictures = self.script.starts[number], self.script.pictures
        top = pictures[(tick - start) % len(pictures)]
        age = tick - start
        if number > 0 and age < FADE_TICKS:
            before = self.script.starts[number - 1]
            if before + self.script.lengths[number - 1] + FADE_TICKS >= start:
                leaving = pictures[(tick - before) % len(pictures)]
                top = blend(leaving, top, (age + 1) / (FADE_TICKS + 1))
        return blend(idle, top, weight)

    def sound_slots(self) -> Iterator[NDArray[np.float32]]:
        """The mix in blocks of 1024 samples, from slot 0 on."""
        per, held = self.script.fmt.samples_per_tick, np.zeros((2, 0), np.float32)
        voice, of = np.zeros((2, 0), np.float32), -1
        for tick in range(self.total):
            before = float(self.weights[tick - 1]) if tick else 0.0
            block = self.loop.sound.pcm(tick * per, per)
            if before or self.weights[tick]:
                block = block * idle_gain(before, float(self.weights[tick]), per)
            number = self._on_air.get(tick)
            if number is not None:
                if of != number:
                    voice, of = self.script.voice(number), number
                at = (tick - self.script.starts[number]) * per
                block = block + voice[:, at : at + per]
            held = np.concatenate([held, block], axis=1)
            while held.shape[1] >= SLOT:
                yield np.ascontiguousarray(held[:, :SLOT], np.float32)
                held = held[:, SLOT:]


def decoded(ticks: Iterable[AirTick], headers: StreamHeaders) -> Iterator[NDArray[np.uint8]]:
    context = av.CodecContext.create("h264", "r")
    context.extradata = headers.avc_config
    context.thread_count = 1
    packets = (av.Packet(bytes(t.video.payload)) for t in ticks)
    for packet in itertools.chain(packets, [None]):
        for frame in context.decode(packet):
            yield np.ascontiguousarray(frame.to_ndarray(format="yuv420p"))


def decoded_sound(packets: Iterable[AudioPacket], config: bytes) -> Iterator[NDArray[np.float32]]:
    context = av.CodecContext.create("aac", "r")
    context.extradata = config
    for packet in packets:
        for frame in context.decode(av.Packet(packet.payload)):
            yield frame.to_ndarray()


def continuous(blocks: Iterable[NDArray[np.float32]], fmt: EncodeFormat) -> Iterator[AudioPacket]:
    """One encoder over the whole mix, from slot 0 on."""
    encoder, silence = SoundEncoder(fmt.audio), np.zeros((2, SLOT), np.float32)
    for slot, block in enumerate(itertools.chain([silence] * 4, blocks), -4):
        yield from (p for p in encoder.encode(block, slot) if p.slot >= 0)


@dataclass
class Verdict:
    """Collects figures and whether each goal was met."""

    good: bool = True

    def say(self, name: str, value: float, limit: float, at_least: bool = False) -> None:
        met = value >= limit if at_least else value <= limit
        self.good &= met
        sign = ">=" if at_least else "<="
        print(f"  {name:44}{value:10.3f} {sign} {limit:<8g}{'ok' if met else 'MISSED'}", flush=True)


def judge_pictures(
    ticks: Sequence[AirTick], model: Expectation, verdict: Verdict, errors: str
) -> None:
    differ, wrong, lowest, count = 0, 0, 99.0, 0
    ours = decoded(ticks, model.headers)
    theirs = openh264.decode_video(ticks, model.headers)
    first, last = ticks[0].tick, ticks[-1].tick
    for tick, one, other in zip(range(first, last + 1), ours, theirs, strict=False):
        count += 1
        differ += not np.array_equal(one, other)
        own = cv2.PSNR(one, model.picture(tick))
        near = [cv2.PSNR(one, model.picture(t)) for t in (tick - 1, tick + 1) if first <= t <= last]
        wrong += max(near) > own + 0.01
        lowest = min(lowest, own)
    if errors:
        print(f"  strict decoder: {errors[:300]}")
    verdict.say("pictures missing in a decoder", len(ticks) - count, 0)
    verdict.say("strict decoder complains", float(bool(errors)), 0)
    verdict.say("pictures on which the decoders differ", differ, 0)
    verdict.say("pictures that fit a neighbour better", wrong, 0)
    verdict.say("lowest PSNR to what should be on air, dB", lowest, 40, at_least=True)


def judge_sound(ticks: Sequence[AirTick], model: Expectation, verdict: Verdict) -> None:
    packets = [packet for tick in ticks for packet in tick.audio]
    first = packets[0].slot
    order = sum(p.slot != first + i for i, p in enumerate(packets))
    config, fmt = model.headers.aac_config, model.script.fmt
    heard = decoded_sound(packets, config)
    reference = decoded_sound(continuous(model.sound_slots(), fmt), config)
    for _ in range(first):
        next(reference)
    wanted = itertools.islice(model.sound_slots(), first, None)
    worst = most = 0.0
    for index, (one, other, mix) in enumerate(zip(heard, reference, wanted, strict=False)):
        if index >= 4:  # a decoder that begins in the middle needs one packet
            spliced, plain = _rms(one - mix), _rms(other - mix)
            worst = max(worst, spliced / max(plain, 1e-3))
            most = max(most, spliced)
    verdict.say("sound packets out of order", order, 0)
    verdict.say("sound residual / continuous encode, worst", worst, 2)
    print(f"  largest residual of a slot {most:.4f} rms, {len(packets)} packets")


def _rms(block: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(block, dtype=np.float64))))


def judge_stream(
    ticks: Sequence[AirTick], model: Expectation, fmt: EncodeFormat, verdict: Verdict
) -> None:
    fill = lowest = float(fmt.bitrate_bps)
    under = 0
    for tick in ticks:
        level = fill - 8 * len(tick.video.payload)
        under += level < 0
        lowest = min(lowest, level)
        fill = min(float(fmt.bitrate_bps), level + fmt.bitrate_bps / fmt.video.fps)
    idr = [t.tick for t in ticks if t.video.is_idr]
    grid = {t.tick for t in ticks if t.tick % fmt.gop_ticks == 0}
    verdict.say("decoder buffer underflows", under, 0)
    verdict.say("grid ticks without an IDR", len(grid - set(idr)), 0)
    verdict.say("IDRs neither on the grid nor at a start",
                len(set(idr) - grid - set(model.script.starts.values())), 0)  # fmt: skip
    verdict.say("adjacent IDRs", sum(b - a < 2 for a, b in itertools.pairwise(idr)), 0)
    live = sum(not t.idle for t in ticks)
    print(f"  lowest fill {lowest / fmt.bitrate_bps:.3f}; {len(ticks)} pictures, "
          f"{len(idr) - len(grid)} extra IDRs, {live} not idle")  # fmt: skip


def make_channel(fmt: EncodeFormat, script: Script) -> tuple[ChannelAir, EncodedLoop]:
    seconds = np.arange(8 * fmt.audio.sample_rate) / fmt.audio.sample_rate
    tone = sum(0.04 * np.sin(2 * np.pi * f * seconds) for f in (220.0, 277.0, 330.0))
    pcm = np.stack([tone, tone]).astype(np.float32)
    sound = SoundLoop(pcm, encode_periodic(pcm, fmt.audio))
    loop = make_loop(fmt, moving_pictures(fmt.video, 3 * fmt.gop_ticks, 1), sound)
    channel = ChannelAir("main", fmt, loop, FADE_TICKS, 60, True, script.emit)
    return channel, loop


def make_script(fmt: EncodeFormat, tasks: int, seed: int, longest: int) -> Script:
    pictures = moving_pictures(fmt.video, 2 * fmt.gop_ticks, 2)
    return Script(fmt, tasks, np.random.default_rng(seed), longest, pictures)


def offline(tasks: int, seed: int) -> bool:
    fmt = SMALL
    script = make_script(fmt, tasks, seed, longest=30)
    channel, loop = make_channel(fmt, script)
    recorder = Recorder()
    channel.destinations.append(recorder)
    begun = time.monotonic()
    script.begin(channel)
    while script.before_tick(channel):
        _tick_when_ready(channel)
        if len(script.lengths) > script.done and not channel.live:
            time.sleep(0.003)  # virtual ticks must not outrun the thread that decodes for it
    for _ in range(2 * fmt.gop_ticks):
        _tick_when_ready(channel)
    channel.close(1.0)
    video = fmt.video
    print(f"\noffline: {tasks} tasks, {video.width}x{video.height}, {channel.tick} ticks "
          f"({channel.tick / video.fps:.0f} s of air) in {time.monotonic() - begun:.0f} s",
          flush=True)  # fmt: skip
    return judge(recorder.ticks, script, loop, channel)


def _tick_when_ready(channel: ChannelAir) -> None:
    deadline = time.monotonic() + 30
    while not channel.tick_ready:
        if time.monotonic() > deadline:
            raise TimeoutError("idle pictures never came")
        time.sleep(0.0002)
    channel.run_tick()


def judge(ticks: Sequence[AirTick], script: Script, loop: EncodedLoop, channel: ChannelAir) -> bool:
    verdict = Verdict()
    model = Expectation(script, loop, channel.headers, channel.tick)
    verdict.say("tasks that began", len(script.starts), script.tasks, at_least=True)
    verdict.say("idle pictures that came too late", channel._video.late_pictures, 0)
    judge_stream(ticks, model, channel.fmt, verdict)
    judge_pictures(ticks, model, verdict, strict_decode_errors(ticks, channel.headers))
    judge_sound(ticks, model, verdict)
    return verdict.good


def over_rtmp(tasks: int, seed: int) -> bool:
    size = SIZES["720p25"]
    fmt = format_of(size)
    script = make_script(fmt, tasks, seed, longest=60)
    channel, loop = make_channel(fmt, script)
    recorder = Recorder()
    with Rig() as rig:
        relay = rig.relay()
        file = rig.folder / "pulled.flv"
        channel.destinations += [
            recorder,
            Destination("relay", "main", relay.url("main"), fmt, channel.headers, Push(), None,
                        MonotonicClock()),
        ]  # fmt: skip
        channel.destinations[1].start()
        ticker = TickLoop([channel], MonotonicClock(), None, 1.0)
        reader = None
        until = channel.tick + 60 * fmt.video.fps
        while script._channel is None and channel.tick < until:
            ticker.run_once()
            if reader is None and channel.tick % 25 == 0 and relay.bytes_in("main") > 50_000:
                reader = rig.start(ffmpeg("-i", relay.url("main"), "-c", "copy", str(file)))
            if file.exists() and file.stat().st_size > 100_000:
                script.begin(channel)
        while script.before_tick(channel):
            ticker.run_once()
        for _ in range(3 * fmt.gop_ticks):
            ticker.run_once()
        channel.close(2.0)  # unpublishes: the reader ends by itself
        assert reader is not None
        wait_for("end of the recording", lambda: reader.poll() is not None, 20)
        print(f"\nRTMP: {tasks} tasks, {size.name}, {channel.tick} ticks sent, "
              f"skipped {ticker.skipped_s:.3f} s", flush=True)  # fmt: skip
        ticks, wrong, found = pulled(file, recorder.ticks, fmt)
    verdict = Verdict()
    verdict.say("pulled pictures not as sent, byte for byte", wrong, 0)
    verdict.say("timestamp faults in the recording", len(found), 0)
    for fault in found:
        print(f"  oracle: {fault}")
    return judge(ticks, script, loop, channel) and verdict.good


def pulled(
    file: Path, sent: Sequence[AirTick], fmt: EncodeFormat
) -> tuple[list[AirTick], int, list[str]]:
    """What a reader got as ticks, how many pictures are not those that were sent, and faults."""
    packets = from_flv(file)
    media = [p for p in packets if not p.is_header and not p.is_end_of_sequence]
    video = [p for p in media if p.kind == VIDEO]
    first_ms = video[0].timestamp
    # Idle packets come again with every loop; one that was sent once tells which tick it is.
    times = Counter(bytes(t.video.payload) for t in sent)
    live = {b: t.tick for t in sent if times[b := bytes(t.video.payload)] == 1}
    first = next(live[p.body[5:]] - i for i, p in enumerate(video) if p.body[5:] in live)
    sound = [p for p in media if p.kind == AUDIO and p.timestamp >= first_ms]
    origin_ms = first_ms - first * 1000 / fmt.video.fps
    slots = [round((p.timestamp - origin_ms) * fmt.audio.sample_rate / 1000 / SLOT) for p in sound]
    audio = tuple(AudioPacket(s, p.body[2:]) for s, p in zip(slots, sound, strict=True))
    ticks, wrong = [], 0
    for index, packet in enumerate(video):
        tick = round((packet.timestamp - origin_ms) * fmt.video.fps / 1000)
        payload = packet.body[5:]
        wrong += tick != first + index or payload != bytes(sent[tick].video.payload)
        picture = VideoPacket(tick, payload, packet.is_idr)
        ticks.append(AirTick(tick, picture, audio if index == 0 else (), sent[tick].idle))
    return ticks, wrong, faults(packets, Rules(extra_idrs=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--switches", type=int, default=1000, help="offline; 0 leaves it out")
    parser.add_argument("--rtmp", type=int, default=50, help="through a relay; 0 leaves it out")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    good = True
    if options.switches:
        good &= offline(options.switches, options.seed)
    if options.rtmp:
        good &= over_rtmp(options.rtmp, options.seed)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
