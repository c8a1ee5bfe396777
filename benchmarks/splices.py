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
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.air import format_of
from benchmarks.rig import SIZES, Rig, ffmpeg, wait_for
from broadcaster.clock import MonotonicClock
from broadcaster.codec.aac import SoundEncoder
from broadcaster.formats import AirTick, AudioPacket, EncodeFormat, StreamHeaders, VideoPacket
from broadcaster.playout.loop import TickLoop
from broadcaster.push.destination import Destination
from broadcaster.settings.model import Push
from tests.doubles.programme import SMALL
from tests.doubles.virtual_air import Programme, chord, make_programme, make_script, run_offline
from tests.oracles import openh264
from tests.oracles.expected_air import SLOT_SAMPLES, ExpectedAir
from tests.oracles.flv_check import AUDIO, VIDEO, Rules, faults, from_flv
from tests.oracles.splice_check import strict_decode_errors


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
    encoder, silence = SoundEncoder(fmt.audio), np.zeros((2, SLOT_SAMPLES), np.float32)
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
    ticks: Sequence[AirTick], model: ExpectedAir, verdict: Verdict, errors: str
) -> None:
    differ, wrong, lowest, count = 0, 0, 99.0, 0
    ours = decoded(ticks, model.run.channel.headers)
    theirs = openh264.decode_video(ticks, model.run.channel.headers)
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


def judge_sound(ticks: Sequence[AirTick], model: ExpectedAir, verdict: Verdict) -> None:
    packets = [packet for tick in ticks for packet in tick.audio]
    first = packets[0].slot
    order = sum(p.slot != first + i for i, p in enumerate(packets))
    config, fmt = model.run.channel.headers.aac_config, model.run.fmt
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
    ticks: Sequence[AirTick], model: ExpectedAir, fmt: EncodeFormat, verdict: Verdict
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
                len(set(idr) - grid - set(model.run.script.starts.values())), 0)  # fmt: skip
    verdict.say("adjacent IDRs", sum(b - a < 2 for a, b in itertools.pairwise(idr)), 0)
    live = sum(not t.idle for t in ticks)
    print(f"  lowest fill {lowest / fmt.bitrate_bps:.3f}; {len(ticks)} pictures, "
          f"{len(idr) - len(grid)} extra IDRs, {live} not idle")  # fmt: skip


def offline(tasks: int, seed: int) -> bool:
    begun = time.monotonic()
    run = run_offline(SMALL, tasks, seed, longest=30, sound=chord(SMALL))
    video, channel = run.fmt.video, run.channel
    print(f"\noffline: {tasks} tasks, {video.width}x{video.height}, {channel.tick} ticks "
          f"({channel.tick / video.fps:.0f} s of air) in {time.monotonic() - begun:.0f} s",
          flush=True)  # fmt: skip
    return judge(run.recorder.ticks, run)


def judge(ticks: Sequence[AirTick], run: Programme) -> bool:
    verdict = Verdict()
    model, script, channel = ExpectedAir(run), run.script, run.channel
    verdict.say("tasks that began", len(script.starts), script.tasks, at_least=True)
    verdict.say("idle pictures that came too late", channel._video.late_pictures, 0)
    judge_stream(ticks, model, channel.fmt, verdict)
    judge_pictures(ticks, model, verdict, strict_decode_errors(ticks, channel.headers))
    judge_sound(ticks, model, verdict)
    return verdict.good


def over_rtmp(tasks: int, seed: int) -> bool:
    size = SIZES["720p25"]
    fmt = format_of(size)
    run = make_programme(make_script(fmt, tasks, seed, longest=60), chord(fmt))
    script, channel, recorder = run.script, run.channel, run.recorder
    with Rig() as rig:
        relay = rig.relay()
        file = rig.folder / "pulled.flv"
        pushed = Destination("relay", "main", relay.url("main"), fmt, channel.headers, Push(),
                             None, MonotonicClock())  # fmt: skip
        channel.destinations.append(pushed)
        pushed.start()
        ticker = TickLoop([channel], MonotonicClock(), None, 1.0)
        reader = None
        until = channel.tick + 60 * fmt.video.fps
        while script.channel is None and channel.tick < until:
            ticker.run_once()
            if reader is None and channel.tick % 25 == 0 and relay.bytes_in("main") > 50_000:
                reader = rig.start(ffmpeg("-i", relay.url("main"), "-c", "copy", str(file)))
            if file.exists() and file.stat().st_size > 100_000:
                script.begin(channel)
        while script.before_tick():
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
    return judge(ticks, run) and verdict.good


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
    slots = [
        round((p.timestamp - origin_ms) * fmt.audio.sample_rate / 1000 / SLOT_SAMPLES)
        for p in sound
    ]
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
