"""MuseTalk's face parser takes every tensor of the published file and labels pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from gpu_pool.engines.checkpoint import layout
from gpu_pool.engines.musetalk.avatar import _seen
from gpu_pool.engines.musetalk.parser import CLASSES, FaceParser, normalised
from tests.doubles.recipe_networks import CONFORMANCE
from tests.oracles import recipe


def test_the_published_file_fits_and_every_pixel_gets_a_class() -> None:
    tensors = {
        key: torch.from_numpy(recipe.param("bisenet", key, shape))
        for key, shape in layout("bisenet").items()
    }
    parser = FaceParser().eval()
    lacking, unknown = parser.load_state_dict(tensors, strict=False)
    assert not unknown
    assert all(name.endswith("num_batches_tracked") for name in lacking)
    picture = cv2.resize(recipe.image("bisenet/image", 300, 280), (512, 512))
    with torch.inference_mode():
        labels = parser.labels(np.asarray(picture, np.uint8))
    assert (labels.shape, labels.dtype) == ((512, 512), np.uint8)
    assert labels.max() < CLASSES
    assert len(np.unique(labels)) > 1


def test_another_size_is_not_looked_at() -> None:
    with pytest.raises(AssertionError, match="512 x 512"):
        FaceParser().eval().labels(np.zeros((256, 256, 3), np.uint8))


def test_faces_come_to_the_networks_as_the_originals_bytes() -> None:
    """What MuseTalk's autoencoder and its parser see, before anything is computed."""
    golden = np.load(CONFORMANCE / "musetalk_blend.npz")
    body = recipe.image("mtblend/body", 360, 480)
    seen = _seen(body[90:250, 170:300])
    off = np.abs(seen[::4, ::4].astype(np.int16) - golden["crop_lanczos_256_sub4"])
    assert off.max() <= 2
    square = cv2.resize(body[..., ::-1].copy(), (512, 512), interpolation=cv2.INTER_LINEAR)
    own = normalised(np.asarray(square, np.uint8))[:, ::32, ::32].numpy()
    level = 1 / 255 / 0.224  # Pillow's resampling rounds a level otherwise
    assert np.abs(own - golden["parse_net_input_sample"]).max() <= 1.01 * level
