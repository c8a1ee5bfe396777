"""The live path beside plain FFmpeg: cost (P4, P5), latency (P7), pacing under load (P8).

    python benchmarks/live_path.py [--seconds 20] [--rounds 3] [--size 720p25] [--only cost|...]

cost     a channel that speaks for ever, pictures from memory, against ``ffmpeg -re -f rawvideo``
         encoding the same I420 and the same sound with the same options, over loopback RTMP
latency  source asked for a picture -> the picture decoded by a reader in its own process
pacing   the whole station, with tasks on air, while two processes burn both cores and uploads
         pour into the API: tick lateness, and the steps between timestamps at a reader
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks import cpu
from benchmarks.air import load_pcm
from benchmarks.rig import (
    SIZES,
    SOUND_RATE,
    BenchRelay,
    Rig,
    Size,
    StationRun,
    ffmpeg,
    make_clip,
    moving_scene,
    x264_options,
)
from broadcaster.idle.draw import to_i420
from tests.doubles.api_server import form
from tests.doubles.programme import speech_like

SETTLE_S = 4.0
SCENE_S = 3
SPEECH_S = 600


def make_scene(rig: Rig, size: Size) -> Path:
    """I420 pictures in a file, and beside it speech as raw PCM and as WAV."""
    scene = rig.folder / f"scene-{size.name}.yuv"
    with scene.open("wb") as out:
        for picture in moving_scene(size, SCENE_S * size.fps, 3):
            out.write(to_i420(picture).tobytes())
    voice = speech_like(SPEECH_S * SOUND_RATE, 4)
    pcm = np.ascontiguousarray((np.clip(voice, -1, 1) * 32767).T).astype("<i2").tobytes()
    scene.with_suffix(".pcm").write_bytes(pcm)
    with wave.open(str(scene.with_suffix(".wav")), "wb") as out_wave:
        out_wave.setnchannels(2)
        out_wave.setsampwidth(2)
        out_wave.setframerate(SOUND_RATE)
        out_wave.writeframes(pcm)
    return scene


def pure(size: Size, scene: Path, url: str) -> list[str]:
    """FFmpeg encoding the same material with the station's options and threads."""
    return ffmpeg(
        *("-re", "-stream_loop", "-1", "-f", "rawvideo", "-pix_fmt", "yuv420p"),
        *("-s", f"{size.width}x{size.height}", "-r", str(size.fps), "-i", str(scene)),
        *("-re", "-i", str(scene.with_suffix(".wav"))),
        *(*x264_options(size), "-threads:v", str(min(4, os.cpu_count() or 1))),
        *("-c:a", "aac", "-b:a", "128k", "-aac_coder", "fast", "-aac_pns", "0", "-aac_is", "0"),
        *("-f", "flv", url),
    )


@contextlib.contextmanager
def speaking(
    rig: Rig, relay: BenchRelay, size: Size, scene: Path, *arguments: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A channel in a process of its own, with its task on air; see ``air``."""
    process = rig.python(
        "benchmarks.air", "--url", relay.url("live"), "--scene", str(scene), "--size", size.name,
        *arguments, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"on air\n":
            raise RuntimeError(f"the channel ended:\n{rig.log_tail()}")
        relay.wait_for("live")
        yield process
    finally:
        rig.end(process)


def cost(rig: Rig, relay: BenchRelay, size: Size, options: argparse.Namespace) -> bool:
    scene = make_scene(rig, size)
    fade = str(int(4 * (options.seconds + 2 * SETTLE_S) * size.fps))
    designs: dict[str, Callable[[], contextlib.AbstractContextManager[subprocess.Popen[bytes]]]] = {
        "pure ffmpeg": lambda: rig.running(pure(size, scene, relay.url("live"))),
        "live": lambda: speaking(rig, relay, size, scene, "--task", "memory"),
        "idle decoded too": lambda: speaking(rig, relay, size, scene, "--task", "over-idle"),
        "fading always": lambda: speaking(
            rig, relay, size, scene, "--task", "over-idle", "--fade-ticks", fade
        ),
        "speech over idle": lambda: speaking(rig, relay, size, scene, "--task", "spoken"),
    }
    figures: dict[str, list[float]] = {name: [] for name in designs}
    for _ in range(options.rounds):
        for name, on_air in designs.items():
            with on_air() as process:
                relay.wait_for("live")
                time.sleep(SETTLE_S)
                figures[name].append(_window(process.pid, options.seconds))
            print(f"{name}: {figures[name][-1]:.1f}", flush=True)
    print(f"\ncost, {size.name}; CPU in core-ms per second of air")
    base = statistics.median(figures["pure ffmpeg"])
    for name, found in figures.items():
        middle = statistics.median(found)
        print(
            f"{name:24}{min(found):8.1f}{middle:8.1f}{max(found):8.1f}{middle / base:8.3f} x pure"
        )
    live, decoded, fading = (
        statistics.median(figures[n]) for n in ("live", "idle decoded too", "fading always")
    )
    return all([goal("P4 live / pure", live / base, 1.10),
                goal("P5 fading / the same without", fading / decoded, 1.03)])  # fmt: skip


def _window(pid: int, seconds: float) -> float:
    before, begun = cpu.tree_cpu_s([pid]), time.monotonic()
    time.sleep(seconds)
    return 1000 * (cpu.tree_cpu_s([pid]) - before) / (time.monotonic() - begun)


def latency(rig: Rig, relay: BenchRelay, size: Size, options: argparse.Namespace) -> bool:
    scene = make_scene(rig, size)
    with speaking(rig, relay, size, scene, "--task", "stamped") as channel:
        found = read(rig, relay.url("live"), options.seconds, "--stamped")
        channel.terminate()
        assert channel.stdout is not None
        report = json.loads(channel.stdout.read())
    lag = found["latency_ms"]
    p50, p99 = np.percentile(lag, [50, 99])
    late = np.percentile(np.array(report["late_s"]) * 1000, [50, 99])
    print(f"\nlatency, {size.name}: {len(lag)} pictures, min {min(lag):.1f}, p50 {p50:.1f}, "
          f"p99 {p99:.1f}, max {max(lag):.1f} ms; "
          f"ticks late p50 {late[0]:.2f} p99 {late[1]:.2f} ms; "
          f"decode errors {found['decode_errors']}")  # fmt: skip
    print(f"  picture steps {found['video_steps_ms']} sound steps {found['audio_steps_ms']}")
    met = [goal("P7 latency p50 ms", float(p50), 20), goal("P7 latency p99 ms", float(p99), 40)]
    return all([*met, steps_are_constant(found, size)])


def read(rig: Rig, url: str, seconds: float, *arguments: str) -> dict[str, Any]:
    """What a reader found; see ``reader``."""
    process = rig.python("benchmarks.reader", url, str(seconds), *arguments, stdout=subprocess.PIPE)
    try:
        out, _ = process.communicate(timeout=seconds + 30)
    finally:
        rig.end(process)
    if process.returncode:
        raise RuntimeError(f"the reader ended:\n{rig.log_tail()}")
    found: dict[str, Any] = json.loads(out)
    return found


def pacing(rig: Rig, relay: BenchRelay, size: Size, options: argparse.Namespace) -> bool:
    clip = make_clip(rig.folder, size)
    channel = {
        "name": "main",
        "video": {"width": size.width, "height": size.height, "fps": size.fps},
        "idle": {"clips": [{"path": str(clip)}]},
    }
    scene = make_scene(rig, size)
    upload = rig.folder / "upload.wav"
    with wave.open(str(upload), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(SOUND_RATE)
        samples = load_pcm(scene.with_suffix(".pcm"))[:, : 20 * SOUND_RATE]
        out.writeframes((samples.T * 32767).astype("<i2").tobytes())
    station = StationRun(rig, rig.folder / "var", [channel])
    good = True
    try:
        station.wait_until_idle(clip.name)
        for name, loaded in (("quiet", False), ("2 busy processes and uploads", True)):
            time.sleep(SETTLE_S)
            before = lag_buckets(station.api_port)
            with load(rig, station.api_port, upload, loaded) as answers:
                found = read(rig, station.url(), options.seconds)
            after = lag_buckets(station.api_port)
            share = within(before, after, 0.01)
            counts = {bound: after[bound] - before[bound] for bound in after}
            print(f"\npacing, {size.name}, {name}: ticks late by at most (s): {counts}")
            skipped_s = station.status()["skipped_s"]
            print(f"  answers of the API {dict(answers)}; skipped {skipped_s} s; picture steps "
                  f"{found['video_steps_ms']}, sound steps {found['audio_steps_ms']}, "
                  f"decode errors {found['decode_errors']}")  # fmt: skip
            good &= goal("P8 share later than 10 ms", 1 - share, 0.01)
            good &= steps_are_constant(found, size)
    finally:
        station.stop()
    return good


def lag_buckets(port: int) -> dict[float, int]:
    """The playout's tick lateness so far: bound in seconds -> ticks up to it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    page = connection.getresponse().read().decode()
    connection.close()
    found = re.findall(r'^broadcaster_tick_lag_seconds_bucket\{le="([^"]+)"\} (\S+)$', page, re.M)
    return {float(bound.replace("+Inf", "inf")): int(float(count)) for bound, count in found}


def within(before: dict[float, int], after: dict[float, int], bound: float) -> float:
    """Share of the ticks between two readings that were late by at most ``bound``."""
    of = after[float("inf")] - before[float("inf")]
    return (after[bound] - before[bound]) / of


@contextlib.contextmanager
def load(rig: Rig, port: int, upload: Path, really: bool) -> Iterator[dict[int, int]]:
    """Two processes that burn, and two clients that post the same speech as fast as they can."""
    answers: dict[int, int] = {}
    over = threading.Event()
    body, kind = form(upload.read_bytes(), "speech.wav", {})

    def post() -> None:
        while not over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("POST", "/generate_video", body, {"Content-Type": kind})
                response = connection.getresponse()
                response.read()
                answers[response.status] = answers.get(response.status, 0) + 1
            connection.close()

    clients = [threading.Thread(target=post) for _ in range(2 if really else 0)]
    with contextlib.ExitStack() as burning:
        for _ in range(2 if really else 0):
            burning.enter_context(rig.running([sys.executable, "-c", "while True: pass"]))
        for client in clients:
            client.start()
        try:
            yield answers
        finally:
            over.set()
            for client in clients:
                client.join()


def steps_are_constant(found: dict[str, Any], size: Size) -> bool:
    """Whether every picture came one frame after the last one (FLV rounds to milliseconds)."""
    wanted = {str(1000 // size.fps), str(-(-1000 // size.fps))}
    return goal("P8 odd picture steps", len(set(found["video_steps_ms"]) - wanted), 0)


def goal(name: str, value: float, limit: float) -> bool:
    met = value <= limit
    print(f"  {name:34}{value:8.3f} <= {limit:<8.4g}{'ok' if met else 'MISSED'}", flush=True)
    return met


PARTS = {"cost": cost, "latency": latency, "pacing": pacing}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each window")
    parser.add_argument("--rounds", type=int, default=3, help="of the cost comparison")
    parser.add_argument("--size", choices=SIZES, default="720p25")
    parser.add_argument("--only", choices=PARTS, action="append")
    options = parser.parse_args()
    good = True
    with Rig() as rig:
        relay = rig.relay()
        for part in options.only or PARTS:
            good &= PARTS[part](rig, relay, SIZES[options.size], options)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
