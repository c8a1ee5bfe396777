"""The authors' face detector against the original's output, and its boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gpu_pool.engines.checkpoint import CheckpointRefused, layout, open_checkpoint
from gpu_pool.engines.s3fd.detect import Found, apart, decoded, faces_in
from gpu_pool.engines.s3fd.network import MEAN, S3fd
from tests.doubles.recipe_networks import CONFORMANCE, TOLERANCE, off
from tests.doubles.weight_files import zero_weights
from tests.oracles import recipe


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> S3fd:
    file = tmp_path_factory.mktemp("s3fd") / "s3fd.pth"
    tensors = {
        key: torch.from_numpy(recipe.param("s3fd", key, shape))
        for key, shape in layout("s3fd").items()
    }
    torch.save(tensors, file)
    made = S3fd(open_checkpoint(file))
    file.unlink()
    return made


@torch.inference_mode()
def test_scores_and_boxes_are_the_originals(network: S3fd) -> None:
    picture = recipe.image("s3fd/image", 192, 256).astype(np.float32) - np.array(MEAN, np.float32)
    seen = network(torch.from_numpy(picture.transpose(2, 0, 1)[None]))
    golden = np.load(CONFORMANCE / "s3fd_forward.npz")
    for level, (scores, boxes) in enumerate(seen):
        assert off(scores, golden[f"out{2 * level}"]) < TOLERANCE
        assert off(boxes, golden[f"out{2 * level + 1}"]) < TOLERANCE


def cells(
    level: int, row: int, column: int, *box: float
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """What the network would say of one sure cell among empty ones."""
    seen = []
    for _ in range(6):
        scores = torch.zeros(1, 2, 8, 8)
        scores[:, 0] = 9.0
        seen.append((scores, torch.zeros(1, 4, 8, 8)))
    seen[level][0][0, :, row, column] = torch.tensor([0.0, 9.0])
    seen[level][1][0, :, row, column] = torch.tensor(box)
    return seen


def test_a_cell_becomes_the_box_it_stands_for() -> None:
    (plain,) = decoded(cells(2, 3, 5, 0, 0, 0, 0))  # 16 pixels a cell, so 64 around its middle
    assert (plain.left, plain.top, plain.right, plain.bottom) == (56, 24, 120, 88)
    (moved,) = decoded(cells(2, 3, 5, 1.0, -1.0, 5 * np.log(2), 0))
    assert moved.left == pytest.approx(88 + 6.4 - 64, abs=1e-3)
    assert moved.right == pytest.approx(88 + 6.4 + 64, abs=1e-3)
    assert (moved.top, moved.bottom) == pytest.approx((24 - 6.4, 88 - 6.4), abs=1e-3)


def test_one_box_is_left_of_each_face() -> None:
    sure, same, other = Found(0, 0, 9, 9, 0.9), Found(1, 1, 10, 10, 0.8), Found(30, 0, 39, 9, 0.7)
    assert apart([other, same, sure]) == [sure, other]


def test_a_picture_without_a_face_has_none_and_other_weights_are_refused(tmp_path: Path) -> None:
    blank = S3fd(open_checkpoint(zero_weights(tmp_path / "s3fd.pth", layout("s3fd"))))
    assert faces_in(blank, np.zeros((64, 64, 3), np.uint8)) == []
    with pytest.raises(CheckpointRefused, match="not S3FD"):
        S3fd(open_checkpoint(zero_weights(tmp_path / "x.pth", layout("bisenet"))))
