"""The oracle itself: a sound session passes, and each kind of damage is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from broadcaster.push.timeline import SessionTimeline
from tests.doubles.air import loop
from tests.oracles.flv_check import AUDIO, DATA, VIDEO, Packet, Rules, faults


def session(ticks: int = 200) -> list[Packet]:
    source = loop()
    timeline = SessionTimeline(source.fmt, 0)
    packets = [
        Packet(DATA, 0, b"onMetaData", 0.0),
        Packet(VIDEO, 0, b"\x17\0\0\0\0" + source.headers.avc_config, 0.0),
        Packet(AUDIO, 0, b"\xaf\0" + source.headers.aac_config, 0.0),
    ]
    for number in range(ticks):
        tick, at = source.tick(number), number * 0.04
        lead = b"\x17\x01\0\0\0" if tick.video.is_idr else b"\x27\x01\0\0\0"
        picture = Packet(VIDEO, timeline.video_ms(number), lead + bytes(tick.video.payload), at)
        packets.append(picture)
        for packet in tick.audio:
            ms = timeline.audio_ms(packet.slot)
            if ms is not None:
                packets.append(Packet(AUDIO, ms, b"\xaf\x01" + packet.payload, at))
    return packets


def pictures(packets: list[Packet]) -> list[int]:
    return [i for i, p in enumerate(packets) if p.kind == VIDEO and not p.is_header]


def changed(packets: list[Packet], index: int, **fields: object) -> list[Packet]:
    packets[index] = dataclasses.replace(packets[index], **fields)  # type: ignore[arg-type]
    return packets


def swap_headers(p: list[Packet]) -> list[Packet]:
    p[1], p[2] = p[2], p[1]
    return p


def begin_without_idr(p: list[Packet]) -> list[Packet]:
    del p[pictures(p)[0]]
    return p


def lose_a_picture(p: list[Packet]) -> list[Packet]:
    del p[pictures(p)[60]]
    return p


def lose_an_idr(p: list[Packet]) -> list[Packet]:
    index = pictures(p)[50]
    return changed(p, index, body=b"\x27" + p[index].body[1:])


def an_idr_off_the_grid(p: list[Packet]) -> list[Packet]:
    index = pictures(p)[60]
    return changed(p, index, body=b"\x17" + p[index].body[1:])


def rollback(p: list[Packet]) -> list[Packet]:
    return changed(p, pictures(p)[60], timestamp=2000)


def jump(p: list[Packet]) -> list[Packet]:
    after = pictures(p)[60]
    return [
        dataclasses.replace(x, timestamp=x.timestamp + (1500 if i >= after else 0))
        for i, x in enumerate(p)
    ]


def late_sound(p: list[Packet]) -> list[Packet]:
    return [
        dataclasses.replace(x, timestamp=x.timestamp + 40)
        if x.kind == AUDIO and not x.is_header
        else x
        for x in p
    ]


def drifting_sound(p: list[Packet]) -> list[Packet]:
    return [
        dataclasses.replace(x, timestamp=x.timestamp * 1001 // 1000) if x.kind == AUDIO else x
        for x in p
    ]


def sound_stops(p: list[Packet]) -> list[Packet]:
    return [x for i, x in enumerate(p) if x.kind != AUDIO or i < 300]


def no_sound(p: list[Packet]) -> list[Packet]:
    return [x for x in p if x.kind != AUDIO]


def codec_change(p: list[Packet]) -> list[Packet]:
    p.insert(pictures(p)[50], Packet(VIDEO, 2000, b"\x17\0\0\0\0other", 2.0))
    return p


def silence_on_the_wire(p: list[Packet]) -> list[Packet]:
    return [dataclasses.replace(x, arrival=(x.arrival or 0) + (5 if i > 90 else 0))
            for i, x in enumerate(p)]  # fmt: skip


def reordered_pictures(p: list[Packet]) -> list[Packet]:
    return changed(p, pictures(p)[5], body=b"\x27\x01\0\0\x28" + p[pictures(p)[5]].body[5:])


def test_a_sound_session_has_no_faults() -> None:
    assert faults(session(), Rules()) == []


def test_the_end_of_sequence_tag_of_a_clean_close_is_no_fault() -> None:
    assert faults([*session(), Packet(VIDEO, 7960, b"\x17\x02\0\0\0", 8.0)], Rules()) == []


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (swap_headers, "opening"),
        (begin_without_idr, "opening"),
        (lose_a_picture, "picture 60 is at"),
        (lose_an_idr, "picture 50 should be an IDR"),
        (an_idr_off_the_grid, "picture 60 is an IDR off the grid"),
        (rollback, "goes back"),
        (jump, "jumps"),
        (late_sound, "first sound is 40 ms"),
        (drifting_sound, "sound"),
        (sound_stops, "apart"),
        (no_sound, "incomplete"),
        (codec_change, "header changes"),
        (silence_on_the_wire, "nothing arrived"),
        (reordered_pictures, "PTS differs"),
    ],
)
def test_every_damage_is_named(damage: Callable[[list[Packet]], list[Packet]], word: str) -> None:
    found = faults(damage(session()), Rules())
    assert any(word in fault for fault in found), found
