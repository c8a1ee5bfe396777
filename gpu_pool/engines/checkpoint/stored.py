"""Tensors as a file describes them, and the arrays they become once their bytes are wanted.

Between the readers of the file forms and whoever asks for weights. Must never believe a
description: every shape, stride and offset is checked against the bytes that are really there.

Tuples, not dataclasses: a hostile pickle can change the fields of an object it has made (opcode
BUILD), but not those of a tuple.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

DTYPES: Mapping[str, np.dtype[Any]] = {
    "float64": np.dtype("<f8"),
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),  # numpy has none; widened to float32 when read
    "int64": np.dtype("<i8"),
    "int32": np.dtype("<i4"),
    "int16": np.dtype("<i2"),
    "int8": np.dtype("i1"),
    "uint8": np.dtype("u1"),
    "bool": np.dtype("?"),
}
"""Name of an element type in a file -> how numpy reads its bytes."""

FLOATS = frozenset({"float64", "float32", "float16", "bfloat16"})

_MOST_DIMENSIONS = 8


class StorageRef(NamedTuple):
    """A run of elements in the file; ``key`` is what the file calls it."""

    key: str
    dtype: str
    elements: int


class StoredTensor(NamedTuple):
    """A view of a storage: shape, strides and offset in elements."""

    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """Name of the element type, a key of ``DTYPES``."""
        return self.storage.dtype


def fault(tensor: StoredTensor) -> str:
    """What is wrong with a description, or an empty text."""
    storage, offset, shape, strides = tensor
    numbers = (offset, *shape, *strides, storage.elements)
    if not all(type(each) is int and each >= 0 for each in numbers):
        return "sizes that are no whole numbers"
    if len(shape) != len(strides) or len(shape) > _MOST_DIMENSIONS:
        return f"{len(shape)} dimensions and {len(strides)} strides"
    if math.prod(shape) == 0:
        return ""
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    # The second guards against a small storage blown up by strides of 0.
    if last >= storage.elements or math.prod(shape) > storage.elements:
        return f"shape {list(shape)} reaches beyond its {storage.elements} elements"
    return ""


def read(tensor: StoredTensor, raw: memoryview) -> NDArray[Any]:
    """The elements, read-only where the file's bytes can be used as they are.

    Args:
        tensor: what ``fault`` finds nothing wrong with.
        raw: the bytes of its storage.

    Returns:
        An array of the tensor's shape; bfloat16 comes as float32.
    """
    flat = np.frombuffer(raw, DTYPES[tensor.dtype], tensor.storage.elements)
    steps = tuple(step * flat.itemsize for step in tensor.strides)
    view = np.lib.stride_tricks.as_strided(
        flat[tensor.offset :], tensor.shape, steps, writeable=False
    )
    if tensor.dtype == "bfloat16":
        return (view.astype(np.uint32) << 16).view(np.float32)
    return view
