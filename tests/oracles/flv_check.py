"""The always-on oracle: what is wrong with one recorded RTMP session or FLV file?

``faults(packets, rules)`` returns sentences; none means the session is sound. It looks at
containers only (headers, times, key pictures), so it runs on every recording of every test.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

AUDIO, VIDEO, DATA = 8, 9, 18


@dataclass(frozen=True, slots=True)
class Packet:
    """``arrival`` is monotonic seconds, or None when read from a file."""

    kind: int
    timestamp: int
    body: bytes
    arrival: float | None = None

    @property
    def is_header(self) -> bool:
        return self.kind in (AUDIO, VIDEO) and self.body[1] == 0

    @property
    def is_end_of_sequence(self) -> bool:
        """What FFmpeg's muxer adds when it ends in good order: not a picture."""
        return self.kind == VIDEO and self.body[1] == 2

    @property
    def is_idr(self) -> bool:
        return self.kind == VIDEO and self.body[0] == 0x17 and self.body[1] == 1


@dataclass(frozen=True, slots=True)
class Rules:
    fps: int = 25
    sample_rate: int = 48000
    gop_ticks: int | None = 25
    exact: bool = True
    """Every picture and sound packet at its computed time; False where ticks may be dropped."""
    extra_idrs: bool = False
    """IDRs off the grid are allowed (task starts); those on it are still demanded."""
    max_jump_ms: int = 100
    max_first_skew_ms: int = 20
    max_gap_s: float = 3.0
    """Longest pause between arrivals (Tencent's limit); a session that is whole stays far under."""
    max_skew_ms: int = 250
    """Between the newest picture and the newest sound at any moment, and at the end."""


def from_sink(messages: Iterable[object]) -> list[Packet]:
    """The packets of a ``SinkSession.messages``."""
    return [
        Packet(m.kind, m.timestamp, m.body, m.arrival)  # type: ignore[attr-defined]
        for m in messages
    ]


def from_flv(path: Path) -> list[Packet]:
    return list(_tags(path.read_bytes()))


def _tags(data: bytes) -> Iterator[Packet]:
    assert data[:3] == b"FLV", "not an FLV file"
    at = struct.unpack_from(">I", data, 5)[0] + 4
    while at + 11 <= len(data):
        kind = data[at]
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        timestamp = int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24
        body = data[at + 11 : at + 11 + size]
        if len(body) == size:
            yield Packet(kind, timestamp, body)
        at += 11 + size + 4


def faults(packets: list[Packet], rules: Rules = Rules()) -> list[str]:
    """Everything that is wrong, in words; empty when the session is sound."""
    packets = [p for p in packets if not p.is_end_of_sequence]
    media = [p for p in packets if p.kind in (AUDIO, VIDEO) and not p.is_header]
    video = [p for p in media if p.kind == VIDEO]
    audio = [p for p in media if p.kind == AUDIO]
    if not video or not audio:
        return [f"incomplete: {len(video)} pictures, {len(audio)} sound packets"]
    found = _opening(packets, video, audio, rules)
    found += _times("picture", video, rules) + _times("sound", audio, rules)
    if rules.exact:
        found += _exact("picture", video, 1000 / rules.fps)
        found += _exact("sound", audio, 1024 * 1000 / rules.sample_rate)
    if rules.gop_ticks is not None:
        found += _grid(video, rules)
    return found + _skew(media, rules) + _pauses(packets, rules)


def _opening(
    packets: list[Packet], video: list[Packet], audio: list[Packet], rules: Rules
) -> list[str]:
    found = []
    order = [p for p in packets if p.kind in (AUDIO, VIDEO)][:3]
    names = [
        "idr" if p.is_idr else ("avc" if p.kind == VIDEO else "aac") + ("" if p.is_header else "!")
        for p in order
    ]
    if names != ["avc", "aac", "idr"]:
        found.append(f"opening is {names}, not AVC header, AAC header, IDR")
    for kind, name in ((VIDEO, "AVC"), (AUDIO, "AAC")):
        headers = {p.body for p in packets if p.kind == kind and p.is_header}
        if len(headers) > 1:
            found.append(f"the {name} header changes inside the session")
    skew = audio[0].timestamp - video[0].timestamp
    if abs(skew) > rules.max_first_skew_ms:
        found.append(f"first sound is {skew} ms from the first picture")
    return found


def _times(name: str, packets: list[Packet], rules: Rules) -> list[str]:
    found = []
    for before, after in itertools.pairwise(packets):
        step = after.timestamp - before.timestamp
        if step <= 0:
            found.append(f"{name} goes back from {before.timestamp} to {after.timestamp} ms")
        elif step > rules.max_jump_ms:
            found.append(f"{name} jumps {step} ms at {before.timestamp} ms")
    if any(p.kind == VIDEO and p.body[2:5] != b"\0\0\0" for p in packets):
        found.append(f"{name}: PTS differs from DTS")
    return found[:5]


def _exact(name: str, packets: list[Packet], step_ms: float) -> list[str]:
    """Counted from the second packet: the first sound may be moved up to the first picture."""
    base = packets[min(1, len(packets) - 1)].timestamp
    for index, packet in enumerate(packets[1:], start=1):
        if abs(packet.timestamp - base - (index - 1) * step_ms) > 1.5:
            due = round(base + (index - 1) * step_ms, 1)
            return [f"{name} {index} is at {packet.timestamp} ms, not at {due}"]
    return []


def _grid(video: list[Packet], rules: Rules) -> list[str]:
    assert rules.gop_ticks is not None
    wrong = []
    for index, packet in enumerate(video):
        due = index % rules.gop_ticks == 0
        if due and not packet.is_idr:
            wrong.append(f"picture {index} should be an IDR")
        if packet.is_idr and not due and not rules.extra_idrs:
            wrong.append(f"picture {index} is an IDR off the grid")
    return wrong[:5]


def _skew(media: list[Packet], rules: Rules) -> list[str]:
    newest: dict[int, int] = {}
    for packet in media:
        newest[packet.kind] = packet.timestamp
        if len(newest) == 2 and abs(newest[AUDIO] - newest[VIDEO]) > rules.max_skew_ms:
            apart = newest[AUDIO] - newest[VIDEO]
            return [f"sound and picture are {apart} ms apart at {packet.timestamp} ms"]
    return []


def _pauses(packets: list[Packet], rules: Rules) -> list[str]:
    arrivals = [p.arrival for p in packets if p.arrival is not None]
    longest = max((b - a for a, b in itertools.pairwise(arrivals)), default=0.0)
    if longest > rules.max_gap_s:
        return [f"nothing arrived for {longest:.2f} s"]
    return []
