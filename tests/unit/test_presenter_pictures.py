"""The presenter's pictures: the same for the same arguments, seamless, smooth, closed when shut."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import idle_media
from broadcaster.idle.draw import to_i420
from gpu_pool.engines.presenter import (
    REST,
    STILL,
    AtlasError,
    Gesture,
    Mouth,
    Presenter,
    colour,
)

REPO = Path(__file__).parents[2]
FPS = 25
WIDTH, HEIGHT = 640, 360
"""Small, so that hundreds of pictures take no time."""

_kept: dict[tuple[str, int, int], Presenter] = {}


def presenter(name: str = "anna", width: int = WIDTH, height: int = HEIGHT) -> Presenter:
    key = (name, width, height)
    if key not in _kept:
        _kept[key] = Presenter.load(idle_media.atlas(name, width, height), width, height)
    return _kept[key]


def difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Mean absolute difference in levels."""
    return float(np.abs(first.astype(np.int16) - second).mean())


def luma(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return picture[: picture.shape[0] * 2 // 3]


@pytest.fixture(params=idle_media.presenters())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# --- a pure function --------------------------------------------------------------------------


def test_a_picture_is_i420_of_the_size_asked_for(name: str) -> None:
    for width, height in ((640, 360), (360, 640), (852, 480)):
        picture = presenter(name, width, height).picture(3, FPS)
        assert picture.shape == (height * 3 // 2, width)
        assert picture.dtype == np.uint8
        assert picture.flags.c_contiguous


def test_the_same_arguments_give_the_same_bytes_whatever_came_before() -> None:
    subject, mouth, gesture = presenter(), Mouth(0.4, 0.3, tongue=0.2), Gesture(brow=0.5, turn=-0.4)
    first = subject.picture(71, FPS, mouth, gesture)
    kept = first.copy()
    for tick in range(0, 300, 23):
        subject.picture(tick, FPS, Mouth(open=tick / 300, round=0.7), Gesture(nod=1.0))
    assert np.array_equal(subject.picture(71, FPS, mouth, gesture), kept)
    assert np.array_equal(first, kept), "a picture that was handed out is never written again"


_FRESH = """
import hashlib, sys
from pathlib import Path
from gpu_pool.engines.presenter import Mouth, Presenter
subject = Presenter.load(Path(sys.argv[1]), 640, 360)
print(hashlib.sha256(subject.picture(71, 25, Mouth(0.4, 0.3))).hexdigest())
print(sorted(name for name in sys.modules if "." not in name))
"""


def fresh_process() -> tuple[str, set[str]]:
    """The digest of a picture made in a new process, and the packages loaded there."""
    answer = subprocess.run(
        [sys.executable, "-c", _FRESH, str(idle_media.atlas("anna", WIDTH, HEIGHT))],
        cwd=REPO,
        env={"PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    digest, names = answer.stdout.splitlines()
    return digest, set(names.strip("[]").replace("'", "").split(", "))


def test_a_fresh_process_gives_the_same_bytes_and_loads_only_numpy_and_opencv() -> None:
    digest, loaded = fresh_process()
    own = presenter().picture(71, FPS, Mouth(0.4, 0.3))
    assert hashlib.sha256(own.tobytes()).hexdigest() == digest
    assert {"numpy", "cv2", "gpu_pool"} <= loaded
    assert not loaded & {"broadcaster", "idle_media", "torch", "resvg_py", "PIL", "av"}


# --- the loop ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [24, 25, 30, 50])
def test_the_loop_has_no_seam(fps: int, name: str) -> None:
    subject = presenter(name)
    loop = subject.loop_ticks(fps)
    assert loop == 12 * fps
    for tick in (0, 1, loop - 1, 37):
        assert np.array_equal(subject.picture(tick, fps), subject.picture(tick + loop, fps))
        assert np.array_equal(subject.picture(tick, fps), subject.picture(tick - 3 * loop, fps))
    around = difference(subject.picture(loop - 1, fps), subject.picture(loop, fps))
    inside = [
        difference(subject.picture(tick, fps), subject.picture(tick + 1, fps))
        for tick in range(3, loop, loop // 12)
    ]
    assert around <= 2 * max(inside)


def test_the_idle_presenter_is_never_quite_still_and_never_jumps(name: str) -> None:
    subject = presenter(name)
    pictures = [subject.picture(tick, FPS) for tick in range(subject.loop_ticks(FPS))]
    steps = [difference(a, b) for a, b in itertools.pairwise([*pictures, pictures[0]])]
    assert min(steps) > 0
    assert max(steps) < 1.5, "even a blink is a small part of the picture"
    assert np.median(steps) < 0.4


def test_the_eyes_close_and_open_again() -> None:
    def eye(tick: int) -> NDArray[np.uint8]:
        return luma(presenter().picture(tick, 1000))[135:158, 268:318]

    rest, shut, after = eye(1200), eye(1465), eye(1800)
    assert difference(rest, shut) > 12
    assert difference(rest, after) < difference(rest, shut) / 2


# --- the mouth --------------------------------------------------------------------------------


def mouth_area(mouth: Mouth, name: str = "anna") -> NDArray[np.uint8]:
    """Where the mouth is at tick 0, luma."""
    return luma(presenter(name, 1280, 720).picture(0, FPS, mouth))[390:480, 575:705]


def dark_rows(mouth: Mouth, name: str) -> int:
    """Rows in the middle of the mouth whose darkest pixel is the inside of a mouth."""
    middle = mouth_area(mouth, name)[:, 55:75]
    return int((middle.min(axis=1) < 55).sum())


def test_a_closed_mouth_shows_nothing_of_its_inside(name: str) -> None:
    opened = dark_rows(Mouth(open=0.9), name)
    assert opened >= 6
    for closed in (REST, Mouth(press=1.0), Mouth(wide=0.7), Mouth(open=0.03, press=1.0)):
        assert dark_rows(closed, name) <= opened // 4


def test_the_mouth_opens_by_degrees(name: str) -> None:
    rest = mouth_area(REST, name)
    apart = [difference(rest, mouth_area(Mouth(open=part / 10), name)) for part in range(11)]
    assert apart == sorted(apart)
    assert apart[-1] > 8


@pytest.mark.parametrize("field", ["open", "wide", "round", "press", "tuck", "tongue"])
@pytest.mark.parametrize(
    "ground", [Mouth(), Mouth(open=0.35, wide=0.2), Mouth(open=0.7, round=0.5)]
)
def test_every_parameter_is_smooth(field: str, ground: Mouth) -> None:
    subject, steps = presenter(), 50
    pictures = [
        subject.picture(0, FPS, replace(ground, **{field: step / steps}))
        for step in range(steps + 1)
    ]
    whole = sum(difference(a, b) for a, b in itertools.pairwise(pictures))
    for before, after in itertools.pairwise(pictures):
        assert difference(before, after) <= max(0.08, 4 * whole / steps)


def test_every_parameter_can_be_seen(name: str) -> None:
    ground = Mouth(open=0.25)
    still = mouth_area(ground, name)
    for change in ({"wide": 1.0}, {"round": 1.0}, {"tuck": 1.0}, {"tongue": 1.0}):
        assert difference(still, mouth_area(replace(ground, **change), name)) > 1, change
    assert difference(mouth_area(REST, name), mouth_area(Mouth(press=1.0), name)) > 1


def test_values_outside_are_clipped() -> None:
    subject = presenter()
    for wild, tame in (
        (Mouth(open=7.0), Mouth(open=1.0)),
        (Mouth(round=3.0, wide=-2.0), Mouth(round=1.0)),
        (Mouth(press=-1.0), REST),
    ):
        assert np.array_equal(subject.picture(5, FPS, wild), subject.picture(5, FPS, tame))


# --- gestures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["brow", "nod", "tilt", "turn"])
def test_gestures_grow_smoothly_out_of_the_idle_pose(field: str) -> None:
    subject = presenter()
    idle = subject.picture(40, FPS, REST, STILL)
    small: Any = {field: 0.02}
    assert difference(idle, subject.picture(40, FPS, REST, Gesture(**small))) < 0.4
    for whole in ({field: 1.0}, {field: -1.0}):
        assert difference(idle, subject.picture(40, FPS, REST, Gesture(**whole))) > 0.05


# --- how it is composed -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "bgr", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (60, 40, 10)]
)
def test_colours_are_converted_as_the_station_does(bgr: tuple[int, int, int]) -> None:
    flat = np.full((32, 32, 3), bgr, np.uint8)
    ours, theirs = colour.packed(colour.planes(flat)), to_i420(flat).reshape(-1)
    assert np.abs(ours.astype(np.int16) - theirs).max() <= 1


def test_black_and_white_are_limited_range() -> None:
    for level, code in ((0, 16), (255, 235)):
        luma_plane, u, v = colour.planes(np.full((32, 32, 3), level, np.uint8))
        assert (int(luma_plane[0, 0]), int(u[0, 0]), int(v[0, 0])) == (code, 128, 128)
    picture = luma(presenter("anna", 1280, 720).picture(0, FPS))
    assert picture.min() >= 14
    assert picture.max() <= 238


def test_work_saved_on_tiles_does_not_show() -> None:
    """Leaving out what is not covered and not blending what is covered gives the same picture."""
    subject = presenter("leon", 1280, 720)
    for tick, gesture in ((0, STILL), (77, Gesture(nod=1.0, tilt=-1.0)), (150, Gesture(turn=1.0))):
        mouth = Mouth(open=1.0)
        quick = subject.picture(tick, FPS, mouth, gesture)
        thorough = subject.picture_untiled(tick, FPS, mouth, gesture)
        assert np.array_equal(quick, thorough)


def test_the_dark_room_has_noise_against_banding() -> None:
    corner = luma(presenter("anna", 1280, 720).picture(0, FPS))[650:700, 20:220].astype(np.float64)
    neighbours = np.diff(corner, axis=1)
    assert 0.3 < neighbours.std() < 1.5
    assert np.abs(neighbours).max() <= 5


def test_other_shapes_are_cut_and_the_face_stays_whole() -> None:
    for width, height in ((640, 480), (480, 480), (540, 640), (800, 336)):
        assert presenter("anna", width, height).picture(0, FPS).shape == (height * 3 // 2, width)


def test_an_atlas_of_the_other_orientation_is_refused() -> None:
    with pytest.raises(AtlasError, match="orientation"):
        Presenter.load(idle_media.atlas("anna", 1280, 720), 720, 1280)


@pytest.mark.parametrize("size", [(641, 360), (640, 361), (0, 0)])
def test_odd_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="even"):
        Presenter.load(idle_media.atlas("anna", 1280, 720), *size)


def test_a_damaged_atlas_is_refused(tmp_path: Path) -> None:
    source = idle_media.atlas("anna", 1280, 720)
    copy = tmp_path / source.name
    with pytest.raises(AtlasError):
        Presenter.load(copy, 1280, 720)
    copy.write_bytes(source.read_bytes()[:200])
    copy.with_suffix(".json").write_bytes(source.with_suffix(".json").read_bytes())
    with pytest.raises(AtlasError, match="picture"):
        Presenter.load(copy, 1280, 720)
    copy.with_suffix(".json").write_text('{"format": 99}')
    with pytest.raises(AtlasError, match="format"):
        Presenter.load(copy, 1280, 720)


def test_no_gesture_moves_the_head_out_of_the_rectangle_that_is_drawn(name: str) -> None:
    for width, height in ((640, 360), (360, 640)):
        subject = presenter(name, width, height)
        for signs in itertools.product((-1.0, 1.0), repeat=3):
            nod, tilt, turn = signs
            for tick in (0, 75, 150, 225):
                edge = subject.opacity_at_the_edge(tick, FPS, Gesture(0.0, nod, tilt, turn))
                assert edge == 0
