"""What a photo avatar looks like: mouth, idle life, framing; a pure function of the tick."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_pool.contracts import PictureFormat
from gpu_pool.engines.face.points import from_handles, handles_of
from gpu_pool.engines.photo import Body, create_avatar, load, read_avatar
from gpu_pool.engines.photo.body import ClipBody
from gpu_pool.engines.photo.framing import face_rectangle, shown_cut
from gpu_pool.engines.photo.lips import Lips, Shape, target
from gpu_pool.engines.photo.stored_clip import ClipPictures
from gpu_pool.engines.photo.teeth import Light, Teeth, best_teeth, unit_of
from gpu_pool.engines.photo.warp import reach, sources
from gpu_pool.engines.presenter import REST, STILL, Gesture, Mouth
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

FORMAT = PictureFormat(WIDTH, HEIGHT, FPS)
OPEN, ROUND = Mouth(open=1.0), Mouth(open=0.3, round=1.0)
LIPS = (slice(196, 226), slice(296, 346))
POINTS = from_handles(HANDLES)
OWN = Lips.of(POINTS, unit_of(POINTS[None]))


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Body:
    folder = tmp_path_factory.mktemp("still")
    create_avatar(save(folder / "a.png", photograph()), folder / "a", name="A", handles=HANDLES)
    return load(folder / "a", FORMAT)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    face_models()
    folder = tmp_path_factory.mktemp("clip")
    create_avatar(film(folder / "a.mp4", talking(27)), folder / "a", name="A")
    return folder / "a"


@pytest.fixture(scope="module")
def clip(clip_folder: Path) -> ClipBody:
    body = load(clip_folder, FORMAT)
    assert isinstance(body, ClipBody)
    return body


@pytest.fixture(params=["still", "clip"])
def body(request: pytest.FixtureRequest) -> Body:
    found: Body = request.getfixturevalue(request.param)
    return found


def luma(picture: NDArray[np.uint8]) -> NDArray[np.int16]:
    return picture[:HEIGHT].astype(np.int16)


def away(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int16]:
    return np.abs(luma(one) - luma(other))


def test_idle_has_no_seam_and_does_not_stand_still(body: Body) -> None:
    loop = body.loop_ticks(FPS)
    assert loop % FPS == 0
    assert (body.picture(0, FPS) == body.picture(loop, FPS)).all()
    assert (body.picture(loop - 3, FPS) == body.picture(3 * loop - 3, FPS)).all()
    assert away(body.picture(0, FPS), body.picture(FPS // 3, FPS)).mean() > 0.05


def test_a_picture_is_the_same_whatever_was_drawn_before(body: Body) -> None:
    first = body.picture(20, FPS, OPEN)
    for tick in (3, 55, 21):
        body.picture(tick, FPS, ROUND)
    assert (body.picture(20, FPS, OPEN) == first).all()
    drawn = np.full_like(first, 77)
    body.draw(drawn, 20, FPS, OPEN, STILL)
    assert (drawn == first).all()


def test_a_photograph_moves_gently(still: Body) -> None:
    pictures = [still.picture(tick, FPS) for tick in range(36, 100)]
    steps = [away(a, b).mean() for a, b in pairwise(pictures)]
    assert max(steps) < 0.6
    assert np.mean(steps) < 0.2


def test_a_photograph_blinks(still: Body) -> None:
    eye = (slice(144, 158), slice(280, 304))
    shut, before = still.picture(37, FPS), still.picture(32, FPS)
    assert away(shut, before)[eye].mean() > 8
    assert away(shut, before)[LIPS].mean() < 2


def test_gestures_move_a_photograph_and_not_a_clip(still: Body, clip: ClipBody) -> None:
    nod = Gesture(nod=1.0)
    assert away(still.picture(5, FPS), still.picture(5, FPS, REST, nod)).max() > 10
    assert away(clip.picture(5, FPS), clip.picture(5, FPS, REST, nod)).max() == 0


def test_only_the_surroundings_of_the_mouth_change(body: Body) -> None:
    changed = away(body.picture(50, FPS), body.picture(50, FPS, OPEN)) > 0
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert rows[0] > 150
    assert rows[-1] < 290
    assert columns[0] > 260
    assert columns[-1] < 384
    assert changed[LIPS].mean() > 0.5


def test_the_border_of_what_is_painted_has_no_step(still: Body) -> None:
    step = np.abs(
        np.diff(luma(still.picture(50, FPS, OPEN)) - luma(still.picture(50, FPS)), axis=0)
    )
    left, top, right, bottom = reach(OWN)
    x, y = OWN.centre
    edge = slice(int(x + left * OWN.unit_px), int(x + right * OWN.unit_px))
    for row in (int(y + top * OWN.unit_px), int(y + bottom * OWN.unit_px) - 1):
        assert step[row - 3 : row + 3, edge].max() <= 6


def test_a_wider_opening_is_darker_inside_and_lowers_the_chin(still: Body) -> None:
    inside = (slice(213, 219), slice(314, 328))
    dark = [
        float(luma(still.picture(50, FPS, Mouth(open=o)))[inside].mean()) for o in (0.1, 0.5, 1)
    ]
    assert dark[0] > dark[1] + 10 > dark[2] + 10
    chin = (slice(232, 256), slice(300, 342))
    assert away(still.picture(50, FPS, OPEN), still.picture(50, FPS))[chin].mean() > 1


def test_a_talking_clip_is_shut_first(clip: ClipBody, clip_folder: Path) -> None:
    avatar = read_avatar(clip_folder)
    assert avatar.clip is not None
    shown, dark = [], []
    inside = (slice(213, 217), slice(316, 326))
    for number in (2, 3, 7, 8, 12):
        dark.append(float(avatar.clip.picture(number)[:HEIGHT][inside].mean()))
        shown.append(float(luma(clip.picture(number, FPS))[inside].mean()))
        assert clip.number_at(number, FPS) == number
    assert min(shown) > max(dark) + 15


def test_a_clip_goes_there_and_back(clip: ClipBody) -> None:
    numbers = [clip.number_at(tick, FPS) for tick in range(clip.loop_ticks(FPS) + 1)]
    assert (numbers[0], max(numbers), numbers[-1]) == (0, 26, 0)
    assert np.abs(np.diff(numbers)).max() <= 2
    assert clip.number_at(10**9 * clip.loop_ticks(FPS) + 7, FPS) == clip.number_at(7, FPS)


def test_pictures_of_a_clip_are_the_same_from_wherever_it_is_read(clip_folder: Path) -> None:
    forwards, jumping = (ClipPictures(clip_folder / "clip.mp4") for _ in range(2))
    held = [forwards.picture(number).copy() for number in range(27)]
    for number in (26, 0, 13, 12, 25, 1, 14):
        assert (jumping.picture(number) == held[number]).all()


def test_few_decoded_pictures_are_held(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", (photograph("anna", tick % 40) for tick in range(90)), g="10")
    pictures = ClipPictures(source)
    for number in [*range(90), *range(89, -1, -1)]:
        pictures.picture(number)
        assert len(pictures._held) <= 30


# --- framing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height"), [(1280, 720), (720, 1280), (1920, 1080), (640, 640), (854, 480)]
)
def test_every_channel_format_shows_the_whole_face(width: int, height: int, tmp_path: Path) -> None:
    cut, place = shown_cut(WIDTH, HEIGHT, POINTS[None], width, height)
    left, top, right, bottom = face_rectangle(cut.points(POINTS[None]))
    assert left >= -1
    assert top >= -1
    assert right <= cut.width
    assert bottom <= cut.height
    x, y, wide, high = place or (0, 0, cut.width, cut.height)
    assert (wide, high) == (cut.width, cut.height)
    assert x + wide <= width
    assert y + high <= height
    assert [side % 2 for side in (x, y, wide, high)] == [0] * 4


def test_a_close_up_that_does_not_fit_stands_before_itself_out_of_focus(tmp_path: Path) -> None:
    close = photograph()[100:260, 262:382]
    handles = handles_of(POINTS - np.array([262, 100], np.float32))
    create_avatar(save(tmp_path / "a.png", close), tmp_path / "a", name="A", handles=handles)
    body = load(tmp_path / "a", FORMAT)
    picture = body.picture(0, FPS, OPEN)
    assert picture.shape == FORMAT.shape
    beside, before = luma(picture)[:, :60], luma(picture)[:, 260:380]
    assert beside.mean() < 0.7 * before.mean()
    assert np.abs(np.diff(beside, axis=1)).max() < 8 < np.abs(np.diff(before, axis=1)).max()
    assert (body.picture(90, FPS)[:HEIGHT, :60] == picture[:HEIGHT, :60]).all()


@pytest.mark.parametrize(("width", "height"), [(641, 360), (640, 362 - 1), (32, 32)])
def test_odd_sizes_are_refused(width: int, height: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even"):
        load(tmp_path, PictureFormat(width, height, FPS))


# --- the mouth's fields ---------------------------------------------------------------------------


@pytest.mark.parametrize("mouth", [OPEN, ROUND, Mouth(wide=1, open=0.3), Mouth(press=1, tuck=1)])
def test_the_fields_do_not_fold_and_end_where_they_should(mouth: Mouth) -> None:
    left, top, right, bottom = reach(OWN)
    x, y = np.meshgrid(np.linspace(left, right, 121), np.linspace(top, bottom, 161))
    x, y = x.astype(np.float32), y.astype(np.float32)
    shape = Shape.of(mouth)
    found = sources(OWN, shape, target(OWN, shape), x, y)
    above, below = found.below < 0, found.below > 0
    assert (np.diff(found.upper, axis=0)[above[1:]] > -1e-4).all()
    assert (np.diff(found.lower, axis=0)[below[:-1]] > -1e-4).all()
    assert (np.diff(found.x, axis=1) > -1e-4).all()
    border = np.ones(x.shape, np.bool_)
    border[1:-1, 1:-1] = False
    y_from = np.where(below, found.lower, found.upper)
    assert np.abs(found.x - x)[border].max() < 0.01
    assert np.abs(y_from - y)[border].max() < 0.01


def test_rest_of_shut_lips_moves_nothing() -> None:
    x, y = np.meshgrid(np.linspace(-1, 1, 41), np.linspace(-0.5, 1.5, 41))
    x, y = x.astype(np.float32), y.astype(np.float32)
    shut = POINTS.copy()
    shut[11:22] = shut[:11]
    lips = Lips.of(shut, OWN.unit_px)
    found = sources(lips, Shape.of(REST), target(lips, Shape.of(REST)), x, y)
    assert np.abs(found.upper - y)[found.below < 0].max() < 1e-5
    assert np.abs(found.lower - y)[found.below > 0].max() < 1e-5
    assert np.abs(found.x - x).max() < 1e-3


def test_mouths_are_capped_where_they_turn_into_cartoons() -> None:
    shape = Shape.of(Mouth(1, 1, 1, 1, 1, 1))
    assert (shape.open, shape.wide, shape.round) == (0.75, 0.7, 0.8)
    assert Shape.of(Mouth(open=0.4)).open == pytest.approx(0.4)
    assert Shape.of(Mouth(open=np.inf)).open == 0.75


# --- teeth ----------------------------------------------------------------------------------------


def toothy(level: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A plain face with an open mouth of one brightness."""
    points = POINTS.copy()
    points[11:22, 1] += 8 * (1 - np.linspace(-1, 1, 11) ** 2)
    picture = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
    lips = np.concatenate([points[:11], points[11:22][::-1]]).round().astype(np.int32)
    cv2.fillPoly(picture, [lips], (level, level, level))
    return picture, points


def test_bright_teeth_are_taken_and_a_dark_mouth_is_not() -> None:
    bright, points = toothy(190)
    dark, _ = toothy(40)
    track = np.stack([POINTS, points, points])
    assert best_teeth(track, lambda number: [dark, dark, bright][number]) == 2
    assert best_teeth(track, lambda _: dark) is None
    assert best_teeth(POINTS[None], lambda _: bright) is None


def test_own_teeth_look_as_photographed_and_drawn_ones_follow_the_light() -> None:
    bright, points = toothy(190)
    grey = np.ascontiguousarray(bright[..., 0])
    half = np.ascontiguousarray(grey[::2, ::2])
    own = Teeth.photographed((grey, half, half), Lips.of(points, OWN.unit_px))
    seen = own.texture[..., 3] > 250
    assert seen.any()
    assert abs(float(own.texture[seen, 0].mean()) - 190) < 5
    dim, lit = (
        float(Teeth.drawn(Light(level, 0.0, 0.0)).texture[..., 0].max()) for level in (80, 170)
    )
    assert dim < 0.8 * lit
