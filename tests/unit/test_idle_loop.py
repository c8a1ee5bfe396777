"""Loops: which pictures make them, how they are kept on disk, and which packet is due at a tick."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.codec.nal import ParameterSets
from broadcaster.codec.sound_line import Silence
from broadcaster.errors import SourceError
from broadcaster.formats import AudioFormat, VideoFormat
from broadcaster.idle.cache import (
    STALE_AFTER_S,
    forget_drafts,
    forget_stale,
    loop_folder,
    loop_key,
)
from broadcaster.idle.clip import forward_ticks, loop_order, loop_sound
from broadcaster.idle.draw import card_sound, card_ticks, draw_card, draw_slate, read_code, to_i420
from broadcaster.idle.encode import encode_pictures, encode_sound
from broadcaster.idle.loop import EncodedLoop, LoopSound, load_loop, save_loop
from broadcaster.idle.timeline import IdleTimeline
from tests.doubles.programme import SMALL, moving_pictures

SETS = ParameterSets(b"\x67\x64\x00\x1fsps", b"\x68pps")
PACKETS = [bytes([n]) * (n + 1) for n in range(2 * SMALL.gop_ticks)]

# The order of pictures.


@given(st.integers(1, 2000), st.sampled_from(["loop", "pingpong"]), st.integers(10, 300))
def test_a_loop_is_whole_gops_of_pictures_that_exist(pictures: int, mode: str, gop: int) -> None:
    order = loop_order(pictures, mode, gop)
    assert len(order) % gop == 0
    assert len(order) >= gop
    assert order.min() == 0
    assert order.max() < pictures
    assert order[0] == 0
    assert len(order) <= max(gop, 2 * pictures)


@given(st.integers(1, 2000), st.integers(10, 300))
def test_ping_pong_goes_there_and_back_without_a_jump_or_a_double(pictures: int, gop: int) -> None:
    order = loop_order(pictures, "pingpong", gop)
    if 2 * (pictures - 1) >= 2 * gop:
        assert len(order) == 2 * order.max()
        assert {abs(b - a) for a, b in pairwise([*order.tolist(), 0])} == {1}
        assert order.max() > pictures - 1 - gop, "more was cut off than the grid asks for"


def test_loop_plays_forward_and_is_cut_to_the_grid() -> None:
    assert loop_order(60, "loop", 25).tolist() == list(range(50))
    assert loop_order(10, "loop", 25).tolist() == [n % 10 for n in range(25)]


def test_an_odd_gop_still_meets_in_the_middle() -> None:
    assert loop_order(30, "pingpong", 25).tolist() == [*range(26), *range(24, 0, -1)]


@pytest.mark.parametrize(
    ("pictures", "mode", "gop", "ticks"),
    [(60, "loop", 25, 50), (30, "pingpong", 25, 25), (7, "pingpong", 25, 7), (7, "loop", 25, 7),
     (26, "pingpong", 50, 26), (1, "pingpong", 10, 1)],
)  # fmt: skip
def test_the_sound_goes_along_with_one_way_forward(
    pictures: int, mode: str, gop: int, ticks: int
) -> None:
    """One tick less and the sound of a repeated short clip would drift from its pictures."""
    assert forward_ticks(loop_order(pictures, mode, gop)) == ticks


def test_a_loops_sound_begins_with_each_leg_and_has_no_click_at_its_ends() -> None:
    sound = np.full((2, 7 * 1920 + 500), 0.5, np.float32)
    pcm = loop_sound(sound, 25, 7, SMALL)
    assert pcm.shape == (2, 25 * 1920)
    assert pcm[0, 0] == 0.0
    assert pcm[0, 3 * 1920] == 0.5
    assert np.array_equal(pcm[:, : 7 * 1920], pcm[:, 7 * 1920 : 14 * 1920])
    assert np.abs(np.diff(pcm[0])).max() < 0.01


def test_a_sound_shorter_than_its_clip_is_filled_with_silence() -> None:
    pcm = loop_sound(np.full((2, 4000), 0.5, np.float32), 50, 50, SMALL)
    assert not pcm[:, 4000:].any()
    assert pcm[:, 1000:3000].min() == 0.5
    assert not loop_sound(np.zeros((2, 0), np.float32), 50, 50, SMALL).any()


# Encoding.


def test_the_second_pass_is_kept_with_an_idr_at_every_grid_picture() -> None:
    pictures = moving_pictures(SMALL.video, 50, 3)
    passes = []

    def again() -> object:
        passes.append(1)
        return iter(pictures)

    packets, _ = encode_pictures(again, SMALL)  # type: ignore[arg-type]
    assert len(passes) == 2
    assert [n for n, p in enumerate(packets) if p[4] & 31 == 5] == [0, 25]
    rate = sum(map(len, packets)) * 8 / 2
    assert rate <= 0.95 * SMALL.bitrate_bps


def test_a_loop_off_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number of GOPs"):
        encode_pictures(lambda: iter(moving_pictures(SMALL.video, 26, 3)), SMALL)


def test_sound_that_nobody_hears_is_silence() -> None:
    assert encode_sound(np.zeros((2, 48000), np.float32), SMALL) is None
    assert encode_sound(np.full((2, 48000), 5e-5, np.float32), SMALL) is None
    assert encode_sound(np.zeros((2, 0), np.float32), SMALL) is None


def test_a_sound_table_covers_a_whole_number_of_loops_or_is_not_made() -> None:
    second = np.full((2, 48000), 0.1, np.float32)
    made = encode_sound(second, SMALL)
    assert made is not None
    assert made.packets is not None
    assert len(made.packets) * 1024 % 48000 == 0
    cd = replace(SMALL, audio=AudioFormat(44100, 128_000))
    long = encode_sound(np.full((2, 10 * 44100 + 1764), 0.1, np.float32), cd)
    assert long is not None
    assert long.packets is None


# On disk.


def saved(folder: Path, sound: LoopSound | None = None) -> Path:
    save_loop(folder, "title", PACKETS, SETS, sound)
    return folder


def test_a_loop_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    pcm = np.random.default_rng(1).random((2, 2048), np.float32)
    loop = load_loop(saved(tmp_path / "a", LoopSound(pcm, (b"one", b"three"))), SMALL)
    assert [bytes(p) for p in loop.packets] == PACKETS
    assert (loop.title, loop.parameter_sets) == ("title", SETS)
    assert loop.sound.packets == (b"one", b"three")
    assert np.array_equal(loop.sound.pcm(2048, 2048), pcm)
    assert not loop.sound.silent
    silent = load_loop(saved(tmp_path / "b"), SMALL)
    assert silent.sound.silent


def test_saving_again_replaces_and_a_loop_that_is_mapped_stays_whole(tmp_path: Path) -> None:
    folder = saved(tmp_path / "a")
    old = load_loop(folder, SMALL)
    save_loop(folder, "new", [b"x"] * 25, SETS, None)
    assert load_loop(folder, SMALL).title == "new"
    assert [bytes(p) for p in old.packets] == PACKETS
    assert [f.name for f in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("file", ["video.bin", "sizes.npy", "headers.json", "sound.npy", "aac.bin"])
@pytest.mark.parametrize("fault", ["empty", "half", "zeros", "other"])
def test_a_damaged_loop_is_never_played(tmp_path: Path, file: str, fault: str) -> None:
    """What a power cut leaves: files without their last blocks, or with zeros for them."""
    pcm = np.random.default_rng(1).random((2, 2048), np.float32)
    folder = saved(tmp_path / "a", LoopSound(pcm, (b"one", b"three")))
    whole = (folder / file).read_bytes()
    damaged = {"empty": b"", "half": whole[: len(whole) // 2], "zeros": bytes(len(whole))}
    (folder / file).write_bytes(damaged.get(fault, b"[]"))
    with pytest.raises(SourceError, match="no usable loop in a"):
        load_loop(folder, SMALL)


@pytest.mark.parametrize("file", ["video.bin", "sizes.npy", "headers.json", "aac_sizes.npy"])
def test_a_loop_that_lacks_a_file_is_never_played(tmp_path: Path, file: str) -> None:
    pcm = np.zeros((2, 2048), np.float32)
    folder = saved(tmp_path / "a", LoopSound(pcm, (b"one", b"three")))
    (folder / file).unlink()
    with pytest.raises(SourceError, match="no usable loop in a"):
        load_loop(folder, SMALL)


def test_a_loop_of_another_gop_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="whole number of GOPs"):
        load_loop(saved(tmp_path / "a"), replace(SMALL, gop_ticks=30))


def test_a_key_tells_content_and_format_apart() -> None:
    keys = {
        loop_key(SMALL, clip="a"),
        loop_key(SMALL, clip="b"),
        loop_key(SMALL, card="a"),
        loop_key(replace(SMALL, bitrate_bps=700_000), clip="a"),
        loop_key(replace(SMALL, preset="fast"), clip="a"),
        loop_key(replace(SMALL, gop_ticks=50), clip="a"),
    }
    assert len(keys) == 6
    assert loop_key(SMALL, clip="a") in keys


def test_what_was_left_half_made_is_deleted(tmp_path: Path) -> None:
    for name in ("used", "tmp1.draft", "used.draft"):
        saved(loop_folder(tmp_path, name))
    forget_drafts(tmp_path)
    assert {f.name for f in (tmp_path / "idle").iterdir()} == {"used"}


# The timeline.


def loop_of(title: str, ticks: int) -> EncodedLoop:
    packets = [f"{title}{n}".encode() for n in range(ticks)]
    return EncodedLoop(title, packets, SETS, Silence(SMALL.audio))


def test_a_packet_is_found_by_the_tick_itself() -> None:
    timeline = IdleTimeline(loop_of("a", 50), 25)
    assert [timeline.packet(t).payload for t in (0, 49, 50, 10**9)] == [b"a0", b"a49", b"a0", b"a0"]
    assert [t for t in range(60) if timeline.packet(t).is_idr] == [0, 25, 50]


def test_programmes_change_on_the_grid_only_and_keep_their_pose() -> None:
    timeline = IdleTimeline(loop_of("a", 50), 25)
    with pytest.raises(ValueError, match="grid"):
        timeline.switch(30, loop_of("b", 75))
    timeline.switch(125, loop_of("b", 75))
    assert timeline.changes == 125
    assert timeline.packet(124).payload == b"a24"
    assert timeline.packet(125).payload == b"b50"
    timeline.switch(150, loop_of("c", 25))
    assert timeline.packet(149).payload == b"b74"
    assert timeline.packet(150).payload == b"c0"


# What the station draws itself.


@pytest.mark.parametrize("size", [(64, 64), (192, 112), (1280, 720), (360, 640)])
def test_every_picture_of_the_card_can_be_told_apart_by_its_code(size: tuple[int, int]) -> None:
    fmt = replace(SMALL, video=VideoFormat(*size, 25))
    count = 200 if size[0] < 200 else 12
    pictures = list(islice(draw_card(fmt, "main"), count))
    assert all(p.shape == fmt.video.i420_shape and p.dtype == np.uint8 for p in pictures)
    if size[0] > 64:
        assert [read_code(p[: size[1]]) for p in pictures] == list(range(count))


@pytest.mark.parametrize(("fps", "gop"), [(25, 25), (30, 60), (25, 11), (30, 300), (25, 250)])
def test_the_card_is_whole_gops_its_code_counts_them_and_its_sound_is_as_long(
    fps: int, gop: int
) -> None:
    fmt = replace(SMALL, video=VideoFormat(192, 112, fps), gop_ticks=gop)
    ticks = card_ticks(fmt)
    assert ticks % gop == 0
    assert ticks <= 512
    assert card_sound(fmt).shape == (2, ticks * fmt.samples_per_tick)


def test_beep_and_flash_come_together_once_a_second() -> None:
    sound = card_sound(SMALL)
    loud = np.abs(sound[0].reshape(-1, SMALL.samples_per_tick)).max(axis=1) > 0.05
    flash = []
    for picture in draw_card(SMALL, "main"):
        hub = picture[int(112 * 0.635) - 2 : int(112 * 0.635) + 3, 88:105]
        flash.append(int(np.median(hub)) > 180)
    assert [n for n, f in enumerate(flash) if f] == [n for n in range(200) if n % 25 < 2]
    assert [n for n, f in enumerate(loud) if f] == [n for n in range(200) if n % 25 < 2]
    assert float(np.abs(sound).max()) <= 0.125


def test_words_stay_inside_an_upright_picture() -> None:
    picture = draw_slate(VideoFormat(360, 640, 25), "A station with a long name", "main")
    words = picture.min(axis=2) > 200
    assert words[:, 18:-18].any()
    assert not words[:, :14].any()
    assert not words[:, -14:].any()


def test_the_slate_has_words_on_it_and_colours_are_limited_range() -> None:
    picture = to_i420(draw_slate(VideoFormat(320, 180, 25), "Station", "main"))
    assert picture[:180].max() > 150
    white = to_i420(np.full((64, 64, 3), 255, np.uint8))
    assert (int(white[:64].max()), int(white[64:].max())) == (235, 128)
    red = to_i420(np.full((64, 64, 3), (0, 0, 255), np.uint8))
    assert abs(int(red[0, 0]) - 63) <= 1, "BT.709 has red at 63, BT.601 at 81"


def test_a_loop_nobody_asked_for_in_a_month_is_deleted(tmp_path: Path) -> None:
    fresh, stale = tmp_path / "idle" / "fresh", tmp_path / "idle" / "stale"
    for folder in (fresh, stale):
        folder.mkdir(parents=True)
    os.utime(stale, (0, 1_000_000))
    os.utime(fresh, (0, 1_000_000 + STALE_AFTER_S))
    forget_stale(tmp_path, 1_000_000 + STALE_AFTER_S + 1)
    assert fresh.exists()
    assert not stale.exists()
