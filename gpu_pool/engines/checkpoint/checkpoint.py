"""An opened file of weights: a flat mapping of names to arrays, whatever form the file had.

Between the readers of the file forms and the networks. Only reads; must never write beside a
checkpoint, and never load what nobody asked for.
"""

from __future__ import annotations

import hashlib
import math
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from gpu_pool.engines.checkpoint.forms import Contents, read_contents
from gpu_pool.engines.checkpoint.refusal import CheckpointRefused
from gpu_pool.engines.checkpoint.stored import DTYPES, StoredTensor, fault, read

_WRAPPERS = ("state_dict", "model_state_dict")
"""Under which keys training scripts put the weights, beside the state of their optimiser."""

_HASH_BLOCK = 1 << 22
_DEEPEST_MODULE = 32

COUNTER = "num_batches_tracked"
"""Counters of batch norm; older files have none and no network needs them."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights in a file, mapped but not yet read; see ``open_checkpoint``.

    Attributes:
        path: the file.
        form: torch, torch before 1.6, TorchScript or safetensors.
        size_bytes: of the file.
        tensors: name, without ``module.``, -> what the file says of it.
    """

    path: Path
    form: str
    size_bytes: int
    tensors: Mapping[str, StoredTensor]
    _data: mmap.mmap
    _spans: Mapping[str, tuple[int, int]]

    def array(self, name: str) -> NDArray[Any]:
        """One tensor, its bytes checked against the file.

        Raises:
            CheckpointRefused: they are not all there.
        """
        tensor = self.tensors[name]
        first, size = self._spans.get(tensor.storage.key, (0, -1))
        if size < tensor.storage.elements * DTYPES[tensor.dtype].itemsize:
            raise CheckpointRefused(self.path, f"the bytes of {name} are not all there")
        if wrong := fault(tensor):
            raise CheckpointRefused(self.path, f"{name}: {wrong}")
        return read(tensor, memoryview(self._data)[first : first + size])

    def sha256(self) -> str:
        """Of the whole file; a gigabyte takes about a second."""
        digest = hashlib.sha256()
        with memoryview(self._data) as whole:
            for start in range(0, len(whole), _HASH_BLOCK):
                digest.update(whole[start : start + _HASH_BLOCK])
        return digest.hexdigest()

    @property
    def numbers(self) -> int:
        """How many numbers the tensors hold together."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a file of weights of any known form.

    Raises:
        CheckpointRefused: it cannot be read, is broken, or would execute something.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise CheckpointRefused(path, f"cannot be read ({error.strerror})") from error
    except ValueError as error:  # nothing can be mapped of an empty file
        raise CheckpointRefused(path, "an empty file") from error
    contents = read_contents(path, data)
    tensors: dict[str, StoredTensor] = {}
    for name, tensor in _named(path, contents):
        plain = name.replace("module.", "")  # every one, as the authors' own loaders do
        if plain in tensors:
            raise CheckpointRefused(path, f"{plain} is there twice")
        tensors[plain] = tensor
    if not tensors:
        raise CheckpointRefused(path, "holds no weights")
    return Checkpoint(path, contents.form, len(data), tensors, data, contents.spans)


def _named(path: Path, contents: Contents) -> Iterator[tuple[str, StoredTensor]]:
    if contents.script_class is not None:
        yield from _of_script(path, contents.value, contents.script_class, "", 0)
        return
    value = contents.value
    for wrapper in _WRAPPERS:
        if isinstance(value, dict) and isinstance(value.get(wrapper), dict):
            value = value[wrapper]
            break
    if not isinstance(value, dict):
        raise CheckpointRefused(path, "holds no dictionary of weights")
    for name, tensor in value.items():
        if type(name) is not str or type(tensor) is not StoredTensor:
            raise CheckpointRefused(path, f"{name!r} is no tensor: not a dictionary of weights")
        yield name, tensor


def _of_script(
    path: Path, module: object, kind: type, head: str, depth: int
) -> Iterator[tuple[str, StoredTensor]]:
    """Tensors of a TorchScript module and those below it, named as its state dict names them."""
    attributes = getattr(module, "attributes", None) if type(module) is kind else None
    if not isinstance(attributes, dict) or depth > _DEEPEST_MODULE:
        raise CheckpointRefused(path, f"a TorchScript module that cannot be read at {head!r}")
    for name, value in attributes.items():
        if type(value) is StoredTensor:
            yield f"{head}{name}", value
        elif type(value) is kind:
            yield from _of_script(path, value, kind, f"{head}{name}.", depth + 1)
