"""A running station over time: memory, descriptors and threads of every process, and its stream.

    python benchmarks/soak.py [--minutes 30] [--every 60] [--clip FILE]

A task is posted every ``--every`` seconds. Slopes are least squares over all but the first fifth of
the run. A reader records what viewers get; the always-on oracle judges it at the end. Exit status 1
when the stream has a fault, a task failed, or descriptors or threads grew.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
import wave
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import idle_media
from benchmarks import cpu
from benchmarks.rig import SIZES, SOUND_RATE, Rig, StationRun, ffmpeg, wait_for
from tests.doubles.api_server import form
from tests.doubles.programme import speech_like
from tests.oracles.flv_check import AUDIO, VIDEO, Packet, Rules, faults, from_flv

SAMPLE_S = 5.0
SPEECH_S = 8
_ROLES = (
    "idle.prepare",
    "gpu_pool.worker",
    "preview",
    "playout",
    "studio",
    "gunicorn",
    "nginx",
    "ffmpeg",
    "broadcaster run",
)


class Ledger:
    """What every process held, sample by sample."""

    def __init__(self) -> None:
        self._rows: dict[tuple[int, str], list[tuple[float, cpu.Memory]]] = defaultdict(list)

    def sample(self, root: int, now: float) -> None:
        for pid in cpu.tree(root):
            line = cpu.command(pid)
            held = cpu.memory(pid)
            if held is not None and line:
                role = next((name for name in _ROLES if name in line), line.split(" ")[0])
                self._rows[pid, role].append((now, held))

    def show(self, begun: float, lasted: float) -> bool:
        """Print one row for each process that lived to the end; True when nothing leaks."""
        print(f"\n{'process':24}{'RSS MB':>9}{'slope':>9}{'PSS MB':>9}{'slope':>9}"
              f"{'fds':>10}{'threads':>10}   slopes in KB/min; RSS in fifths")  # fmt: skip
        good, settled = True, begun + lasted / 5
        for (pid, role), samples in sorted(self._rows.items()):
            late = [(at, held) for at, held in samples if at >= settled]
            if len(late) < 3 or late[-1][0] < begun + lasted - 3 * SAMPLE_S:
                continue
            fds = [held.descriptors for _, held in late]
            threads = [held.threads for _, held in late]
            rss, pss = ([getattr(h, n) for _, h in late] for n in ("rss_mb", "pss_mb"))
            at = [a for a, _ in late]
            grew = _grew(fds) or _grew(threads)
            good &= not grew
            steps = " ".join(f"{rss[n * (len(rss) - 1) // 4]:.1f}" for n in range(5))
            print(f"{f'{role} {pid}':24}{rss[-1]:9.1f}{_slope(at, rss):9.1f}{pss[-1]:9.1f}"
                  f"{_slope(at, pss):9.1f}{f'{min(fds)}-{max(fds)}':>10}"
                  f"{f'{min(threads)}-{max(threads)}':>10}   {steps}"
                  f"{'   GREW' if grew else ''}")  # fmt: skip
        return good


def _slope(at: list[float], megabytes: list[float]) -> float:
    """KB per minute."""
    return float(np.polyfit(at, megabytes, 1)[0]) * 60 * 1024


def _grew(counts: list[int]) -> bool:
    """Whether even the least of the last third is above the most of the first third."""
    third = max(1, len(counts) // 3)
    return min(counts[-third:]) > max(counts[:third])


def speech(seed: int, folder: Path) -> bytes:
    """A WAV of something like speech."""
    file = folder / "speech.wav"
    with wave.open(str(file), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(SOUND_RATE)
        voice = np.clip(speech_like(SPEECH_S * SOUND_RATE, seed), -1, 1)
        out.writeframes((voice.T * 32767).astype("<i2").tobytes())
    return file.read_bytes()


def ask(port: int, method: str, path: str, body: bytes = b"", kind: str = "") -> dict[str, Any]:
    """One request to the API."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, {"Content-Type": kind} if kind else {})
        found: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return found


def stream_report(packets: list[Packet], fps: int) -> list[str]:
    """Print the stream's figures; returns its faults."""
    media = [p for p in packets if not p.is_header and not p.is_end_of_sequence]
    video = [p.timestamp for p in media if p.kind == VIDEO]
    audio = [p.timestamp for p in media if p.kind == AUDIO]
    lasted = (video[-1] - video[0]) / 1000
    sound_ms = audio[0] + (len(audio) - 1) * 1024 * 1000 / SOUND_RATE
    picture_ms = video[0] + (len(video) - 1) * 1000 / fps
    print(f"\nstream: {len(video)} pictures and {len(audio)} sound packets in {lasted:.1f} s; "
          f"first sound {audio[0] - video[0]} ms from the first picture; last picture "
          f"{video[-1] - picture_ms:+.1f} ms and last sound {audio[-1] - sound_ms:+.1f} ms "
          "from where they should be")  # fmt: skip
    return faults(packets, Rules(fps=fps, gop_ticks=fps, extra_idrs=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between tasks")
    parser.add_argument("--clip", type=Path, help="idle clip instead of the presenter")
    options = parser.parse_args()
    size = SIZES["720p25"]
    with Rig() as rig:
        channel: dict[str, Any] = {"name": "main", "avatar": "auto"}
        if options.clip:
            channel["idle"] = {"clips": [{"path": str(options.clip.resolve())}]}
        station = StationRun(rig, rig.folder / "var", [channel])
        station.wait_until_idle(options.clip.name if options.clip else idle_media.DEFAULT)
        file = rig.folder / "pulled.flv"
        reader = rig.start(ffmpeg("-i", station.url(), "-c", "copy", str(file)))
        wait_for("recording", lambda: file.exists() and file.stat().st_size > 100_000, 20)
        ledger = Ledger()
        tasks: list[Any] = []
        begun = time.monotonic()
        while (now := time.monotonic()) - begun < options.minutes * 60:
            ledger.sample(station.process.pid, now)
            if now - begun >= len(tasks) * options.every:
                body, kind = form(speech(len(tasks), rig.folder), "speech.wav", {})
                answer = ask(station.api_port, "POST", "/generate_video", body, kind)
                tasks.append(answer.get("task_id", answer))
            time.sleep(SAMPLE_S)
        good = ledger.show(begun, time.monotonic() - begun)
        wait_for("the last task", lambda: states(station.api_port, tasks)[-1] == "done", 60)
        playout = station.status()
        done = states(station.api_port, tasks).count("done")
        reader.terminate()
        reader.wait(10)
        found = stream_report(from_flv(file), size.fps)
        station.stop()
    late, skipped = playout["late_ms"], playout["skipped_s"]
    print(f"tasks done {done} of {len(tasks)}; last tick late {late} ms, skipped {skipped} s; "
          f"encoder {playout['channels'][0]['encoder']}")  # fmt: skip
    for fault in found:
        print(f"oracle: {fault}")
    return 0 if good and not found and done == len(tasks) else 1


def states(port: int, tasks: list[Any]) -> list[str]:
    """The state of each task."""
    return [str(ask(port, "GET", f"/tasks/{task}").get("state")) for task in tasks]


if __name__ == "__main__":
    raise SystemExit(main())
