"""Files of weights, good and hostile, made without torch."""

from __future__ import annotations

import json
import math
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpu_pool.engines.checkpoint import Layout


def safetensors(path: Path, header: Mapping[str, Any], size: int) -> Path:
    """A file with this header and so many bytes of zeros, which take no space on the disk."""
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + size)
    return path


def zero_weights(path: Path, layout: Layout, dtype: str = "F32") -> Path:
    """A safetensors file of a whole network, all zero."""
    header, at = {}, 0
    for name, shape in layout.items():
        size = math.prod(shape) * (4 if dtype == "F32" else 2)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    return safetensors(path, header, at)


def torch_archive(path: Path, data_pickle: bytes, **more: bytes) -> Path:
    """What torch.save writes, around any pickle; ``more`` are further entries."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data_pickle)
        for name, content in more.items():
            archive.writestr(f"archive/{name}", content)
    return path


class Storage:
    """Pickles as torch's storages do: by a reference that the reader has to resolve."""

    def __init__(self, key: str, elements: int, kind: str = "FloatStorage") -> None:
        self.key, self.elements, self.kind = key, elements, kind


class _Named:
    """Pickles as a name in a module that need not exist here."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    """Pickles as a call of ``module.name`` with these arguments."""

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.module, self.name, self.arguments = module, name, arguments


def tensor(storage: Storage, *shape: int, offset: int = 0, strides: tuple[int, ...] = ()) -> Call:
    steps = strides or tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    rest = (storage, offset, shape, steps, False, Call("collections", "OrderedDict"))
    return Call("torch._utils", "_rebuild_tensor_v2", *rest)


class _Writer(pickle._Pickler):  # type: ignore[name-defined] # the one in Python can be taught
    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, Storage):
            return ("storage", _Named("torch", value.kind), value.key, "cpu", value.elements)
        return None

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if isinstance(value, _Named):
            self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Call):
            self.save(_Named(value.module, value.name))
            self.save(value.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(value, save_persistent_id)


def pickled(value: Any) -> bytes:
    """A pickle of protocol 2 in which ``Call`` and ``Storage`` stand for what they say."""

    class Sink(bytearray):
        def write(self, data: bytes) -> None:
            self.extend(data)

    sink = Sink()
    _Writer(sink, 2).dump(value)
    return bytes(sink)
