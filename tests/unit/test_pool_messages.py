"""Frames between the pool and its workers: whole or not at all."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_pool.contracts import AvatarRef, Batch, BatchKey, EngineNeeds, EngineSpec, PictureFormat
from gpu_pool.messages import (
    Beat,
    Begin,
    Forget,
    FrameReader,
    LeaveOff,
    Message,
    NotPrepared,
    Prepare,
    Prepared,
    Preparing,
    Ready,
    Refused,
    Render,
    Rendered,
    Together,
    encode,
)

SOUND = np.linspace(-1, 1, 4000, dtype=np.float32)
BATCH = Batch(BatchKey("main", "ä", 3, 50), 25, "anna", 1050, SOUND, 12.5, {"gesture": "nod"})
ANNA = AvatarRef(
    "anna",
    "/x",
    PictureFormat(1280, 720, 25),
    {"mood": None},
    EngineSpec("simulated", {"picture_s": 0.5, "faults": [{"fault": "kill"}]}),
)
MESSAGES: list[Message] = [
    Begin((Prepare(3, ANNA), Prepare(4, replace(ANNA, name="leon"))), "cuda:0", 0.5),
    Prepare(5, ANNA),
    Forget("anna"),
    LeaveOff(7),
    Together(3),
    Preparing(5, True),
    Prepared(5, EngineNeeds(0.2, 0.4, 8, 4), 0.31, 8),
    NotPrepared(6, "two faces"),
    Ready(),
    Beat(12),
    Rendered(8, 0.04),
    Refused(9, "no face"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    assert FrameReader().feed(encode(message)) == [message]


def test_a_batch_arrives_with_its_sound_bit_for_bit() -> None:
    (render,) = FrameReader().feed(encode(Render(4, BATCH, (1, 5, 2))))
    assert isinstance(render, Render)
    assert (render.serial, render.slots, render.batch.key) == (4, (1, 5, 2), BATCH.key)
    assert (render.batch.count, render.batch.avatar, render.batch.base_tick) == (25, "anna", 1050)
    assert render.batch.cues == {"gesture": "nod"}
    assert render.batch.sound.tobytes() == SOUND.tobytes()


def test_a_batch_without_sound_arrives_too() -> None:
    silent = replace(BATCH, sound=np.zeros(0, np.float32))
    (render,) = FrameReader().feed(encode(Render(4, silent, (1,))))
    assert isinstance(render, Render)
    assert len(render.batch.sound) == 0


@given(st.lists(st.integers(1, 3000), max_size=40))
def test_frames_cut_anywhere_come_out_whole(cuts: list[int]) -> None:
    stream = b"".join(encode(message) for message in (*MESSAGES, Render(1, BATCH, (0,))))
    reader, found = FrameReader(), []
    for size in (*cuts, len(stream)):
        found += reader.feed(stream[:size])
        stream = stream[size:]
    assert [type(each) for each in found] == [*(type(each) for each in MESSAGES), Render]


def test_the_half_frame_of_a_worker_that_died_is_no_message() -> None:
    assert FrameReader().feed(encode(Rendered(8, 0.04))[:-1]) == []


@pytest.mark.parametrize(
    "junk",
    [
        b"Traceback (most recent call last):\n",
        struct.pack("<II", 4, 0) + b"null",
        struct.pack("<II", 9, 0) + b'["Beat"]x',
        struct.pack("<II", 17, 0) + b'["Nonsense", {} ]',
        struct.pack("<II", 22, 0) + b'["Rendered",{"wrong":1}',
        struct.pack("<II", 0xFFFFFFFF, 0),
    ],
)
def test_junk_is_told_from_messages(junk: bytes) -> None:
    with pytest.raises(ValueError, match="frame"):
        FrameReader().feed(junk)
