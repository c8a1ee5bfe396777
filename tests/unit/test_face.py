"""Faces: found by the networks or the cascade, judged in words, smoothed and followed."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_pool.engines.face import AvatarRefused, Handles, handles_from_json
from gpu_pool.engines.face.detect import find_faces
from gpu_pool.engines.face.follow import HeadFollower, MeshFollower
from gpu_pool.engines.face.judge import the_face
from gpu_pool.engines.face.models import DETECTOR, MESH, FaceModels
from gpu_pool.engines.face.points import INNER_LOWER, INNER_UPPER, POINTS, from_handles, handles_of
from gpu_pool.engines.face.smooth import smoothed
from gpu_pool.engines.presenter import Mouth
from tests.doubles.portrait import (
    HANDLES,
    HEIGHT,
    WIDTH,
    Bgr,
    face_models,
    photograph,
    talking,
    turned,
)


def off_by(found: Handles, wanted: Handles = HANDLES) -> float:
    return float(np.linalg.norm(found.array() - wanted.array(), axis=1).max())


def shrunk(bgr: Bgr, part: float, height: int = 1080, width: int = 1920) -> Bgr:
    """A picture far away in a large grey room."""
    small = cv2.resize(bgr, None, fx=part, fy=part, interpolation=cv2.INTER_AREA)
    room = np.full((height, width, 3), 90, np.uint8)
    room[300 : 300 + small.shape[0], 600 : 600 + small.shape[1]] = small
    return room


def tilted(bgr: Bgr, degrees: float) -> Bgr:
    turn = cv2.getRotationMatrix2D((321, 190), degrees, 1)
    return np.asarray(cv2.warpAffine(bgr, turn, (WIDTH, HEIGHT)), np.uint8)


def test_landmarks_lie_on_eyes_lips_and_chin() -> None:
    face = the_face(face_models(), photograph())
    assert face.points.shape == (POINTS, 2)
    assert off_by(face.handles) < 3
    assert abs(face.yaw_deg) < 5
    assert face.warnings == ()


def test_landmarks_see_how_far_the_mouth_is_open() -> None:
    gaps = []
    for opening in (0.0, 0.5, 1.0):
        points = the_face(face_models(), photograph(mouth=Mouth(open=opening))).points
        gaps.append(float((points[INNER_LOWER] - points[INNER_UPPER])[:, 1].max()))
    assert gaps[0] < 2
    assert gaps[0] + 4 < gaps[1] < gaps[2] - 4


def test_without_networks_the_mouth_is_guessed_near_where_it_is() -> None:
    face = the_face(None, photograph())
    assert off_by(face.handles) < 6
    assert any("check the handles" in each for each in face.warnings)


@pytest.mark.parametrize("networks", [True, False], ids=["networks", "cascade"])
@pytest.mark.parametrize(
    ("scene", "words"),
    [
        ("nobody", "no face was found"),
        ("two", "2 faces were found"),
        ("far away", "no face was found|too small: its mouth is"),
        ("ten pixels", "no face was found"),
    ],
)
def test_what_is_no_single_near_face_is_refused_in_words(
    scene: str, words: str, networks: bool
) -> None:
    anna = photograph()
    scenes: dict[str, Bgr] = {
        "nobody": np.random.default_rng(1).integers(0, 255, (300, 400, 3), np.uint8),
        "two": np.hstack([anna[:, 120:520], photograph("leon")[:, 120:520]]),
        "far away": shrunk(anna, 0.4),
        "ten pixels": shrunk(anna, 0.07),
    }
    with pytest.raises(AvatarRefused, match=words):
        the_face(face_models() if networks else None, scenes[scene])


def with_a_mask_beside(bgr: Bgr) -> Bgr:
    """A mask with three holes, larger than the face: the detector takes it for one."""
    wall = np.full((HEIGHT, HEIGHT, 3), 120, np.uint8)
    for x, y, wide, high, colour in (
        (180, 180, 100, 120, (180, 200, 220)),
        (140, 160, 15, 9, (10, 10, 10)),
        (220, 160, 15, 9, (10, 10, 10)),
        (180, 225, 30, 18, (10, 10, 10)),
    ):
        cv2.ellipse(wall, (x, y), (wide, high), 0, 0, 360, colour, -1, cv2.LINE_AA)
    return np.asarray(np.hstack([wall, bgr]), np.uint8)


def test_what_only_looks_like_a_face_is_not_taken_for_one() -> None:
    picture = with_a_mask_beside(photograph())
    mask, _ = find_faces(face_models().detector, picture)
    assert mask.left < HEIGHT, "it is found, and is the larger one"
    face = the_face(face_models(), picture)
    moved = Handles(*((x + HEIGHT, y) for x, y in HANDLES.array()))
    assert off_by(face.handles, moved) < 4
    followed = MeshFollower(face_models()).see(picture)
    assert followed is not None
    assert off_by(followed.handles, moved) < 4


def test_two_faces_beside_a_mask_are_two() -> None:
    both = np.hstack([photograph("leon")[:, 120:520], photograph()[:, 120:520]])
    with pytest.raises(AvatarRefused, match="2 faces"):
        the_face(face_models(), with_a_mask_beside(np.asarray(both, np.uint8)))


def test_two_faces_far_apart_in_a_wide_picture_are_two() -> None:
    """As a whole the picture is too small for the network to see both."""
    both = np.hstack([photograph("leon"), photograph()])
    with pytest.raises(AvatarRefused, match="2 faces"):
        the_face(face_models(), np.asarray(both, np.uint8))


def test_a_small_mouth_is_named_with_its_size() -> None:
    with pytest.raises(AvatarRefused, match=r"its mouth is 16 pixels wide, 24 are needed"):
        the_face(face_models(), shrunk(photograph(), 0.4))


def test_a_face_that_looks_aside_is_refused_and_a_little_is_not() -> None:
    assert 5 < the_face(face_models(), turned(photograph(), 15)).yaw_deg < 20
    with pytest.raises(AvatarRefused, match=r"turned aside by 3\d degrees"):
        the_face(face_models(), turned(photograph(), 40))


def test_a_lying_head_is_refused_and_a_tilted_one_is_not() -> None:
    handles = the_face(face_models(), tilted(photograph(), 20)).handles
    assert handles.mouth_right[1] < handles.mouth_left[1] - 8
    with pytest.raises(AvatarRefused, match=r"tilted by 5\d degrees"):
        the_face(face_models(), tilted(photograph(), 60))


def test_a_network_that_is_not_the_one_meant_is_not_read(tmp_path: Path) -> None:
    assert FaceModels.load(tmp_path) is None
    (tmp_path / DETECTOR).write_bytes(b"TFL3 or something")
    (tmp_path / MESH).write_bytes(b"")
    with pytest.raises(AvatarRefused, match=rf"{DETECTOR} is not the file"):
        FaceModels.load(tmp_path)


def test_one_network_alone_is_told(tmp_path: Path) -> None:
    (tmp_path / MESH).write_bytes(b"")
    with pytest.raises(AvatarRefused, match="make avatars"):
        FaceModels.load(tmp_path)


# --- handles --------------------------------------------------------------------------------------


def test_handles_go_through_json() -> None:
    assert handles_from_json(HANDLES.json(), WIDTH, HEIGHT) == HANDLES


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"chin": None}, "chin has to be a point"),
        ({"chin": [1, 2, 3]}, "chin has to be a point"),
        ({"chin": ["1", "2"]}, "chin has to be two numbers"),
        ({"chin": [True, 2]}, "chin has to be two numbers"),
        ({"chin": [math.nan, 2]}, "chin lies outside"),
        ({"chin": [1e300, 2]}, "chin lies outside"),
        ({"left_eye": [-5, 100]}, "left_eye lies outside the picture of 640x360"),
        ({"nose": [3, 3]}, "'nose' is none of left_eye"),
        ({"mouth_right": [318, 206]}, "its mouth is 17 pixels wide"),
        ({"mouth_left": [341, 206], "mouth_right": [301, 207]}, "left of mouth_right"),
        ({"left_eye": [351, 151], "right_eye": [292, 151]}, "left_eye has to lie left"),
        ({"left_eye": [292, 230]}, "eyes have to lie well above"),
        ({"lower_lip": [321, 190]}, "upper_lip and lower_lip"),
        ({"chin": [321, 190]}, "chin has to lie below"),
    ],
)
def test_handles_that_form_no_face_are_refused_by_name(
    changed: dict[str, object], words: str
) -> None:
    with pytest.raises(AvatarRefused, match=words):
        handles_from_json({**HANDLES.json(), **changed}, WIDTH, HEIGHT)


def test_handles_that_are_no_object_are_refused() -> None:
    with pytest.raises(AvatarRefused, match="an object"):
        handles_from_json([1, 2], WIDTH, HEIGHT)


def test_a_face_made_of_handles_has_these_handles() -> None:
    assert off_by(handles_of(from_handles(HANDLES))) < 2


# --- over time ------------------------------------------------------------------------------------


def noisy(points: NDArray[np.float64], pixels: float) -> NDArray[np.float32]:
    dice = np.random.default_rng(2).normal(0, pixels, points.shape)
    return (points + dice).astype(np.float32)


def test_smoothing_stills_what_rests() -> None:
    seen = noisy(np.full((80, 5, 2), 100.0), 0.2)
    calm = smoothed(seen, 25, 60)
    assert np.diff(calm[10:-10], axis=0).std() < 0.3 * np.diff(seen, axis=0).std()


def test_smoothing_lets_quick_lips_through_without_lag() -> None:
    step = np.full((60, 1, 2), 100.0)
    step[30:] += 12
    calm = smoothed(step.astype(np.float32), 25, 60)
    assert calm[27].max() < 103
    assert calm[32].min() > 109
    assert abs((calm[29] - 100).max() - (112 - calm[30]).max()) < 0.5, "as early as late"


def test_landmarks_follow_a_talking_face() -> None:
    follower = MeshFollower(face_models())
    faces = [follower.see(bgr) for bgr in talking(6)]
    gaps = [
        float((face.points[INNER_LOWER] - face.points[INNER_UPPER])[:, 1].max())
        for face in faces
        if face is not None
    ]
    assert len(gaps) == 6
    assert gaps[0] < 2
    assert max(gaps[2:4]) > 8
    assert gaps[5] < 2


def test_a_face_that_leaves_is_out_of_sight_and_found_again() -> None:
    follower = MeshFollower(face_models())
    empty = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    seen = [follower.see(bgr) for bgr in (photograph(), empty, photograph())]
    assert [face is None for face in seen] == [False, True, False]


@pytest.mark.parametrize("handles", [HANDLES, None], ids=["given", "guessed"])
def test_without_networks_handles_ride_on_the_head(handles: Handles | None) -> None:
    follower = HeadFollower(handles)
    first = follower.see(photograph())
    assert first is not None
    for number in range(1, 9):
        turn = cv2.getRotationMatrix2D((321, 190), 0.8 * number, 1)
        turn[:, 2] += 2.0 * number, -1.0 * number
        moved = cv2.warpAffine(photograph(), turn, (WIDTH, HEIGHT))
        face = follower.see(np.asarray(moved, np.uint8))
        assert face is not None
        wanted = cv2.transform(first.handles.array()[None], turn)[0]
        assert np.linalg.norm(face.handles.array() - wanted, axis=1).max() < 1.5
