"""The file forms of weights: torch's archive and its older stream, TorchScript, safetensors.

Below ``checkpoint``. Each reader gives a tree of ``StoredTensor`` and where the bytes of every
storage lie. The file is mapped, so only weights that are asked for are ever read. Nothing in a file
is executed; of a TorchScript archive the code is not even opened.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_pool.engines.checkpoint.pickled import PickleRefused, Unpickled, end_of_pickle
from gpu_pool.engines.checkpoint.refusal import CheckpointRefused
from gpu_pool.engines.checkpoint.stored import DTYPES, StorageRef, StoredTensor

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
"""Both written at the head of every file of ``torch.save`` before 1.6 (torch/serialization.py)."""

_LARGEST_HEADER_BYTES = 100_000_000
"""Limit of the safetensors format."""

_SAFE_DTYPES: Mapping[str, str] = {
    **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"},
    **{"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8"},
    "BOOL": "bool",
}


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds.

    Attributes:
        form: name of the file form, for the operator.
        value: tree of dicts, lists and ``StoredTensor``.
        script_class: type of the objects of a TorchScript archive in ``value``, else None.
        spans: storage key -> (first byte, bytes) in the file.
    """

    form: str
    value: Any
    script_class: type | None
    spans: Mapping[str, tuple[int, int]]


def read_contents(path: Path, data: mmap.mmap) -> Contents:
    """Tell the form by the first bytes, never by the name, and read what the file describes.

    Raises:
        CheckpointRefused: it is none of the forms, it is broken, or it wants more than data.
    """
    try:
        if data[:4] == b"PK\x03\x04":
            return _read_archive(path, data)
        if data[:1] == b"\x80":
            return _read_stream(path, data)
        if len(data) > 9 and data[8:9] == b"{":
            return _read_safetensors(path, data)
    except PickleRefused as error:
        raise CheckpointRefused(path, f"refused: {error}") from error
    raise CheckpointRefused(path, "neither a file of torch.save nor TorchScript nor safetensors")


# --- torch's archive ------------------------------------------------------------------------


def _read_archive(path: Path, data: mmap.mmap) -> Contents:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise CheckpointRefused(path, f"a broken archive ({error})") from error
    pickles = [name for name in entries if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointRefused(path, "an archive, but not one of torch: no data.pkl")
    top = pickles[0].removesuffix("data.pkl")
    head = f"{top}data/"  # the code of a script, which alone is compressed, is left alone
    used = (name for name in entries if name.startswith((head, f"{top}byteorder", pickles[0])))
    spans = {name: _span(path, data, entries[name]) for name in used}
    if f"{top}byteorder" in spans and _cut(data, spans[f"{top}byteorder"]) != b"little":
        raise CheckpointRefused(path, "written on a big-endian machine")
    read = Unpickled(_cut(data, spans[pickles[0]]))
    is_script = any(name.startswith(f"{top}code/") for name in entries)
    storages = {n.removeprefix(head): span for n, span in spans.items() if n.startswith(head)}
    form = "TorchScript" if is_script else "torch"
    return Contents(form, read.value, read.script_class if is_script else None, storages)


def _span(path: Path, data: mmap.mmap, entry: zipfile.ZipInfo) -> tuple[int, int]:
    """Where an entry's bytes lie; the local header may have another length than the directory."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise CheckpointRefused(path, f"{entry.filename} is compressed, as torch's never is")
    at = entry.header_offset
    head = data[at : at + 30]
    if len(head) < 30 or head[:4] != b"PK\x03\x04":
        raise CheckpointRefused(path, f"no entry where the archive says {entry.filename} is")
    name_bytes, extra_bytes = struct.unpack("<HH", head[26:30])
    start = at + 30 + name_bytes + extra_bytes
    if start + entry.file_size > len(data):
        raise CheckpointRefused(path, f"cut off within {entry.filename}")
    return start, entry.file_size


def _cut(data: mmap.mmap, span: tuple[int, int]) -> bytes:
    return data[span[0] : sum(span)]


# --- torch's older stream -------------------------------------------------------------------


def _read_stream(path: Path, data: mmap.mmap) -> Contents:
    """Five pickles (magic, version, machine, value, storage keys), then the storages in order."""
    data.seek(0)
    magic, version, _machine = (_next(data).value for _ in range(3))
    if (magic, version) != (_LEGACY_MAGIC, _LEGACY_PROTOCOL):
        raise CheckpointRefused(path, "a pickle, but not one that torch wrote")
    read, keys = _next(data), _next(data).value
    wanted = {tensor.storage.key: tensor.storage for tensor in tensors_in(read.value)}
    spans: dict[str, tuple[int, int]] = {}
    at = data.tell()
    for key in keys if isinstance(keys, list) else []:
        if type(key) is not str or key not in wanted:
            raise CheckpointRefused(path, f"storage {key!r} belongs to no tensor")
        if at + 8 > len(data):
            raise CheckpointRefused(path, "cut off before the last storage")
        (elements,) = struct.unpack("<q", data[at : at + 8])
        size = elements * DTYPES[wanted[key].dtype].itemsize
        spans[key] = at + 8, size
        at += 8 + size
        if elements < 0 or at > len(data):
            raise CheckpointRefused(path, "cut off within a storage")
    return Contents("torch before 1.6", read.value, None, spans)


def _next(data: mmap.mmap) -> Unpickled:
    start = data.tell()
    end = end_of_pickle(data)  # type: ignore[arg-type] # a mapping reads like a file
    return Unpickled(data[start:end])


def tensors_in(value: object) -> list[StoredTensor]:
    """Every tensor in a tree of dicts, lists and tuples."""
    found: list[StoredTensor] = []
    pending, seen = [value], set[int]()
    while pending:
        each = pending.pop()
        if type(each) is StoredTensor:
            found.append(each)
        elif isinstance(each, dict | list | tuple) and id(each) not in seen:
            seen.add(id(each))  # a pickle may hold itself
            pending.extend(each.values() if isinstance(each, dict) else each)
    return found


# --- safetensors ----------------------------------------------------------------------------


def _read_safetensors(path: Path, data: mmap.mmap) -> Contents:
    """Eight bytes of length, a JSON header, then the tensors without holes or overlaps."""
    (length,) = struct.unpack("<Q", data[:8])
    if length > min(_LARGEST_HEADER_BYTES, len(data) - 8):
        raise CheckpointRefused(path, "a safetensors header longer than the file")
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise CheckpointRefused(path, f"a broken safetensors header ({error})") from error
    value: dict[str, StoredTensor] = {}
    spans: dict[str, tuple[int, int]] = {}
    for name, entry in header.items():
        if name != "__metadata__":
            value[name], spans[name] = _safe_tensor(path, name, entry, 8 + length)
    _assert_gapless(path, sorted(spans.values()), 8 + length, len(data))
    return Contents("safetensors", value, None, spans)


def _safe_tensor(
    path: Path, name: str, entry: object, base: int
) -> tuple[StoredTensor, tuple[int, int]]:
    fields = entry if isinstance(entry, dict) else {}
    dtype = _SAFE_DTYPES.get(str(fields.get("dtype")))
    shape, offsets = fields.get("shape"), fields.get("data_offsets")
    whole = [each for each in (shape, offsets) if isinstance(each, list)]
    numbers = [number for each in whole for number in each]
    if dtype is None or len(whole) != 2 or len(offsets or []) != 2:
        raise CheckpointRefused(path, f"{name}: an unknown element type or no place in the file")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise CheckpointRefused(path, f"{name}: sizes that are no whole numbers")
    assert shape is not None
    assert offsets is not None
    elements, (first, stop) = math.prod(shape), offsets
    if stop - first != elements * DTYPES[dtype].itemsize:
        raise CheckpointRefused(path, f"{name}: {stop - first} bytes for shape {shape}")
    strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    tensor = StoredTensor(StorageRef(name, dtype, elements), 0, tuple(shape), strides)
    return tensor, (base + first, stop - first)


def _assert_gapless(path: Path, spans: list[tuple[int, int]], start: int, stop: int) -> None:
    for first, size in spans:
        if first != start:
            raise CheckpointRefused(path, "tensors that overlap or leave holes")
        start += size
    if start != stop:
        raise CheckpointRefused(path, f"{abs(stop - start)} bytes too many or too few")
