"""A folder of LiveTalking becomes an avatar of ours with its own boxes, or is refused in words."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gpu_pool.contracts import PictureFormat
from gpu_pool.engines.face import AvatarRefused
from gpu_pool.engines.livetalking import Import, engine_of, import_avatar
from gpu_pool.engines.musetalk.blend import square
from gpu_pool.engines.musetalk.boxes import boxes_in as musetalk_boxes
from gpu_pool.engines.photo import read_avatar
from gpu_pool.engines.photo.create import re_handle
from gpu_pool.engines.photo.folder import AvatarSummary
from gpu_pool.engines.photo.looped import LoopedPictures
from gpu_pool.engines.wav2lip.boxes import boxes_in as wav2lip_boxes
from tests.doubles import brought_avatar as brought
from tests.doubles.avatar_files import png_bomb
from tests.doubles.brought_avatar import COUNT, FIXTURES, HEIGHT, WIDTH, write_pickle
from tests.doubles.portrait import photograph

SAME = PictureFormat(WIDTH, HEIGHT, 25)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("brought")
    brought.wav2lip(folder / "wav2lip")
    brought.musetalk(folder / "musetalk")
    return folder


@pytest.fixture
def wav2lip(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals / "wav2lip", tmp_path / "brought"))


@pytest.fixture
def musetalk(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals / "musetalk", tmp_path / "brought"))


def taken(source: Path, engine: str = "", **more: Any) -> AvatarSummary:
    """Imported beside its source, without the networks that find landmarks."""
    wanted = Import(source, "anna", engine or engine_of(source), models=source / "no-models")
    return import_avatar(replace(wanted, **more), source.parent / "ours", lambda _part, _step: None)


def shown(source: Path, picture: PictureFormat = SAME) -> LoopedPictures:
    return LoopedPictures(source.parent / "ours", picture)


def test_an_avatar_of_wav2lip_keeps_its_pictures_and_boxes(wav2lip: Path) -> None:
    (wav2lip / "avator_info.json").write_text("{}")  # decides nothing beside face_imgs
    told: list[str] = []
    wanted = Import(wav2lip, "anna", "wav2lip", 30.0, wav2lip / "none")
    summary = import_avatar(wanted, wav2lip.parent / "ours", lambda _, step: told.append(step))
    assert (summary.kind, summary.width, summary.height) == ("clip", WIDTH, HEIGHT)
    assert (summary.pictures, summary.fps, summary.boxes_for) == (COUNT, 30.0, "wav2lip")
    assert summary.warnings == (
        "the mouth is 41 pixels wide; 60 look better",
        "the mouth was guessed from the boxes: check the handles",
    )
    assert told[0] == "reading"
    assert told[-1] == "done"
    loop = shown(wav2lip)
    boxes = [(b.left, b.top, b.right, b.bottom) for b in wav2lip_boxes(loop)]
    assert boxes == [brought.moved(brought.WAV2LIP_BOX, number) for number in range(COUNT)]
    stored = read_avatar(wav2lip.parent / "ours").clip
    assert stored is not None
    for number in (0, COUNT - 1):
        picture = cv2.cvtColor(stored.picture(number), cv2.COLOR_YUV2BGR_I420)
        away = cv2.absdiff(photograph("anna", 3 + number), np.asarray(picture, np.uint8))
        assert away.mean() < 4, "the picture of that number"


def test_boxes_go_where_the_channel_shows_their_face(wav2lip: Path) -> None:
    taken(wav2lip)
    tall = shown(wav2lip, PictureFormat(720, 1280, 25))
    box, area = wav2lip_boxes(tall)[0], tall.area
    points = tall.points[0]
    assert 0 <= box.left < box.right <= 720
    assert box.width / box.height == pytest.approx(127 / 156, abs=0.02)
    assert area.top <= box.top
    inside = (points > (box.left, box.top)) & (points < (box.right, box.bottom))
    assert inside.mean() > 0.9, "the face is in its box"


def test_an_avatar_of_musetalk_keeps_its_masks_too(musetalk: Path) -> None:
    summary = taken(musetalk)
    assert summary.boxes_for == "musetalk"
    loop = shown(musetalk)
    boxes = [(b.left, b.top, b.right, b.bottom) for b in musetalk_boxes(loop)]
    expected = [brought.moved(brought.MUSETALK_BOX, number) for number in range(COUNT)]
    assert boxes == expected, "the margin is in them already"
    for number in range(COUNT):
        found = loop.mask_for("musetalk", number)
        assert found is not None
        around = square(expected[number])
        assert found.around == around
        own = brought.mask((around[2] - around[0], around[3] - around[1]), number)
        assert np.abs(found.mask.astype(int) - own).max() <= 6
    assert loop.mask_for("wav2lip", 0) is None
    assert loop.boxes_for("wav2lip") is None


def test_a_mask_far_larger_than_its_picture_costs_no_memory(musetalk: Path) -> None:
    rows = [(-1800, -1900, 2296, 2196)] * COUNT
    write_pickle(musetalk / "mask_coords.pkl", rows)
    for number in range(COUNT):
        file = musetalk / "mask" / f"{number:08d}.png"
        cv2.imwrite(str(file), np.full((4096, 4096), 200, np.uint8))
    taken(musetalk)
    found = shown(musetalk, PictureFormat(64, 1920, 25)).mask_for("musetalk", 0)
    assert found is not None
    assert found.mask.shape[0] <= 1920
    assert found.mask.shape[1] <= 64
    assert set(found.mask.flat) == {200}


@pytest.mark.parametrize("engine", ["wav2lip", "musetalk"])
def test_the_fixtures_become_what_they_say(engine: str, tmp_path: Path) -> None:
    source = Path(shutil.copytree(FIXTURES / f"avatar_{engine}", tmp_path / "brought"))
    told = json.loads((FIXTURES / "expected.json").read_text())[f"avatar_{engine}"]
    summary = taken(source)
    assert (summary.pictures, summary.boxes_for) == (told["frames"], engine)
    scale = summary.height / told["frame_hw"][0]
    assert scale > 1, "a mouth of 16 pixels is too small to be shut"
    stored = read_avatar(tmp_path / "ours").boxes
    assert stored is not None
    order = [2, 0, 3, 1] if engine == "wav2lip" else [0, 1, 2, 3]
    expected = np.array(told["coords"])[:, order]
    np.testing.assert_allclose(stored.boxes, expected * scale, rtol=0.01)
    if engine == "musetalk":
        np.testing.assert_allclose(stored.squares, np.array(told["mask_coords"]) * scale, rtol=0.01)
        assert stored.masks is not None
        assert stored.masks.std() > 10


@pytest.mark.parametrize(("suffix", "protocol"), [(".jpg", 2), (".JPEG", 5), (".png", 0)])
def test_other_pictures_and_protocols_are_taken(suffix: str, protocol: int, tmp_path: Path) -> None:
    source = brought.wav2lip(tmp_path / "brought", suffix=suffix)
    rows = pickle.loads((source / "coords.pkl").read_bytes())
    write_pickle(source / "coords.pkl", [tuple(map(np.int64, row)) for row in rows], protocol)
    assert taken(source).pictures == COUNT


def test_pictures_are_in_the_order_of_their_numbers(wav2lip: Path) -> None:
    for folder in ("full_imgs", "face_imgs"):
        for number in range(COUNT):
            file = wav2lip / folder / f"{number:08d}.png"
            file.rename(file.with_name(f"{7 + number}.png"))  # as texts, 10 comes before 7
        (wav2lip / folder / "Thumbs.db").write_bytes(b"x")
        (wav2lip / folder / "._7.png").write_bytes(b"a Macintosh leaves these")
    (wav2lip / "full_imgs" / "12.png").rename(wav2lip / "full_imgs" / "20.png")
    (wav2lip / "face_imgs" / "12.png").rename(wav2lip / "face_imgs" / "20.png")
    summary = taken(wav2lip)
    assert "8 numbers of full_imgs are missing: the others follow each other" in summary.warnings
    clip = read_avatar(wav2lip.parent / "ours").clip
    assert clip is not None
    picture = cv2.cvtColor(clip.picture(0), cv2.COLOR_YUV2BGR_I420)
    assert cv2.absdiff(photograph("anna", 3), np.asarray(picture, np.uint8)).mean() < 4


def test_a_picture_without_a_face_has_the_box_in_between(musetalk: Path) -> None:
    rows = pickle.loads((musetalk / "coords.pkl").read_bytes())
    rows[2] = (0.0, 0.0, 0.0, 0.0)
    rows[3] = (0, 0, 0, 0)
    write_pickle(musetalk / "coords.pkl", rows)
    cv2.imwrite(str(musetalk / "mask" / "00000002.png"), np.zeros((3, 3), np.uint8))
    summary = taken(musetalk)
    assert "no face in 2 to 3: the boxes beside are held" in summary.warnings
    boxes = musetalk_boxes(shown(musetalk))
    assert [box.left - brought.MUSETALK_BOX[0] for box in boxes] == [0, 2, 4, 6, 8, 10]
    assert shown(musetalk).mask_for("musetalk", 2) is not None


def test_pictures_that_are_stored_there_and_back_are_taken_once(musetalk: Path) -> None:
    for name in ("coords.pkl", "mask_coords.pkl"):
        rows = pickle.loads((musetalk / name).read_bytes())
        write_pickle(musetalk / name, rows + rows[::-1])
    for folder in ("full_imgs", "mask"):
        for number in range(COUNT):
            back = 2 * COUNT - 1 - number
            there = musetalk / folder / f"{number:08d}.png"
            shutil.copy(there, there.with_name(f"{back:08d}.png"))
    told = FIXTURES / "avator_info_musetalk_realtime.json"
    shutil.copy(told, musetalk / "avator_info.json")
    summary = taken(musetalk)
    assert summary.pictures == COUNT
    assert any("backwards" in each for each in summary.warnings)


def test_one_picture_is_an_avatar_of_a_picture(tmp_path: Path) -> None:
    source = brought.wav2lip(tmp_path / "brought", count=1)
    summary = taken(source)
    assert (summary.kind, summary.pictures, summary.boxes_for) == ("picture", 1, "wav2lip")
    assert wav2lip_boxes(shown(source))[0].left == brought.WAV2LIP_BOX[0]


def test_another_engine_lays_boxes_of_its_own(wav2lip: Path) -> None:
    summary = taken(wav2lip, "musetalk")
    assert summary.boxes_for == ""
    assert "the boxes were made for wav2lip: musetalk lays its own" in summary.warnings
    assert not (wav2lip.parent / "ours" / "boxes.npz").exists()
    assert len(musetalk_boxes(shown(wav2lip))) == COUNT


@pytest.mark.parametrize("lacking", ["mask", "mask_coords.pkl"])
def test_without_masks_the_stations_own_are_used(musetalk: Path, lacking: str) -> None:
    path = musetalk / lacking
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    summary = taken(musetalk)
    assert f"{lacking} is missing: the station's own masks are used" in summary.warnings
    assert shown(musetalk).mask_for("musetalk", 0) is None
    assert shown(musetalk).boxes_for("musetalk") is not None


def test_faces_that_boxes_do_not_cut_out_are_told(wav2lip: Path) -> None:
    rows = pickle.loads((wav2lip / "coords.pkl").read_bytes())
    write_pickle(wav2lip / "coords.pkl", [(y1, y2, x1 + 90, x2 + 90) for y1, y2, x1, x2 in rows])
    assert any("face_imgs does not show" in each for each in taken(wav2lip).warnings)


def test_handles_that_are_dragged_leave_the_boxes(wav2lip: Path) -> None:
    handles = taken(wav2lip).handles
    x, y = handles.chin
    re_handle(wav2lip.parent / "ours", replace(handles, chin=(x, y - 4)))
    assert wav2lip_boxes(shown(wav2lip))[1].left == brought.WAV2LIP_BOX[0] + brought.SHIFT_PX


# --- refusals --------------------------------------------------------------------------------


def edit_rows(
    change: Callable[[list[Any]], Any], file: str = "coords.pkl"
) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        rows = pickle.loads((folder / file).read_bytes())
        write_pickle(folder / file, change([tuple(row) for row in rows]))

    return edit


def replaced(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None


def gone(name: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return remove


def linked(name: str) -> Callable[[Path], None]:
    """The same content, but elsewhere."""

    def link(folder: Path) -> None:
        away = folder.parent / "elsewhere"
        (folder / name).rename(away)
        (folder / name).symlink_to(away)

    return link


def pipe(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        gone(name)(folder)
        os.mkfifo(folder / name)

    return make


def folder_instead(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        gone(name)(folder)
        (folder / name).mkdir()

    return make


def renamed(name: str, new: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).rename(folder / new) and None


def smaller(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        picture = cv2.imread(str(folder / name))
        cv2.imwrite(str(folder / name), picture[:-2, :-2])

    return make


FULL = "full_imgs/00000002.png"

WRONG_WAV2LIP: dict[str, tuple[Callable[[Path], Any], str]] = {
    "hostile": (
        replaced("coords.pkl", (FIXTURES / "hostile_coords.pkl").read_bytes()),
        r"coords\.pkl: refused: wants to call posix\.system",
    ),
    "one box too few": (
        edit_rows(lambda rows: rows[:-1]),
        r"coords\.pkl: 5 boxes, and 6 pictures in full_imgs",
    ),
    "outside below": (
        edit_rows(lambda rows: [(93, HEIGHT + 1, 257, 384), *rows[1:]]),
        r"coords\.pkl: entry 0: the box lies outside the picture of 640x360",
    ),
    "outside left": (
        edit_rows(lambda rows: [*rows[:-1], (93, 249, -1, 384)]),
        r"entry 5: the box lies outside",
    ),
    "empty": (edit_rows(lambda rows: [(93, 93, 2, 300), *rows[1:]]), "entry 0: the box is empty"),
    "the other order": (
        edit_rows(lambda rows: [(x1, y1, x2, y2) for y1, y2, x1, x2 in rows]),
        "entry 0: the box (is empty|lies outside)",
    ),
    "no face at all": (edit_rows(lambda rows: [(0, 0, 0, 0)] * len(rows)), "a face in no picture"),
    "no boxes": (gone("coords.pkl"), r"coords\.pkl is missing: the folder of one unpacked"),
    "no pictures": (gone("full_imgs"), r"full_imgs is missing"),
    "no faces": (gone("face_imgs"), "neither face_imgs nor mask"),
    "a picture lacks": (gone(FULL), "number 2 is in face_imgs, but not in full_imgs"),
    "a face lacks": (gone("face_imgs/00000003.png"), "number 3 is in full_imgs, but not in face"),
    "a name that is no number": (
        renamed(FULL, "full_imgs/frame-\x1b2.png"),
        r"full_imgs/frame-\?2\.png: pictures are called by their number",
    ),
    "two of a number": (
        renamed(FULL, "full_imgs/0.png"),
        "0.png have the same number|00000000.png have the same number",
    ),
    "another extension": (
        renamed(FULL, "full_imgs/00000002.bmp"),
        "number 2 is in face_imgs, but not in full_imgs",
    ),
    "another size": (smaller(FULL), r"00000002\.png: 638x358 pixels, and 640x360 in the first one"),
    "damaged": (replaced(FULL, b"\x89PNG\r\n\x1a\n" + bytes(60)), r"00000002\.png: the picture is"),
    "no picture": (replaced(FULL, b"GIF89a" + bytes(60)), r"00000002\.png: this is not a JPEG"),
    "huge": (replaced("full_imgs/00000000.png", png_bomb()), "more than 9 million pixels"),
    "huge later": (replaced(FULL, png_bomb()), r"full_imgs/00000002\.png: .* 9 million"),
    "a linked file": (linked("coords.pkl"), r"coords\.pkl: it is a link; links are not followed"),
    "a linked picture": (linked(FULL), r"full_imgs/00000002\.png: it is a link"),
    "a linked folder": (linked("full_imgs"), "full_imgs: it is a link or no folder"),
    "a pipe": (pipe("coords.pkl"), r"coords\.pkl: it is no plain file"),
    "a folder": (folder_instead("coords.pkl"), r"coords\.pkl: it is no plain file"),
    "a file for a folder": (
        lambda folder: (gone("full_imgs")(folder), (folder / "full_imgs").write_bytes(b"x")),
        "full_imgs: it is a link or no folder",
    ),
    "a pickle of 5 MB": (replaced("coords.pkl", bytes(5 << 20)), "it is larger than 4096 KiB"),
    "of another system": (replaced("ultralight.pth", b"x"), r"ultralight\.pth: avatars of"),
    "both systems": (replaced("latents.pt", b"x"), r"face_imgs and latents\.pt: .* two engines"),
}

WRONG_MUSETALK: dict[str, tuple[Callable[[Path], Any], str]] = {
    "hostile masks": (
        replaced("mask_coords.pkl", (FIXTURES / "hostile_coords.pkl").read_bytes()),
        r"mask_coords\.pkl: refused: wants to call posix\.system",
    ),
    "a square too few": (
        edit_rows(lambda rows: rows[1:], "mask_coords.pkl"),
        r"mask_coords\.pkl: 5 boxes, and 6 pictures",
    ),
    "a square beside": (
        edit_rows(lambda rows: [(0, 0, 50, 50), *rows[1:]], "mask_coords.pkl"),
        r"mask_coords\.pkl: entry 0: it does not hold the box",
    ),
    "a huge square": (
        edit_rows(lambda rows: [(-9000, -9000, 9000, 9000), *rows[1:]], "mask_coords.pkl"),
        "entry 0: sides of 1 to 4096 pixels",
    ),
    "a mask of another size": (
        smaller("mask/00000001.png"),
        r"mask/00000001\.png: it has \d+x\d+ pixels, and \d+x\d+ in mask_coords",
    ),
    "a mask lacks": (gone("mask/00000001.png"), "number 1 is in full_imgs, but not in mask"),
    "a damaged mask": (replaced("mask/00000001.png", b"\x89PNG\r\n\x1a\n"), r"mask/00000001\.png"),
    "a linked mask": (linked("mask/00000001.png"), r"mask/00000001\.png: it is a link"),
    "no JSON": (replaced("avator_info.json", b"{"), r"avator_info\.json: it is no JSON"),
    "deep JSON": (replaced("avator_info.json", b"[" * 60_000), r"avator_info\.json: it is no JSON"),
    "another JSON": (replaced("avator_info.json", b"[]"), "it is no JSON object"),
    "long JSON": (replaced("avator_info.json", b" " * 70_000), "larger than 64 KiB"),
}


def refused(source: Path, spoil: Callable[[Path], Any], said: str) -> None:
    spoil(source)
    with pytest.raises(AvatarRefused, match=said) as error:
        taken(source)
    assert "\n" not in str(error.value), "one sentence"
    assert str(error.value).isprintable()
    ours = source.parent / "ours"
    assert not ours.exists(), "nothing is left"


@pytest.mark.parametrize("wrong", list(WRONG_WAV2LIP))
def test_what_cannot_be_an_avatar_of_wav2lip_is_refused(wav2lip: Path, wrong: str) -> None:
    refused(wav2lip, *WRONG_WAV2LIP[wrong])


@pytest.mark.parametrize("wrong", list(WRONG_MUSETALK))
def test_what_cannot_be_an_avatar_of_musetalk_is_refused(musetalk: Path, wrong: str) -> None:
    refused(musetalk, *WRONG_MUSETALK[wrong])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"fps": 3.0}, "fps has to be from 4 to 60"),
        ({"fps": float("nan")}, "fps has to be"),
        ({"fps": 4.0, "max_clip_s": 0.9}, r"6 pictures are 2 s at 4 a second; 1 s are the most"),
        ({"name": " "}, "printable"),
    ],
)
def test_what_is_asked_for_has_to_be_possible(
    wav2lip: Path, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(AvatarRefused, match=said):
        taken(wav2lip, **more)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AvatarRefused, match="gone: it is missing"):
        engine_of(tmp_path / "gone")
