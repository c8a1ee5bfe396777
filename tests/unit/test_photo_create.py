"""Avatars made of pictures and clips that people send, good, bad and hostile."""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import os
import shutil
import signal
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from gpu_pool.contracts import PictureFormat
from gpu_pool.engines.face import AvatarRefused, Handles
from gpu_pool.engines.face.points import INNER_LOWER, INNER_UPPER
from gpu_pool.engines.photo import AvatarSummary, create_avatar, load, re_handle, read_avatar
from tests.doubles.portrait import (
    FPS,
    HANDLES,
    HEIGHT,
    WIDTH,
    face_models,
    film,
    photograph,
    save,
    talking,
)

FILES = {"avatar.json", "track.npz", "thumbnail.webp"}


def made(source: Path, folder: Path, **options: object) -> AvatarSummary:
    return create_avatar(source, folder, name="Anna", **options)  # type: ignore[arg-type]


def off_by(found: Handles, wanted: Handles) -> float:
    return float(np.linalg.norm(found.array() - wanted.array(), axis=1).max())


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int) -> bytes:
    """Grey, and a thousand times smaller than what it wants to be."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min((width + 1) * height, 2_000_000)), 9)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    )


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_a_picture_becomes_an_avatar(kind: str, tmp_path: Path) -> None:
    face_models()
    source = save(tmp_path / f"anna.{kind}", photograph())
    told: list[tuple[float, str]] = []
    summary = made(source, tmp_path / "avatar", progress=lambda *now: told.append(now))
    assert (summary.kind, summary.width, summary.height) == ("picture", WIDTH, HEIGHT)
    assert (summary.name, summary.found_by, summary.pictures) == ("Anna", "landmarks", 1)
    assert off_by(summary.handles, HANDLES) < 3
    assert summary.source_sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert any("mouth is 40 pixels wide" in each for each in summary.warnings)
    assert {each.name for each in (tmp_path / "avatar").iterdir()} == FILES | {"picture.webp"}
    assert [part for part, _ in told] == sorted(part for part, _ in told)
    assert told[-1][0] == 1.0
    assert read_avatar(tmp_path / "avatar").summary == summary


def test_what_a_file_is_its_first_bytes_say(tmp_path: Path) -> None:
    source = save(tmp_path / "anna.png", photograph()).rename(tmp_path / "anna.mp4")
    assert made(source, tmp_path / "a", handles=HANDLES).kind == "picture"


def test_a_4k_picture_is_made_smaller_and_keeps_its_face(tmp_path: Path) -> None:
    source = save(tmp_path / "a.jpg", np.asarray(cv2.resize(photograph(), (3840, 2160)), np.uint8))
    summary = made(source, tmp_path / "a")
    assert (summary.width, summary.height) == (1920, 1080)
    assert abs(summary.handles.mouth_width - 120) < 6


def test_a_face_far_away_in_a_large_picture_is_cut_out(tmp_path: Path) -> None:
    room = np.full((2400, 4000, 3), 90, np.uint8)
    room[1000:1720, 2000:3280] = cv2.resize(photograph(), (1280, 720))
    summary = made(save(tmp_path / "a.jpg", room), tmp_path / "a")
    assert (summary.width, summary.height) == (1920, 1088)
    assert summary.handles.mouth_width > 75
    assert 0.2 * 1088 < summary.handles.mouth_left[1] < 0.7 * 1088


def test_what_is_transparent_is_laid_on_grey(tmp_path: Path) -> None:
    bgra = np.dstack([photograph(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    bgra[:100, :100] = (0, 255, 0, 0)
    made(save(tmp_path / "a.png", bgra), tmp_path / "a", handles=HANDLES)
    picture = read_avatar(tmp_path / "a").picture
    assert picture is not None
    assert np.ptp(picture[10:90, 10:90]) < 12


def test_a_clip_becomes_an_avatar_that_follows_its_mouth(tmp_path: Path) -> None:
    face_models()
    source = film(tmp_path / "anna.mp4", talking(15))
    summary = made(source, tmp_path / "a")
    assert (summary.kind, summary.pictures, summary.fps) == ("clip", 15, FPS)
    avatar = read_avatar(tmp_path / "a")
    gaps = (avatar.points[:, INNER_LOWER] - avatar.points[:, INNER_UPPER])[:, :, 1].max(axis=1)
    assert gaps[[2, 3, 7, 8]].min() > 8
    assert gaps[[5, 10]].max() < 4
    assert avatar.clip is not None
    assert len(avatar.clip) == 15


def test_a_clip_without_networks_keeps_its_handles_on_the_head(tmp_path: Path) -> None:
    source = film(tmp_path / "anna.mkv", (photograph("anna", tick) for tick in range(15)))
    summary = made(source, tmp_path / "a", models=tmp_path / "none", handles=HANDLES)
    assert summary.found_by == "handles"
    assert off_by(summary.handles, HANDLES) < 2


def test_fast_clips_lose_every_other_picture(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", (photograph("anna", tick // 2) for tick in range(30)), 50)
    summary = made(source, tmp_path / "a", models=tmp_path / "none", handles=HANDLES)
    assert (summary.pictures, summary.fps) == (15, 25)


# --- refused, and nothing is left -----------------------------------------------------------------


def refused(source: Path, tmp_path: Path, words: str, **options: object) -> None:
    with pytest.raises(AvatarRefused, match=words):
        made(source, tmp_path / "avatar", **options)
    assert not (tmp_path / "avatar").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a JPEG, PNG or WebP picture, or an MP4"),
        (b"hello, I am a picture", "not a JPEG"),
        (b"PK\x03\x04" + bytes(100), "not a JPEG"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "not a JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a JPEG"),
        (b"GIF89a" + bytes(100), "not a JPEG"),
        (b"\xff\xd8\xff", "does not say its size"),
        (b"\xff\xd8\xff\xe0" + b"\xff" * 5000, "does not say its size"),
        (b"\x89PNG\r\n\x1a\n", "does not say its size"),
        (png_of(50_000, 50_000), "50000x50000; more than 64 million"),
        (png_of(2**31 - 1, 2**31 - 1), "more than 64 million"),
        (b"RIFF\xff\xff\xff\xffWEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 60, "16777216x16777216"),
        (png_of(4, 4), "4x4; that is too small"),
        (png_of(600, 400)[:200], "cannot be decoded"),
        (b"\0\0\0\x18ftypisom" + bytes(400), "the clip is damaged"),
        (b"\x1a\x45\xdf\xa3" + bytes(400), "the clip is damaged"),
    ],
)
def test_what_is_no_picture_and_no_clip_is_refused(
    content: bytes, words: str, tmp_path: Path
) -> None:
    source = tmp_path / "upload"
    source.write_bytes(content)
    refused(source, tmp_path, words)


def test_a_damaged_picture_is_refused(tmp_path: Path) -> None:
    source = save(tmp_path / "anna.webp", photograph())
    source.write_bytes(source.read_bytes()[:1500])
    refused(source, tmp_path, "damaged")


def test_a_picture_of_nobody_leaves_a_folder_that_was_there_empty(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", np.full((300, 400, 3), 90, np.uint8))
    (tmp_path / "avatar").mkdir()
    with pytest.raises(AvatarRefused, match="no face"):
        made(source, tmp_path / "avatar")
    assert list((tmp_path / "avatar").iterdir()) == []


def test_a_folder_with_something_in_it_is_not_touched(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", photograph())
    (tmp_path / "avatar").mkdir()
    (tmp_path / "avatar" / "mine").write_text("x")
    with pytest.raises(AvatarRefused, match="not empty"):
        made(source, tmp_path / "avatar", handles=HANDLES)
    assert (tmp_path / "avatar" / "mine").read_text() == "x"


def test_a_long_clip_is_refused_with_the_limit(tmp_path: Path) -> None:
    grey = np.full((64, 64, 3), 90, np.uint8)
    source = film(tmp_path / "a.mp4", (grey for _ in range(5 * 300)), 5)
    refused(source, tmp_path, "the clip is 300 s; 60 s are the most")


def test_a_clip_that_tells_no_length_is_refused_once_it_is_too_long(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", (photograph() for _ in range(60)))
    data = bytearray(source.read_bytes())
    at = data.find(b"\x44\x89\x88")  # the segment's duration, a float of 8 bytes
    data[at : at + 3] = b"\xec\x80\xec"  # now void
    source.write_bytes(bytes(data))
    refused(source, tmp_path, "1 s are the most", handles=HANDLES, max_clip_s=1.0)


def test_a_clip_whose_face_comes_late_or_goes_is_refused(tmp_path: Path) -> None:
    face_models()
    grey = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    late = film(tmp_path / "late.mp4", [grey] * 5 + [photograph()] * 15)
    refused(late, tmp_path, "no face was found")
    gone = film(tmp_path / "gone.mp4", [photograph()] * 10 + [grey] * 10)
    refused(gone, tmp_path, "out of sight in 50 % of the clip")


def test_a_clip_of_a_moment_is_refused(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", (photograph() for _ in range(5)))
    refused(source, tmp_path, "shorter than half a second", handles=HANDLES)


def test_a_clip_that_stops_in_the_middle_of_its_data_is_refused_or_good(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", (photograph() for _ in range(30)))
    source.write_bytes(source.read_bytes()[:-3000])  # its index goes with its end
    refused(source, tmp_path, "the clip is damaged", handles=HANDLES)


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "two\nlines", "\x1b[2J"])
def test_a_name_that_cannot_be_shown_is_refused(name: str, tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", photograph())
    with pytest.raises(AvatarRefused, match="the name has to be"):
        create_avatar(source, tmp_path / "a", name=name, handles=HANDLES)
    assert not (tmp_path / "a").exists()


def test_handles_outside_the_picture_are_refused(tmp_path: Path) -> None:
    far = Handles(*((x + 400, y) for x, y in HANDLES.array().tolist()))
    refused(save(tmp_path / "a.png", photograph()), tmp_path, "outside the picture", handles=far)


def test_an_end_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(part: float, text: str) -> None:
        if part > 0.5:
            raise KeyboardInterrupt

    source = film(tmp_path / "a.mp4", (photograph() for _ in range(15)))
    with pytest.raises(KeyboardInterrupt):
        made(source, tmp_path / "avatar", handles=HANDLES, progress=interrupted)
    assert not (tmp_path / "avatar").exists()


# --- handles dragged later ------------------------------------------------------------------------


def dragged(handles: Handles, x: float, y: float) -> Handles:
    """The mouth and the chin moved."""
    points = handles.array()
    points[2:] += x, y
    return Handles(*((float(a), float(b)) for a, b in points))


def test_dragged_handles_move_the_mouth(tmp_path: Path) -> None:
    made(save(tmp_path / "a.png", photograph()), tmp_path / "a", handles=HANDLES)
    before = load(tmp_path / "a", PictureFormat(WIDTH, HEIGHT, FPS)).picture(0, FPS)
    moved = re_handle(tmp_path / "a", dragged(HANDLES, 3, 8))
    assert moved.found_by == "handles"
    assert off_by(read_avatar(tmp_path / "a").summary.handles, dragged(HANDLES, 3, 8)) < 0.1
    after = load(tmp_path / "a", PictureFormat(WIDTH, HEIGHT, FPS)).picture(0, FPS)
    assert (before != after).any()


def test_dragged_handles_ride_through_a_clip(tmp_path: Path) -> None:
    face_models()
    made(film(tmp_path / "a.mp4", talking(15)), tmp_path / "a")
    first = read_avatar(tmp_path / "a")
    re_handle(tmp_path / "a", dragged(first.summary.handles, 4, -3))
    then = read_avatar(tmp_path / "a")
    shift = (then.points - first.points)[:, [INNER_UPPER.start, INNER_UPPER.stop - 1]]
    assert np.abs(shift - (4, -3)).max() < 1.5


def _move_and_die_at(step: int, folder: Path, handles: Handles) -> None:
    """In a process of its own: killed right before the ``step``th change to the disk."""
    left = step

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        writes = event == "open" and isinstance(arguments[1], str) and "w" in arguments[1]
        if str(folder) in str(arguments[:1]) and (writes or event in {"os.rename", "os.remove"}):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    re_handle(folder, handles)
    os._exit(0)


def _kill_at_every_step(folder: Path, handles: Handles) -> None:
    """Copies 0, 1, 2 ... of a folder, each left by a process that died one step later."""
    cv2.setNumThreads(1)
    for step in itertools.count():
        copy = folder.with_name(str(step))
        shutil.copytree(folder, copy)
        child = os.fork()
        if child == 0:
            _move_and_die_at(step, copy, handles)
        if os.waitpid(child, 0)[1] == 0:
            return


def test_a_death_at_any_moment_leaves_the_old_avatar_or_the_new(tmp_path: Path) -> None:
    made(save(tmp_path / "a.png", photograph()), tmp_path / "a", handles=HANDLES)
    old = read_avatar(tmp_path / "a").summary.handles
    first, second = dragged(HANDLES, 3, 8), dragged(HANDLES, -2, 4)
    moving = multiprocessing.get_context("spawn").Process(
        target=_kill_at_every_step, args=(tmp_path / "a", first)
    )
    moving.start()
    moving.join(60)
    assert moving.exitcode == 0
    copies = sorted((e for e in tmp_path.iterdir() if e.name.isdigit()), key=lambda e: int(e.name))
    found = [read_avatar(copy).summary.handles for copy in copies]
    changed = [off_by(handles, old) > 1 for handles in found]
    assert changed == sorted(changed), "first the old one, from some step on the new one"
    assert (changed[0], changed[-1], len(changed) > 4) == (False, True, True)
    for copy in copies:
        moved = re_handle(copy, second)
        assert off_by(moved.handles, second) < 0.1
        assert len(list(copy.iterdir())) == 4, "what the dead one left is gone"


def test_handles_that_form_no_face_leave_the_avatar_as_it_was(tmp_path: Path) -> None:
    made(save(tmp_path / "a.png", photograph()), tmp_path / "a", handles=HANDLES)
    before = {file.name: file.read_bytes() for file in (tmp_path / "a").iterdir()}
    with pytest.raises(AvatarRefused, match="mouth_left lies outside"):
        re_handle(tmp_path / "a", dragged(HANDLES, 0, 200))
    assert {file.name: file.read_bytes() for file in (tmp_path / "a").iterdir()} == before
