"""MuseTalk's way of putting a face back, against the originals' bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from gpu_pool.engines.musetalk import blend
from gpu_pool.engines.musetalk.blend import Box, Kept
from tests.oracles.recipe import image

GOLDEN = np.load(Path(__file__).parents[1] / "fixtures" / "conformance" / "musetalk_blend.npz")
LABELS = GOLDEN["labels"]
BOXES: dict[str, Box] = {
    **{"in": (170, 90, 300, 250), "edge": (5, 200, 150, 355)},
    "odd": (101, 77, 228, 232),  # the original's is not known: an odd one with the same square
}
BODY, FACE = image("mtblend/body", 360, 480), image("mtblend/face", 160, 130)


@pytest.mark.parametrize("cheek", [80, 90])
@pytest.mark.parametrize("kept", [Kept.RAW, Kept.NECK, Kept.JAW])
def test_the_parts_of_a_parsed_face_are_the_originals(kept: Kept, cheek: int) -> None:
    golden = GOLDEN[f"parse_{kept.value}_cheek{cheek}"]
    np.testing.assert_array_equal(blend.parts(LABELS, kept, cheek), golden)


def test_the_first_generation_keeps_the_whole_face() -> None:
    np.testing.assert_array_equal(blend.parts(LABELS, Kept.ALL_1_0), GOLDEN["v10_parse"])


@pytest.mark.parametrize(
    ("name", "box", "expand"),
    [("in", "in", 1.5), ("in12", "in", 1.2), ("edge", "edge", 1.5), ("odd", "odd", 1.5)],
)
def test_the_square_about_a_face_is_the_originals(name: str, box: str, expand: float) -> None:
    own = blend.square(BOXES[box], expand)
    assert (*own, (own[2] - own[0]) // 2) == tuple(GOLDEN[f"cropbox_{name}"])


@pytest.mark.parametrize("kept", [Kept.JAW, Kept.RAW])
@pytest.mark.parametrize("where", ["in", "edge"])
def test_prepared_masks_are_the_originals(where: str, kept: Kept) -> None:
    box = BOXES[where]
    around = blend.square(box)
    own = blend.soft_mask(blend.parts(LABELS, kept), box, around, blend.BLUR_PREPARED)
    np.testing.assert_array_equal(own, GOLDEN[f"v15_mask_{where}_{kept.value}"])
    assert around == tuple(GOLDEN[f"v15_maskbox_{where}_{kept.value}"])


def test_the_first_generations_mask_is_the_originals() -> None:
    box = BOXES["in"]
    around = blend.square(box, blend.EXPAND_1_0)
    own = blend.soft_mask(blend.parts(LABELS, Kept.ALL_1_0), box, around, blend.BLUR_1_0)
    np.testing.assert_array_equal(own, GOLDEN["v10_mask"])


@pytest.mark.parametrize(
    ("key", "blur"),
    [
        ("get_image_in_jaw", blend.BLUR_OFFLINE),
        ("get_image_in_raw", blend.BLUR_OFFLINE),
        ("get_image_edge_jaw", blend.BLUR_OFFLINE),
        ("blending_in_jaw", blend.BLUR_PREPARED),
        ("blending_edge_jaw", blend.BLUR_PREPARED),
    ],
)
def test_a_pasted_face_is_the_originals_and_nothing_else_changes(key: str, blur: float) -> None:
    *_, where, kept = key.split("_")
    box = BOXES[where]
    around = blend.square(box)
    mask = blend.soft_mask(blend.parts(LABELS, Kept(kept)), box, around, blur)
    own = BODY.copy()
    face = np.asarray(cv2.resize(FACE, (box[2] - box[0], box[3] - box[1])), np.uint8)
    if where == "in":
        np.testing.assert_array_equal(face[::4, ::4], GOLDEN["face_resize_bilinear_sub4"])
    blend.paste(own, face, box, around, mask)
    left, top, right, bottom = GOLDEN[f"v15_{key}__rect_xyxy"]
    np.testing.assert_array_equal(own[top:bottom, left:right], GOLDEN[f"v15_{key}"])
    own[top:bottom, left:right] = BODY[top:bottom, left:right]
    np.testing.assert_array_equal(own, BODY)


@pytest.mark.parametrize(
    ("key", "expand", "kept", "paste"),
    [
        ("v10_get_image", blend.EXPAND_1_0, Kept.ALL_1_0, blend.paste),
        ("v10_blending", blend.EXPAND_1_0, Kept.ALL_1_0, blend.paste_1_0),
        ("lt_blending_in_jaw", blend.EXPAND, Kept.JAW, blend.paste_1_0),
    ],
)
def test_the_first_generations_pasting_is_the_originals(
    key: str, expand: float, kept: Kept, paste: Callable[..., None]
) -> None:
    """``get_image`` pastes as Pillow does; live both 1.0 and LiveTalking blend as OpenCV does."""
    box = BOXES["in"]
    around = blend.square(box, expand)
    if key.startswith("v10"):
        assert around == tuple(GOLDEN["v10_maskbox"])
    mask = blend.soft_mask(blend.parts(LABELS, kept), box, around, blend.BLUR_PREPARED)
    own = BODY.copy()
    paste(own, FACE, box, around, mask)
    left, top, right, bottom = GOLDEN[f"{key}__rect_xyxy"]
    np.testing.assert_array_equal(own[top:bottom, left:right], GOLDEN[key])
    own[top:bottom, left:right] = BODY[top:bottom, left:right]
    np.testing.assert_array_equal(own, BODY)


def test_the_shapes_by_which_a_jaw_grows_are_the_originals() -> None:
    np.testing.assert_array_equal(blend._growth(), GOLDEN["parse_kernel"])
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (35, 3))
    np.testing.assert_array_equal(ellipse, GOLDEN["parse_cheek_kernel"])
