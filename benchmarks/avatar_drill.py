"""What is no avatar, sent to a station that speaks: how it answers, what stays, what the air feels.

    python benchmarks/avatar_drill.py [--portrait FILE] [--clip FILE]

A real station (relay, two drawn presenters, a task on air all the time) is sent one bad file after
the other, then a good one. With a portrait or a clip of your own its face takes the place of the
drawn one. Wanted: the answers below, nothing left in the state folder, no tick late by a whole
picture, none skipped, no task run dry, and a stream without a fault at the reader.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np

import idle_media
from benchmarks.capture import recording
from benchmarks.rig import SIZES, Rig, StationRun, wait_for
from benchmarks.soak import ask, stream_report
from tests.doubles import avatar_files as files
from tests.doubles.api_server import form
from tests.doubles.portrait import photograph, turned
from tests.oracles.flv_check import from_flv

BODY_TIMEOUT_S = 4.0
UNDISTURBED_S = 40.0
ENDED_WITHIN_S = 240.0
TEXT = "This is the news of the hour; it goes on whatever the station is sent meanwhile. " * 6


@dataclass(frozen=True, slots=True)
class Case:
    """Something to send, and the statuses that are right for it; ``ends`` for what is taken."""

    what: str
    content: bytes
    statuses: tuple[int, ...] = (422,)
    ends: str = ""
    file_name: str = "a.jpg"
    fields: dict[str, str] = field(default_factory=lambda: {"name": "guest"})


def bad_files(portrait: files.Bgr) -> Iterator[Case]:
    """Pictures and clips that can be no avatar."""
    picture = files.encoded(portrait)
    yield Case("no face", files.no_face())
    beside = cv2.resize(portrait, None, fx=640 / portrait.shape[1], fy=640 / portrait.shape[1])
    yield Case("two faces", files.encoded(np.hstack([beside, beside])))
    yield Case("a profile (turned by 40 degrees)", files.encoded(turned(photograph(), 40)))
    yield Case("a face of 10 pixels", files.far_face())
    yield Case("a picture cut off", picture[: len(picture) // 4])
    yield Case("a picture with damaged bytes", damaged(picture), (202, 422))
    yield Case("noise called JPEG", np.random.default_rng(1).bytes(200_000))
    yield Case("a clip cut off", files.clip(1.0)[:2000], file_name="a.mp4")
    yield Case("a clip of 5 minutes", files.clip(300.0, 5), file_name="a.mp4")
    yield Case("PNG bomb, 100 million pixels in 0.3 MB", files.png_bomb())
    yield Case("PNG bomb, 900 million pixels", files.png_bomb(30_000, 30_000))
    yield Case("a ZIP bomb", b"PK\x03\x04" + bytes(1 << 20), file_name="a.zip")
    yield Case("a playlist of local files", b"#EXTM3U\nfile:///etc/passwd\n", file_name="a.m3u8")
    yield Case("ffconcat", b"ffconcat version 1.0\nfile /etc/passwd\n", file_name="a.mp4")
    yield Case("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///x'/></svg>")
    yield Case("an empty file", b"")
    yield Case("larger than it may be", bytes(9 << 20), (413,))


def bad_names(portrait: files.Bgr) -> Iterator[Case]:
    """Names that point elsewhere; with a good picture."""
    picture = files.encoded(portrait)
    long_path = "/etc/" + "a" * 300 + ".jpg"
    for number, name in enumerate(("../../../etc/passwd", "..\\x.png", long_path, "a\x00.jpg")):
        fields = {"name": f"fine-{number}"}
        yield Case(f"file name {name[:24]!r}", picture, (202,), "ready", name, fields)
    for name in ("../x", "/etc/passwd", ".hidden", "a/b", "a" * 300, "a\nb", "Ünïcode", "nul\x00l"):
        yield Case(f"name {name[:24]!r}", picture, fields={"name": name})
    yield Case("name of a presenter", picture, (409,), fields={"name": idle_media.DEFAULT})
    private = {"name": "guest", "callback_url": "http://169.254.169.254/latest"}
    yield Case("calls back a private address", picture, fields=private)


def good_ones(portrait: files.Bgr, clip: bytes) -> Iterator[Case]:
    """What is made beside the air: the most work that an upload can be."""
    width = 3840
    height = 2 * round(portrait.shape[0] * width / portrait.shape[1] / 2)
    large = np.asarray(cv2.resize(portrait, (width, height), interpolation=cv2.INTER_CUBIC))
    yield Case(f"4K ({width}x{height})", files.encoded(large), (202,), "ready")
    yield Case("a good clip", clip, (202,), "ready", "b.mp4", {"name": "moving"})
    black = [np.zeros((360, 640, 3), np.uint8)] * 50
    blank = {"name": "blank"}
    yield Case("a clip without a face", files.film(black), (202,), "failed", "c.mp4", blank)
    yield Case("a clip with damaged bytes", damaged(clip), (202, 422), "", "d.mp4", {"name": "odd"})


def damaged(content: bytes) -> bytes:
    """Every thousandth byte of its second half is another."""
    data = np.frombuffer(content, np.uint8).copy()
    data[len(data) // 2 :: 1000] ^= 0x5A
    return data.tobytes()


def send(port: int, case: Case) -> tuple[int, dict[str, Any]]:
    """One upload."""
    body, kind = form(case.content, case.file_name, case.fields, part="file")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # answered before its end
            connection.request("POST", "/avatars", body, {"Content-Type": kind})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def drip(port: int) -> str:
    """A body that comes a byte at a time: the first line of the answer."""
    head = (
        "POST /avatars HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    )
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(head.encode())
        client.settimeout(0.2)
        while True:
            try:
                client.sendall(b"x")
                if answer := client.recv(4096):
                    return answer.split(b"\r\n")[0].decode()
                return "closed without an answer"
            except TimeoutError:
                continue
            except OSError as error:
                return f"closed: {error}"


def try_case(port: int, case: Case) -> bool:
    """Send, wait for its end, print, remove; True when all is as it should be."""
    status, answer = send(port, case)
    said, good = str(answer.get("error") or ""), status in case.statuses
    if status == 202:
        name = answer["name"]
        state = ended(port, name)
        said = f"{state['state']}. {state['error'] or ''}"
        good &= not case.ends or state["state"] == case.ends
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("DELETE", f"/avatars/{name}")
        good &= connection.getresponse().status == 204
        connection.close()
    print(f"  {case.what:42} {status} {said[:110]}{'' if good else '   WRONG'}", flush=True)
    return good


def ended(port: int, name: str) -> dict[str, Any]:
    """An avatar once nobody makes it any more."""

    def over() -> bool:
        return bool(ask(port, "GET", f"/avatars/{name}")["state"] != "making")

    wait_for(name, over, ENDED_WITHIN_S)
    return ask(port, "GET", f"/avatars/{name}")


def answers(port: int) -> bool:
    """Whether the API is up."""
    try:
        return bool(ask(port, "GET", "/status")["ready"])
    except OSError:
        return False


def figures(port: int) -> dict[str, float]:
    """What the station counts of its air."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    values = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines
              if line and not line.startswith("#")}  # fmt: skip

    def total(start: str) -> float:
        return sum(value for name, value in values.items() if name.startswith(start))

    lag = "broadcaster_tick_lag_seconds_"
    in_time = total(f'{lag}bucket{{le="0.04"}}')
    return {
        "ticks": total("broadcaster_ticks_total"),
        "ticks begun more than 40 ms late": total(f"{lag}count") - in_time,
        "ticks skipped": total("broadcaster_ticks_skipped_total"),
        "late pictures": total("broadcaster_late_pictures_total"),
        "underruns": total("broadcaster_underruns_total"),
    }


def left_behind(state: Path) -> list[str]:
    """What lies about that belongs to nobody; the shelf is empty by then."""
    avatars = state / "avatars"
    folders = [state / "spool" / "incoming", avatars / ".uploads", avatars / ".drafts"]
    found = [str(each) for folder in folders if folder.is_dir() for each in folder.iterdir()]
    return found + [str(e) for e in avatars.iterdir() if not e.name.startswith(".")]


class Speaking:
    """Keeps a task on air."""

    def __init__(self, port: int) -> None:
        self._port, self.tasks = port, list[str]()

    def keep(self) -> None:
        """Post the next text while the last but one is heard."""
        counts = ask(self._port, "GET", "/status")["tasks"]["counts"].get("main", {})
        active = sum(counts.get(state, 0) for state in ("queued", "preparing", "buffering"))
        if active < 2:
            body = json.dumps({"text": TEXT}).encode()
            answer = ask(self._port, "POST", "/generate_video", body, "application/json")
            self.tasks.append(str(answer["task_id"]))


def while_nothing_is_sent(port: int, speaking: Speaking) -> dict[str, float]:
    """What the same air counts on this machine, now, without uploads."""
    before, until = figures(port), time.monotonic() + UNDISTURBED_S
    while time.monotonic() < until:
        speaking.keep()
        time.sleep(1)
    return {name: value - before[name] for name, value in figures(port).items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--portrait", type=Path, help="a picture with a face")
    parser.add_argument("--clip", type=Path, help="a clip with a face")
    options = parser.parse_args()
    portrait = files.drawn("anna")
    if options.portrait:
        portrait = np.asarray(cv2.imread(str(options.portrait)), np.uint8)
    clip = options.clip.read_bytes() if options.clip else files.clip(2.0)
    cases = [*bad_files(portrait), *bad_names(portrait), *good_ones(portrait, clip)]
    size = SIZES["720p25"]
    with Rig() as rig:
        state = rig.folder / "var"
        more: dict[str, dict[str, Any]] = {
            "api": {"body_timeout_s": BODY_TIMEOUT_S}, "avatars": {"max_upload_mb": 8}
        }  # fmt: skip
        station = StationRun(rig, state, [{"name": "main", "avatar": "auto"}], **more)
        station.wait_until_idle(idle_media.DEFAULT)
        wait_for("the API", lambda: answers(station.api_port), 60)
        with recording(rig, station.url()) as file:
            speaking, good = Speaking(station.api_port), True
            undisturbed = while_nothing_is_sent(station.api_port, speaking)
            before, begun = figures(station.api_port), time.monotonic()
            for case in cases:
                speaking.keep()
                good &= try_case(station.api_port, case)
            answer = drip(station.api_port)
            print(f"  {'a body that comes a byte at a time':42} {answer}")
            good &= "408" in answer
            after = figures(station.api_port)
            lasted = time.monotonic() - begun
        wait_for("nothing left", lambda: not left_behind(state), 10)
        found = stream_report(from_flv(file), size.fps)
        station.stop()
    print(
        f"\n{len(cases) + 1} uploads in {lasted:.0f} s, {len(speaking.tasks)} tasks; nothing left"
    )
    print(f"  {'':34}{'uploads':>8}{'before':>8}")
    for name, value in after.items():
        print(f"  {name:34}{value - before[name]:8.0f}{undisturbed[name]:8.0f}")
    for fault in found:
        print(f"oracle: {fault}")
    quiet = all(after[name] == before[name] for name in after if name != "ticks")
    return 0 if good and quiet and not found else 1


if __name__ == "__main__":
    raise SystemExit(main())
