"""The page in a real browser: does it play, how soon, how late, at what cost, does it come back.

    python benchmarks/preview.py [--seconds 20] [--only play|join|cost|glass|vanish|recover]

play     pictures a second and energy of the sound, as the browser's own statistics tell
join     opening the page to its first picture: the first viewer, then later ones
cost     CPU of the preview process with one and with five viewers of a full-rate clip
glass    a clock drawn into each picture, read back from the page's canvas
vanish   browsers killed with SIGKILL: until session and sockets are gone
recover  playout killed, relay killed, push rolled over: until the page plays again
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks import cpu
from benchmarks.live_path import goal, make_scene, speaking
from benchmarks.rig import SIZES, Rig, free_ports, make_clip, wait_for
from broadcaster.checks.ports import port_holder
from broadcaster.paths import StatePaths
from broadcaster.settings.load import write_resolved
from broadcaster.settings.model import SettingsModel
from broadcaster.supervisor.roles import api_command
from tests.doubles.chromium import UNMUTED, Chromium, Page, chromium
from tests.doubles.station import Station, station

SIZE = SIZES["720p25"]
CARD = "channels: [{name: main, avatar: none}]\n"
"""The test card, which beeps."""

LATER_VIEWERS = 10
SETTLE_S = 3.0

DECODED = "picture.peer ? pictureStats(picture.peer).then(v => v.framesDecoded) : 0"
ENERGY = (
    "picture.peer.getStats().then(all => [...all.values()]"
    ".find(e => e.type === 'inbound-rtp' && e.kind === 'audio').totalAudioEnergy)"
)
FIRST = (
    "window.firstAt = 0;"
    "document.getElementById('video').requestVideoFrameCallback("
    "() => { window.firstAt = performance.now() })"
)
WATCH_GAPS = """
(() => {
  const video = document.getElementById("video");
  window.gaps = [];
  let shownAt = performance.now();
  const look = () => {
    const now = performance.now();
    window.gaps.push(now - shownAt);
    shownAt = now;
    video.requestVideoFrameCallback(look);
  };
  look();
})()
"""
READ_CLOCK = """
(() => {
  const video = document.getElementById("video"), bits = 40;
  const canvas = document.createElement("canvas");
  window.lags = [];
  const look = () => {
    const width = video.videoWidth, block = Math.floor(width / bits);
    canvas.width = width; canvas.height = block;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(video, 0, 0, width, block, 0, 0, width, block);
    const pixels = context.getImageData(0, 0, width, block).data;
    const row = Math.floor(block / 2) * width;
    let stamp = 0, sum = 0;
    for (let bit = 0; bit < bits; bit++) {
      const one = pixels[4 * (row + bit * block + Math.floor(block / 2)) + 1] > 125 ? 1 : 0;
      if (bit < 32) stamp = stamp * 2 + one; else sum = sum * 2 + one;
    }
    const told = [24, 16, 8, 0].reduce((s, n) => s + Math.floor(stamp / 2 ** n) % 256, 0) % 256;
    if (told === sum) window.lags.push(Date.now() - stamp);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
})()
"""
"""A picture's stamp is milliseconds of CLOCK_MONOTONIC modulo 2^32; see ``benchmarks.air``."""


def watch(browser: Chromium, url: str, timeout_s: float = 20) -> tuple[Page, float]:
    """Open the page; returns it with the milliseconds until its first picture."""
    page = browser.new_page()
    page.open(url)
    page.wait("typeof picture !== 'undefined'", 30)
    page.run(FIRST)
    page.wait("window.firstAt", timeout_s, "the first picture")
    return page, float(page.run("window.firstAt"))


def page_url(air: Station) -> str:
    return f"http://127.0.0.1:{air.api}/"


def preview(air: Station) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(air.get("/status")[1])["preview"]
    return found


def settled(air: Station) -> None:
    """The card is on air."""
    wait_for("card", lambda: air.status()["channels"][0]["idle"]["state"] == "test card", 300)


def play(options: argparse.Namespace) -> bool:
    with station(CARD) as air, chromium(UNMUTED) as browser:
        settled(air)
        page, _ = watch(browser, page_url(air))
        page.run("setSound(true, false)")
        time.sleep(1)
        begun, decoded = time.monotonic(), page.run(DECODED)
        time.sleep(options.seconds)
        rate = (page.run(DECODED) - decoded) / (time.monotonic() - begun)
        energy = page.run(ENERGY)
        print(f"\nplay: {rate:.2f} pictures/s over {options.seconds:g} s, "
              f"sound energy {energy:.4f}, console {page.console}")  # fmt: skip
        return all([goal("pictures/s away from 25", abs(rate - 25), 0.5),
                    goal("silence (1 - any energy)", float(energy <= 0), 0)])  # fmt: skip


def join(options: argparse.Namespace) -> bool:
    with station(CARD) as air, chromium(UNMUTED) as browser:
        settled(air)
        first, first_ms = watch(browser, page_url(air))
        later = []
        for _ in range(LATER_VIEWERS):
            page, took_ms = watch(browser, page_url(air))
            later.append(took_ms)
            page.close()
        first.close()
        print(f"\njoin: first viewer {first_ms:.0f} ms; later {sorted(map(round, later))} ms")
        return all([goal("first viewer, s", first_ms / 1000, 3.0),
                    goal("later, median, s", statistics.median(later) / 1000, 1.0),
                    goal("later, longest, s", max(later) / 1000, 1.6)])  # fmt: skip


def cost(options: argparse.Namespace) -> bool:
    with Rig() as rig:
        clip = make_clip(rig.folder, SIZE)
        with (
            station(f"channels: [{{name: main, idle: {{clips: [{{path: '{clip}'}}]}}}}]\n") as air,
            chromium(UNMUTED) as browser,
        ):
            wait_for("clip", lambda: air.status()["channels"][0]["idle"]["state"] == clip.name, 300)
            pid = air.pid("preview")
            found = {0: _share(pid, options.seconds)}
            for number in range(1, 6):
                watch(browser, page_url(air))
                if number in (1, 5):
                    time.sleep(SETTLE_S)
                    found[number] = _share(pid, options.seconds)
            memory = cpu.memory(pid)
            assert memory is not None
        shown = ", ".join(f"{n} viewers {share:.1f} %" for n, share in found.items())
        print(f"\ncost of {SIZE.name} at {SIZE.kbps} kb/s: {shown} of a core")
        print(f"  {memory.rss_mb:.0f} MB resident")
        return goal("five viewers, % of a core", found[5], 20)


def _share(pid: int, seconds: float) -> float:
    before, begun = cpu.tree_cpu_s([pid]), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu.tree_cpu_s([pid]) - before) / (time.monotonic() - begun)


def glass(options: argparse.Namespace) -> bool:
    with Rig() as rig, chromium(UNMUTED) as browser:
        relay = rig.relay()
        scene = make_scene(rig, SIZE)
        with speaking(rig, relay, SIZE, scene, "--task", "stamped"):
            page, _ = watch(browser, _viewing_station(rig, relay.url("live")))
            page.run("setSound(true, false)")
            time.sleep(SETTLE_S)
            page.run(READ_CLOCK)
            time.sleep(options.seconds)
            lags = np.array(page.run("window.lags"), np.float64)
    # From wall time to CLOCK_MONOTONIC, where the stamps come from.
    apart = time.time_ns() // 1_000_000 - time.monotonic_ns() // 1_000_000
    lags = (lags - apart) % 2**32
    p50, p95 = np.percentile(lags, [50, 95])
    print(f"\nglass to glass: {len(lags)} pictures, min {lags.min():.0f}, p50 {p50:.0f}, "
          f"p95 {p95:.0f}, max {lags.max():.0f} ms")  # fmt: skip
    return all([goal("p50, ms", float(p50), 150), goal("p95, ms", float(p95), 300),
                goal("pictures read, missing", options.seconds * 25 - len(lags),
                     options.seconds)])  # fmt: skip


def _viewing_station(rig: Rig, url: str) -> str:
    """API and preview alone, on a stream that somebody else sends; returns the page's address."""
    folder, _, channel = url.rpartition("/")
    (port,) = free_ports(1)
    settings = SettingsModel.model_validate(
        {
            "station": {"state_dir": str(rig.folder / "var"), "log_level": "warning"},
            "relay": {"mode": "external", "url": folder},
            "api": {"port": port},
            "channels": [{"name": channel}],
        }
    )
    paths = StatePaths(settings.station.state_dir)
    paths.make()
    write_resolved(settings, paths.resolved_settings)
    environment = {
        **os.environ,
        "BROADCASTER_SETTINGS_JSON": str(paths.resolved_settings),
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
    }
    rig.python("broadcaster.preview", "--settings", str(paths.resolved_settings))
    rig.start(api_command(settings, paths), env=environment)
    wait_for("preview", paths.preview_socket.exists, 30)
    wait_for("API", lambda: port_holder("127.0.0.1", port), 30)
    return f"http://127.0.0.1:{port}/"


def vanish(options: argparse.Namespace) -> bool:
    with station(CARD) as air:
        settled(air)
        with chromium(UNMUTED) as browser:
            page, _ = watch(browser, page_url(air))
            page.close()
        wait_for("nobody", lambda: preview(air)["viewers"] == 0, 30)
        before = _open_files(air)  # with the source still open
        with chromium(UNMUTED) as browser:
            for _ in range(3):
                watch(browser, page_url(air))
            during = _open_files(air)
            browser.kill()
            begun = time.monotonic()
            wait_for("nobody", lambda: preview(air)["viewers"] == 0, 60)
            wait_for("sockets", lambda: _open_files(air) <= before, 10)
            took_s = time.monotonic() - begun
        print(f"\nvanish: three viewers gone after {took_s:.1f} s; open files "
              f"{before} before, {during} with them, {_open_files(air)} after")  # fmt: skip
        return goal("s until nothing is left", took_s, 15)


def _open_files(air: Station) -> int:
    return len(list(Path(f"/proc/{air.pid('preview')}/fd").iterdir()))


def recover(options: argparse.Namespace) -> bool:
    back: dict[str, float] = {}
    with station(CARD) as air, chromium(UNMUTED) as browser:
        settled(air)
        page, _ = watch(browser, page_url(air))
        for role in ("playout", "relay", "preview"):
            time.sleep(SETTLE_S)
            os.kill(air.pid(role), signal.SIGKILL)
            if role != "preview":
                air.wait_off_air()
            air.wait_on_air()
            back[role] = _plays_again(page)
    # A new session every 14 s: the page must play through, or be back at once.
    with station(f"push: {{rollover_after_h: 0.004}}\n{CARD}") as air, chromium(UNMUTED) as browser:
        settled(air)
        page, _ = watch(browser, page_url(air))
        page.run(WATCH_GAPS)
        time.sleep(max(40.0, options.seconds))
        gaps = sorted(page.run("window.gaps"))
        sessions = json.loads(air.get("/status")[1])["channels"][0]["destinations"][0]
        back["rollover (longest gap)"] = gaps[-1] / 1000
    print(f"\nrecover: {back}; restarts of the push {sessions['restarts']}, "
          f"its session is {sessions['session_age_s']:.0f} s old")  # fmt: skip
    met = [goal(f"{name}, s", took_s, 5) for name, took_s in back.items()]
    return all(met)


def _plays_again(page: Page) -> float:
    """Seconds until ten more pictures have been decoded one after the other."""
    begun = time.monotonic()
    rising, last = 0, page.run(DECODED)
    while rising < 10:
        if time.monotonic() - begun > 30:
            raise TimeoutError("the page does not play again")
        time.sleep(0.04)
        now = page.run(DECODED)
        rising = rising + 1 if now > last else (rising if now == last else 0)
        last = now
    return time.monotonic() - begun


PARTS: dict[str, Callable[[argparse.Namespace], bool]] = {
    "play": play,
    "join": join,
    "cost": cost,
    "glass": glass,
    "vanish": vanish,
    "recover": recover,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each window")
    parser.add_argument("--only", choices=PARTS, action="append")
    options = parser.parse_args()
    results = [PARTS[part](options) for part in options.only or PARTS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
