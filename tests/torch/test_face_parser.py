"""MuseTalk's face parser takes every tensor of the published file and labels pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from gpu_pool.engines.checkpoint import layout
from gpu_pool.engines.musetalk.parser import CLASSES, FaceParser
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
