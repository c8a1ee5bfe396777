"""From a checkpoint to the file that ships: batch norms folded away, fp16, numpy's own format.

Sixth step of the training path. Layout and names are those of ``gpu_pool.engines.mouth.net``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gpu_pool.training.mouth.model import MouthModel


def export(model: MouthModel, path: Path) -> int:
    """Write the weights; returns the size of the file in bytes."""
    arrays = {"stem_w": _stem(model.stem), "stem_b": _array(model.stem.bias)}
    for index, block in enumerate(model.blocks):
        scale, shift = _norm(block.norm)
        shift = shift + scale * _array(block.depthwise.bias)
        spread = _array(block.spread.weight)[:, :, 0]
        arrays[f"taps{index}"] = _array(block.depthwise.weight)[:, 0].T
        arrays[f"spread_w{index}"] = (spread * scale).T
        arrays[f"spread_b{index}"] = _array(block.spread.bias) + spread @ shift
        arrays[f"merge_w{index}"] = _array(block.merge.weight)[:, :, 0].T
        arrays[f"merge_b{index}"] = _array(block.merge.bias)
    arrays["norm_scale"], arrays["norm_shift"] = _norm(model.norm)
    arrays["head_w"] = _array(model.head.weight)[:, :, 0].T
    arrays["head_b"] = _array(model.head.bias)
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    if not all(np.isfinite(array).all() for array in halves.values()):
        raise ValueError("a weight does not fit into fp16")
    np.savez_compressed(path, allow_pickle=False, **halves)
    return path.stat().st_size


def _stem(stem: nn.Conv1d) -> NDArray[np.float32]:
    """(width, bands, 4) to (4 * bands, width): four frames in a row times this."""
    weights = _array(stem.weight)
    rows: NDArray[np.float32] = weights.transpose(2, 1, 0).reshape(-1, weights.shape[0])
    return rows


def _norm(norm: nn.BatchNorm1d) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    scale = _array(norm.weight / torch.sqrt(norm.running_var + norm.eps))
    return scale, _array(norm.bias) - scale * _array(norm.running_mean)


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().numpy().astype(np.float32)
    return array
