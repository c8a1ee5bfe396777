"""From a POST to the air and back: how soon, how smooth, and whether the sound stays what it was.

    python benchmarks/speaking.py [--only latency|handover|sound] [--tasks 20] [--speech FILE]

latency   a station, an RTMP reader, uploads of 2 to 10 s, each interrupted while it is said. The
          moment at which a task's sound begins (ends) in the captured stream names a tick; the time
          is taken when the reader has decoded that tick's picture. So it counts the whole way:
          request, probe, decoding, rendering, the reserved tick, encoder, relay, reader
handover  the pictures that a channel gives its encoder around both switches, and its samples
sound     the captured sound of one task against the upload
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

import idle_media
from benchmarks.capture import Sound, find, read, recording
from benchmarks.handover import Channel
from benchmarks.lip_sync import TEXTS, of_fixture, post, say
from benchmarks.live_path import goal
from benchmarks.rig import SIZES, SOUND_RATE, Rig, StationRun, wait_for
from benchmarks.soak import ask, states
from benchmarks.witness import Witness
from broadcaster.mixer.mixer import INTERRUPT_FADE_TICKS
from tests.doubles.api_server import form

SIZE = SIZES["720p25"]
BED = 0.02
"""Rms of the noise under the speech: its begin and end can be heard wherever they fall."""

BED_HEARD = 0.35
"""Part of the bed's level in 2 ms that counts as sound: an AAC frame's own noise is far below."""

MODEL_RATE = 16_000
QUIET_S = 0.8
"""Silence around the words, longer than a fade: then a switch shows nothing but the switch."""

INTERRUPTED_TICKS = 40
AUDIBLE = 10 ** (-50 / 20)
EDGE = SOUND_RATE // 20
TELLING = 10 ** (-65 / 20)
"""Quieter than this, a sound on the air is the codec's: 16 bits end at -98 dBFS."""

_MEAN = re.compile(
    r"^broadcaster_(task|queue|pool_batch)_seconds_(sum|count)"
    r'(?:\{[^}]*?"([\w-]+)"\})? (\S+)$'
)
_PHASES = {"queue": "queued", "pool_batch": "a batch of pictures"}


def spoken() -> Sound:
    """12 sentences without the pause before them, at 48 kHz."""
    with Rig() as rig:
        speech = say(TEXTS, rig.folder) or of_fixture()[0]
    loud = np.flatnonzero(np.abs(speech.sound) > 0.02)
    return speech.sound[loud[0] : loud[-1]]


def upload(folder: Path, sound: Sound) -> Path:
    """A WAV file of a sound."""
    file = folder / "speech.wav"
    soundfile.write(file, sound, SOUND_RATE, subtype="PCM_16")
    return file


# --- latency ------------------------------------------------------------------------------------


class Drill:
    """Tasks that are posted, watched and interrupted, one after the other."""

    def __init__(self, station: StationRun, witness: Witness, folder: Path) -> None:
        self._station, self._witness, self._folder = station, witness, folder
        self.begun_s: list[float] = []
        self.answered_s: list[float] = []
        self.ended_s: list[float] = []
        self.idle_s: list[float] = []

    def run(self, sound: Sound, say_s: float) -> None:
        """Post, wait until it is seen, interrupt ``say_s`` later, wait until that is seen."""
        from_s = self._witness.heard_s
        body, kind = form(upload(self._folder, sound).read_bytes(), "speech.wav", {})
        sent, answered, task = self._post(body, kind)
        tick_s = self._moment(from_s, begins=True)
        self.begun_s.append(self._seen(tick_s) - sent)
        self.answered_s.append(answered - sent)
        time.sleep(say_s)
        asked = time.monotonic()
        told = ask(self._station.api_port, "POST", "/interrupt")
        if told.get("task_id") != task:
            raise RuntimeError(f"not interrupted: {told}")
        tick_s = self._moment(tick_s, begins=False)
        self.ended_s.append(self._seen(tick_s) - asked)
        self.idle_s.append(self._seen(tick_s + INTERRUPT_FADE_TICKS / SIZE.fps) - asked)
        wait_for("its end", lambda: states(self._station.api_port, [task])[0] == "cancelled", 10)
        wait_for("idle", lambda: not self._station.status()["channels"][0]["live_video"], 10)

    def _post(self, body: bytes, kind: str) -> tuple[float, float, str]:
        """Monotonic times of the body's last byte and of the answer, and the task's id."""
        client = http.client.HTTPConnection("127.0.0.1", self._station.api_port, timeout=20)
        try:
            client.request("POST", "/generate_video", body, {"Content-Type": kind})
            sent = time.monotonic()
            answer: dict[str, Any] = json.loads(client.getresponse().read())
            return sent, time.monotonic(), str(answer["task_id"])
        finally:
            client.close()

    def _moment(self, from_s: float, *, begins: bool) -> float:
        """When, in the stream, the task's sound begins or ends: the nearest tick."""
        found: list[float] = []

        def look() -> bool:
            at_s, levels = self._witness.levels(from_s)
            heard = levels > BED * BED_HEARD
            if begins:
                found[:] = at_s[heard][:1]
            elif len(heard) > 50 and not heard[-50:].any():
                found[:] = at_s[heard][-1:]
            return bool(found)

        wait_for("the sound's begin" if begins else "the sound's end", look, 20)
        return round(found[0] * SIZE.fps) / SIZE.fps

    def _seen(self, tick_s: float) -> float:
        wait_for("the picture", lambda: self._witness.seen_at(tick_s) is not None, 10)
        at = self._witness.seen_at(tick_s)
        assert at is not None
        return at


def latency(options: argparse.Namespace) -> bool:
    dice = np.random.default_rng(5)
    words = spoken()
    with Rig() as rig:
        channel = {"name": "main", "avatar": idle_media.DEFAULT}
        station = StationRun(rig, rig.folder / "var", [channel], preview={"enabled": False})
        station.wait_until_idle(idle_media.DEFAULT)
        with Witness(station.url(), SIZE.fps) as witness:
            wait_for("pictures", lambda: witness.pictures > 3 * SIZE.fps, 20)
            drill = Drill(station, witness, rig.folder)
            drill.run(bedded(words, 5.0, dice), 1.0)  # the first one of a station warms it up
            first = drill.begun_s.pop()
            drill.answered_s.clear()
            drill.ended_s.clear()
            drill.idle_s.clear()
            before = phases(station)
            for number in range(options.tasks):
                length_s = 2.0 + 8.0 * number / max(1, options.tasks - 1)
                drill.run(bedded(words, length_s, dice), float(dice.uniform(0.6, 1.2)))
            means = phase_means(before, phases(station))
        encoder = station.status()["channels"][0]["encoder"]
        station.stop()
    begun, ended = np.array(drill.begun_s), np.array(drill.ended_s)
    print(f"\nlatency, {options.tasks} tasks (the first one of the station: {first:.2f} s)")
    for name, found in {
        "end of POST -> on air": begun,
        "end of POST -> answer": np.array(drill.answered_s),
        "interrupt -> idle comes": ended,
        "interrupt -> wholly idle": np.array(drill.idle_s),
    }.items():
        p50, p95 = np.percentile(found, [50, 95])
        print(f"  {name:28} min {found.min():.3f}  p50 {p50:.3f}  p95 {p95:.3f}  "
              f"max {found.max():.3f} s")  # fmt: skip
    print("  means by the station's own metrics: "
          + ", ".join(f"{name} {1000 * mean:.0f} ms" for name, mean in means.items())
          + f"; encoder {encoder}")  # fmt: skip
    return all([goal("on air, p50, s", float(np.percentile(begun, 50)), 0.6),
                goal("on air, p95, s", float(np.percentile(begun, 95)), 1.0),
                goal("idle, p95, s", float(np.percentile(drill.idle_s, 95)), 0.3)])  # fmt: skip


def bedded(words: Sound, length_s: float, dice: np.random.Generator) -> Sound:
    """So much of the speech, from anywhere, over a bed of noise."""
    length = int(length_s * SOUND_RATE)
    at = int(dice.integers(0, len(words) - length))
    bed = BED * dice.standard_normal(length)
    return (0.5 * words[at : at + length] + bed).astype(np.float32)


Phases = dict[str, tuple[float, float]]


def phases(station: StationRun) -> Phases:
    """Sum and count of every phase of tasks so far."""
    client = http.client.HTTPConnection("127.0.0.1", station.api_port, timeout=20)
    try:
        client.request("GET", "/metrics")
        lines = client.getresponse().read().decode().splitlines()
    finally:
        client.close()
    found: dict[str, dict[str, float]] = {}
    for line in lines:
        if told := _MEAN.match(line):
            metric, kind, label, value = told.groups()
            name = _PHASES.get(metric, label)
            found.setdefault(name, {})[kind] = float(value)
    return {name: (each["sum"], each["count"]) for name, each in found.items()}


def phase_means(before: Phases, after: Phases) -> dict[str, float]:
    """The mean of each phase in between, in seconds."""
    means = {}
    for name, (total, count) in after.items():
        earlier_total, earlier = before.get(name, (0.0, 0.0))
        if count > earlier:
            means[name] = (total - earlier_total) / (count - earlier)
    return means


# --- hand-over ----------------------------------------------------------------------------------


def handover(options: argparse.Namespace) -> bool:
    """The switches before the encoder."""
    words = soxr.resample(spoken(), SOUND_RATE, MODEL_RATE)[: 4 * MODEL_RATE]
    quiet = np.zeros(round(QUIET_S * MODEL_RATE), np.float32)
    framed = np.concatenate([quiet, words * ramp(len(words)), quiet])
    channel = Channel()
    try:
        ordinary = channel.ordinary()
        switches = {"silence around the words": channel.say(framed)}
        talking = channel.talking(framed)
        switches["words at once"] = channel.say(words * ramp(len(words)))
        switches["interrupted"] = channel.say(words * ramp(len(words)), INTERRUPTED_TICKS)
    finally:
        channel.close()
    print(f"\nhand-over before the encoder, mean |d| of neighbouring pictures; idle as decoded: "
          f"mean {ordinary.mean():.3f}, p99 {np.percentile(ordinary, 99):.3f}; "
          f"talking: {talking.mean():.3f}; "
          f"idle as decoded and as drawn: {channel.codec_loss:.3f}")  # fmt: skip
    for name, seen in switches.items():
        rows = zip(("in", "out"), (seen.into, seen.out), seen.steps_db, strict=True)
        for way, apart, step_db in rows:
            print(f"  {name + ', ' + way:30} first {apart[0]:.3f}  mean {apart.mean():.3f}  "
                  f"most {apart.max():.3f}   sound {step_db:+.0f} dBFS")  # fmt: skip
    calm = switches["silence around the words"]
    worst = max(apart.mean() for apart in (calm.into, calm.out))
    loudest = max(max(seen.steps_db) for seen in switches.values())
    return all([goal("switch / idle neighbours", worst / ordinary.mean(), 2.0),
                goal("sound step, dBFS", loudest, -40)])  # fmt: skip


def ramp(length: int) -> Sound:
    """1, but for 5 ms at both ends: a sound that is cut from speech begins and ends silent."""
    edge = MODEL_RATE // 200
    shape = np.ones(length, np.float32)
    shape[:edge] = np.linspace(0, 1, edge)
    shape[-edge:] = np.linspace(1, 0, edge)
    return shape


# --- sound --------------------------------------------------------------------------------------


def sound(options: argparse.Namespace) -> bool:
    """The captured sound is the upload times one gain."""
    if options.speech:
        samples, rate = soundfile.read(options.speech, dtype="float32", always_2d=True)
        said = soxr.resample(samples.mean(axis=1), rate, SOUND_RATE)
    else:
        said = spoken()[: 10 * SOUND_RATE]
    with Rig() as rig:
        channel = {"name": "main", "avatar": idle_media.DEFAULT}
        station = StationRun(rig, rig.folder / "var", [channel], preview={"enabled": False})
        station.wait_until_idle(idle_media.DEFAULT)
        with recording(rig, station.url()) as file:
            post(station, options.speech or upload(rig.folder, said))
        station.stop()
        captured = read(file, lambda luma: luma[:2, :2])
    at = find(captured.sound, said)
    heard = captured.sound[at : at + len(said)]
    gain = float(heard @ said / (said @ said))
    lags_ms = window_lags_ms(captured.sound, said, at)
    edges_db = {
        name: edge_db(heard[part], gain * said[part])
        for name, part in (("first", slice(None, EDGE)), ("last", slice(-EDGE, None)))
    }
    rest = heard - gain * said
    left_db = 20 * np.log10(rms(rest) / rms(heard))
    print(f"\nsound: {len(said) / SOUND_RATE:.1f} s, gain {20 * np.log10(gain):+.2f} dB, "
          f"left over {left_db:.1f} dB; lag in {len(lags_ms)} windows "
          f"{lags_ms.min():+.2f} to {lags_ms.max():+.2f} ms")  # fmt: skip
    met = [goal("lag, spread, ms", float(np.ptp(lags_ms)), 1.0)]
    for name, off_db in edges_db.items():
        if off_db is None:
            print(f"  {name} 50 ms: too quiet to tell")
        else:
            met.append(goal(f"{name} 50 ms, dB off", abs(off_db), 1.0))
    return all(met)


def edge_db(heard: Sound, said: Sound) -> float | None:
    """How much louder an edge is than it should be; None where both are next to nothing."""
    return float(20 * np.log10(rms(heard) / rms(said))) if rms(said) > TELLING else None


def window_lags_ms(captured: Sound, said: Sound, at: int) -> NDArray[np.float64]:
    """Where each half second fits best around where it should be; silent ones tell nothing."""
    size, reach = SOUND_RATE // 2, SOUND_RATE // 50
    lags = []
    for first in range(0, len(said) - size + 1, size):
        window = said[first : first + size]
        near = captured[max(0, at + first - reach) : at + first + size + reach]
        if rms(window) > AUDIBLE:
            # Of the normalised correlation: a loud neighbour else draws the window to itself.
            energy = np.convolve(np.square(near, dtype=np.float64), np.ones(size), "valid")
            alike = np.correlate(near, window, "valid") / np.sqrt(energy + 1e-9)
            lags.append(1000 * (int(alike.argmax()) - min(reach, at + first)) / SOUND_RATE)
    return np.array(lags)


def rms(sound: Sound) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) + 1e-9


PARTS = {"latency": latency, "handover": handover, "sound": sound}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--speech", type=Path, help="a sound file to say instead, for ``sound``")
    options = parser.parse_args()
    results = [PARTS[name](options) for name in options.only or PARTS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
