"""LatentSync's faces, aligned, masked and put back, against the originals' bytes.

``rt_`` arrays are LatentsyncRealtime's, which resamples otherwise.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gpu_pool.engines.latentsync import face, mask, picture
from gpu_pool.engines.latentsync.face import Resampling
from tests.doubles.recipe_networks import CONFORMANCE
from tests.oracles.recipe import image

GOLDEN = np.load(CONFORMANCE / "latentsync_face.npz")
RESAMPLER = {Resampling.LANCZOS: 2, Resampling.BILINEAR: 3}
"""Levels by which versions of OpenCV may differ."""

PROGRAMS = {Resampling.LANCZOS: "", Resampling.BILINEAR: "rt_"}

FRAMES = [image(f"lsface/frame{index}", 360, 480) for index in range(3)]


@pytest.fixture(scope="module")
def matrices() -> list[face.Matrix]:
    """The originals' three pictures, in order: the alignment remembers those before."""
    aligner, found = face.Aligner(), []
    for index, landmarks in enumerate(GOLDEN["landmarks"]):
        found.append(aligner.matrix(landmarks))
        steady = GOLDEN["smoothed_landmarks"][index]
        np.testing.assert_allclose(aligner.points, steady, atol=1e-9)
    return found


@pytest.fixture(scope="module", params=list(Resampling))
def how(request: pytest.FixtureRequest) -> Resampling:
    chosen: Resampling = request.param
    return chosen


@pytest.fixture(scope="module")
def faces(matrices: list[face.Matrix], how: Resampling) -> NDArray[np.uint8]:
    return np.stack([face.aligned(*each, how) for each in zip(FRAMES, matrices, strict=True)])


def test_faces_are_aligned_as_the_originals(
    matrices: list[face.Matrix], faces: NDArray[np.uint8], how: Resampling
) -> None:
    program = PROGRAMS[how]
    np.testing.assert_allclose(np.stack(matrices), GOLDEN[f"{program}affine_matrices"], atol=1e-9)
    own = faces[:2, ::2, ::2].transpose(0, 3, 1, 2).astype(np.int16)
    off = np.abs(own - GOLDEN[f"{program}faces_sub2"])
    assert off.max() <= RESAMPLER[how]
    assert off.mean() < 0.3


def test_the_network_sees_the_originals_pixels(matrices: list[face.Matrix]) -> None:
    faces = np.stack([face.aligned(*each) for each in zip(FRAMES, matrices, strict=True)])
    seen = picture.pixels(torch.from_numpy(faces))
    step = RESAMPLER[Resampling.LANCZOS] / 127.5 + 1e-6
    for own, key in (
        (seen, "pixel_values_sub8"),
        (picture.masked(seen), "masked_pixel_values_sub8"),
    ):
        assert np.abs(own[..., ::8, ::8].numpy() - GOLDEN[key]).max() <= step
    np.testing.assert_array_equal(mask.kept_latents(), GOLDEN["mask_latent_32"])


def test_faces_are_put_back_as_the_originals(
    matrices: list[face.Matrix], faces: NDArray[np.uint8], how: Resampling
) -> None:
    seen = picture.pixels(torch.from_numpy(faces))
    decoded = np.stack([image(f"lsface/dec{index}", 256, 256) for index in range(3)])
    painted = torch.from_numpy(decoded).permute(0, 3, 1, 2).float() / 127.5 - 1
    whole = picture.combined(painted, seen)
    if how is Resampling.LANCZOS:
        off = np.abs(whole[..., ::8, ::8].numpy() - GOLDEN["combined_sub8"]).max()
        assert off <= RESAMPLER[how] / 127.5 + 1e-6
    levels = picture.levels(whole).flip(1).permute(0, 2, 3, 1)
    drawn = np.ascontiguousarray(levels.to(torch.uint8).numpy())
    for index, named in ((1, "restored"), (2, "restored2")):
        frame, program = FRAMES[index], PROGRAMS[how]
        own = face.restored(frame, drawn[index], face.seat(matrices[index], 480, 360, how))
        left, top, right, bottom = GOLDEN[f"{program}{named}_rect_xyxy"]
        golden, step = whole_or_half(f"{program}restored_frame{index}")
        far = np.abs(own[top:bottom:step, left:right:step].astype(np.int16) - golden)
        assert far.max() <= RESAMPLER[how]
        assert far.mean() < (0.01 if how is Resampling.LANCZOS else 0.3)
        own[top:bottom, left:right] = frame[top:bottom, left:right]
        np.testing.assert_array_equal(own, frame, "nothing else changes")


def whole_or_half(key: str) -> tuple[NDArray[np.uint8], int]:
    """A picture, and the step in pixels that the file holds it in."""
    return (GOLDEN[key], 1) if key in GOLDEN else (GOLDEN[f"{key}_sub2"], 2)


def test_a_face_is_laid_onto_the_originals_template() -> None:
    np.testing.assert_allclose(face._TEMPLATE, GOLDEN["face_template"])
    assert tuple(GOLDEN["face_size_wh"]) == (face.FACE_WIDTH, face.FACE_HEIGHT)
    for program in PROGRAMS.values():
        boxes = GOLDEN[f"{program}boxes"].tolist()
        assert boxes == [[0, 0, face.FACE_WIDTH, face.FACE_HEIGHT]] * 3


def test_a_face_that_hardly_moves_stands_still_and_a_jump_is_followed() -> None:
    first = np.asarray(GOLDEN["landmarks"][0])
    width = np.ptp(first[:, 0])
    trembling = face.smoothed(first + 0.5, first)
    assert np.abs(trembling - first).max() < 0.01
    jump = first + 0.5 * width
    np.testing.assert_allclose(face.smoothed(jump, first), jump, atol=1e-3)


def test_a_tiny_face_has_a_seat() -> None:
    matrix = np.array([[40.0, 0.0, -100.0], [0.0, 40.0, -100.0]])
    where = face.seat(matrix, 64, 48)
    small = np.full((face.FACE_HEIGHT, face.FACE_WIDTH, 3), 200, np.uint8)
    own = face.restored(np.zeros((48, 64, 3), np.uint8), small, where)
    assert own.shape == (48, 64, 3)
    assert cv2.countNonZero(own.max(axis=2)) < 200
