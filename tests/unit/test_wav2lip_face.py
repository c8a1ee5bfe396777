"""Wav2Lip's way with pictures: the authors' bytes where they are asked for, no seam on air."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpu_pool.engines.photo.paste import Patch, bgr_of
from gpu_pool.engines.presenter import colour
from gpu_pool.engines.wav2lip.face import (
    Box,
    cut,
    network_faces,
    overwrite,
    smoothed,
    to_and_fro,
)
from gpu_pool.engines.wav2lip.mel import BINS, COLUMNS
from tests.oracles.recipe import image

GOLDEN = np.load(
    Path(__file__).parents[1] / "fixtures" / "conformance" / "wav2lip_image_pipeline.npz"
)
BOX = Box(50, 181, 90, 205)
RESAMPLER = 2
"""Levels by which versions of OpenCV may differ."""


def frames(count: int) -> list[NDArray[np.uint8]]:
    return [image(f"w2limg/frame{index}", 240, 320) for index in range(count)]


def i420(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = bgr.shape[:2]
    flat = colour.packed(colour.planes(bgr))
    return np.asarray(flat, np.uint8).reshape(height * 3 // 2, width)


def test_the_network_is_given_the_originals_input() -> None:
    golden = GOLDEN["datagen_img_batch_u8"]
    count = len(golden)
    boxes = [Box(*edges) for edges in GOLDEN["datagen_coords"].tolist()]
    faces = np.stack([cut(frames(3)[index % 3], box, 96) for index, box in enumerate(boxes)])
    own = network_faces(faces).transpose(0, 2, 3, 1).astype(np.int16)
    assert np.abs(own - golden).max() <= RESAMPLER
    assert not own[:, 48:, :, :3].any()
    assert GOLDEN["datagen_mel_shape"].tolist() == [count, BINS, COLUMNS, 1]


def test_the_live_service_puts_a_face_back_likewise() -> None:
    pasted_as(GOLDEN["lt_paste_frame"], frames(2)[1], image("w2limg/face1", 256, 256))


def pasted_as(golden: NDArray[np.uint8], frame: NDArray[np.uint8], face: NDArray[np.uint8]) -> None:
    own = frame.copy()
    overwrite(own, BOX, face)
    off = np.abs(own.astype(np.int16) - golden)
    assert off.max() <= RESAMPLER
    off[BOX.top : BOX.bottom, BOX.left : BOX.right] = 0
    assert not off.any()


def test_boxes_are_smoothed_as_the_original_does_and_whole_numbers_stay_so() -> None:
    boxes = GOLDEN["smooth_in"]
    np.testing.assert_array_equal(smoothed(boxes), GOLDEN["smooth_T5"])
    exact = smoothed(boxes.astype(np.float64))
    np.testing.assert_allclose(exact, GOLDEN["smooth_T5_float"], atol=1e-12)


@pytest.mark.parametrize("count", [1, 5])
def test_pictures_go_to_and_fro(count: int) -> None:
    golden = GOLDEN[f"mirror_index_size{count}"]
    assert [to_and_fro(index, count) for index in range(len(golden))] == golden.tolist()


def test_a_box_grows_within_its_frame() -> None:
    assert Box(5, 100, 3, 90).padded((10, 10, 2, 20), 105, 100) == Box(0, 105, 1, 100)


# --- on air ---------------------------------------------------------------------------------

PICTURE = i420(image("paste/frame", 240, 320))


@settings(max_examples=40, deadline=None, database=None)
@given(
    top=st.integers(0, 100),
    left=st.integers(0, 150),
    height=st.integers(24, 140),
    width=st.integers(24, 170),
)
def test_only_the_lower_part_of_the_box_changes(
    top: int, left: int, height: int, width: int
) -> None:
    box = Box(top, top + height, left, left + width)
    pasted = PICTURE.copy()
    Patch.of(box).paste(pasted, np.full((96, 96, 3), 255, np.uint8))
    changed = np.argwhere(pasted[:240] != PICTURE[:240])
    assert len(changed)
    assert changed[:, 0].min() >= top + int(0.46 * height)
    assert changed[:, 0].max() < box.bottom
    assert changed[:, 1].min() >= left
    assert changed[:, 1].max() < box.right
    chroma = pasted[240:].reshape(2, 120, 160) != PICTURE[240:].reshape(2, 120, 160)
    rows, columns = np.argwhere(chroma)[:, 1], np.argwhere(chroma)[:, 2]
    assert rows.min(initial=999) >= (top + int(0.46 * height)) // 2
    assert columns.max(initial=0) <= (box.right - 1) // 2


def test_a_face_pasted_onto_itself_is_not_seen() -> None:
    """Cutting, colours both ways and pasting cost a level or two."""
    smooth = i420(
        np.repeat(np.linspace(40, 200, 320, dtype=np.uint8)[None, :, None], 240, 0).repeat(3, 2)
    )
    for box in (Box(40, 200, 60, 200), Box(41, 202, 63, 206)):
        pasted = smooth.copy()
        face = cut(bgr_of(smooth, Box(0, 240, 0, 320)), box, 256)
        Patch.of(box).paste(pasted, face)
        assert np.abs(pasted.astype(np.int16) - smooth).max() <= 2


def test_a_patch_fades_without_a_step() -> None:
    flat = i420(np.full((240, 320, 3), 60, np.uint8))
    pasted = flat.copy()
    Patch.of(Box(20, 220, 60, 260)).paste(pasted, np.full((96, 96, 3), 200, np.uint8))
    luma = pasted[:240].astype(np.int16)
    assert luma.max() - luma.min() > 100
    assert np.abs(np.diff(luma, axis=0)).max() < 16
    assert np.abs(np.diff(luma, axis=1)).max() < 16


def test_half_the_strength_is_half_the_way() -> None:
    whole, half, none = PICTURE.copy(), PICTURE.copy(), PICTURE.copy()
    patch, face = Patch.of(Box(20, 220, 60, 260)), np.full((96, 96, 3), 230, np.uint8)
    for picture, strength in ((whole, 1.0), (half, 0.5), (none, 0.0)):
        patch.paste(picture, face, strength)
    np.testing.assert_array_equal(none, PICTURE)
    middle = (whole.astype(np.float32) + PICTURE) / 2
    assert np.abs(half - middle).max() <= 1


def test_a_box_of_a_picture_has_its_colours() -> None:
    bgr = np.zeros((240, 320, 3), np.uint8)
    bgr[:, :160], bgr[:, 160:] = (30, 90, 200), (180, 120, 40)
    found = bgr_of(i420(bgr), Box(11, 99, 21, 299))
    assert found.shape == (88, 278, 3)
    away = np.abs(found.astype(np.int16) - bgr[11:99, 21:299]).max(axis=(0, 2))
    assert np.delete(away, range(136, 143)).max() <= 2


def test_a_live_batch_goes_on_where_the_last_one_ended() -> None:
    order = [to_and_fro(index, 3) for index in range(4, 9)]
    assert order == GOLDEN["lt_batch_indices"].tolist()
    faces = np.stack([image(f"w2limg/face{index}", 256, 256) for index in order])
    seen = network_faces(faces) / 255
    means = GOLDEN["lt_img_mean_per_sample_channel"]
    np.testing.assert_allclose(seen.mean(axis=(2, 3)), means, atol=1e-6)
    assert seen[:, :3, 128:].max() == GOLDEN["lt_img_lowerhalf_masked_max"]
