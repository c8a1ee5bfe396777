"""Reads ``coords.pkl`` and ``mask_coords.pkl`` as data: one box a picture; nothing is executed.

Between a stranger's file and whoever lays boxes on pictures. The unpickler is that of checkpoints
with a list of its own: what numpy 1 and 2 write for numbers and arrays, in any protocol. Opcodes
are few as well: lists, tuples, numbers, and calls of what is on the list.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.checkpoint.pickled import NamedOnly, PickleRefused, unpickled
from gpu_pool.engines.face.refused import AvatarRefused

MOST_BYTES = 4 << 20
"""A box of numpy scalars takes some 100 bytes, more in protocol 0."""

Corners = tuple[int, int, int, int]

_FARTHEST_PX = 100_000
"""Beyond every picture: numbers past it mean damage."""

_CALLS = {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"}
_OPCODES = (
    _CALLS
    | {"PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP"}
    | {"EMPTY_LIST", "LIST", "APPEND", "APPENDS"}
    | {"EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
    | {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"NONE", "NEWTRUE", "NEWFALSE"}
    | {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
    | {"PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET", "MEMOIZE"}
)
"""No dicts and no sets: hashing a nest of shared tuples can take forever."""

_NUMBERS = frozenset({"i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})


class _Dtype:
    """An element type; ``order`` is set by opcode BUILD, and by nothing else."""

    __slots__ = ("kind", "order")

    def __init__(self, kind: str) -> None:
        self.kind, self.order = kind, "<"

    def __setstate__(self, state: object) -> None:
        if type(state) is not tuple or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise PickleRefused("an element type that is no plain number")
        if any(each is not None for each in state[2:5]):
            raise PickleRefused("an element type that is no plain number")
        self.order = state[1]

    def dtype(self) -> np.dtype[np.generic]:
        return np.dtype(self.order + self.kind)


class _MakeDtype:
    __slots__ = ()

    def __call__(self, kind: object, *_align_and_copy: object) -> _Dtype:
        if type(kind) is not str or kind not in _NUMBERS:
            raise PickleRefused("an element type that is no plain number")
        return _Dtype(kind)


class _MakeScalar:
    __slots__ = ()

    def __call__(self, dtype: object, data: object) -> int | float:
        value: int | float = _array(dtype, data, ()).item()
        return value


class _Array:
    """An array whose elements come by opcode BUILD."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: NDArray[np.generic] = np.zeros(0)

    def __setstate__(self, state: object) -> None:
        if type(state) is not tuple or len(state) != 5:
            raise PickleRefused("an array that is none")
        _version, shape, dtype, is_fortran, data = state
        self.values = _array(dtype, data, shape, "F" if is_fortran is True else "C")


class _MakeArray:
    __slots__ = ()

    def __call__(self, *_type_shape_and_kind: object) -> _Array:
        return _Array()


class _FromBuffer:
    """Protocol 5 stores arrays by their bytes."""

    __slots__ = ()

    def __call__(self, data: object, dtype: object, shape: object, order: object) -> _Array:
        made = _Array()
        made.values = _array(dtype, data, shape, "F" if order == "F" else "C")
        return made


class _Named:
    """A type that is only named, never called."""

    __slots__ = ()


class _Encode:
    """How protocols before 3 spell bytes. All together are no longer than the file."""

    __slots__ = ("_room",)

    def __init__(self) -> None:
        object.__setattr__(self, "_room", [MOST_BYTES])

    def __setattr__(self, name: str, value: object) -> None:
        raise PickleRefused(f"sets {name} of a function")

    def __call__(self, text: object, encoding: object) -> bytes:
        if type(text) is not str or encoding != "latin1":
            raise PickleRefused("bytes in an unknown encoding")
        room: list[int] = self._room  # type: ignore[attr-defined]
        room[0] -= len(text)
        if room[0] < 0:
            raise PickleRefused("more bytes than it is long")
        return text.encode("latin1")


def _array(dtype: object, data: object, shape: object, order: str = "C") -> NDArray[np.generic]:
    if type(dtype) is not _Dtype or not isinstance(data, bytes | bytearray):
        raise PickleRefused("an array that is none")
    if type(shape) is not tuple or len(shape) > 3 or not all(type(each) is int for each in shape):
        raise PickleRefused("an array without a shape")
    kind = dtype.dtype()
    if min(shape, default=0) < 0 or math.prod(shape) * kind.itemsize != len(data):
        raise PickleRefused("an array of another size than its shape says")
    flat = np.frombuffer(data, kind)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _names() -> Mapping[tuple[str, str], object]:
    found: dict[tuple[str, str], object] = {
        ("numpy", "dtype"): _MakeDtype(),
        ("numpy", "ndarray"): _Named(),
        ("_codecs", "encode"): _Encode(),
    }
    for core in ("numpy.core", "numpy._core"):
        found[f"{core}.multiarray", "scalar"] = _MakeScalar()
        found[f"{core}.multiarray", "_reconstruct"] = _MakeArray()
        found[f"{core}.numeric", "_frombuffer"] = _FromBuffer()
    return found


def read_boxes(data: bytes, file: str) -> list[Corners]:
    """The four numbers of every picture, in the file's own order of them.

    Args:
        data: the file.
        file: what it is called, for the refusal.

    Raises:
        AvatarRefused: it wants more than data, or does not hold four whole numbers for each.
    """
    try:
        _look_over(data)
        value, _ = unpickled(data, lambda raw: NamedOnly(raw, _names(), "boxes"))
    except PickleRefused as error:
        raise AvatarRefused(f"{file}: refused: {error}") from error
    entries = _row(value)
    if entries is None or not entries:
        raise AvatarRefused(f"{file}: a list of boxes is needed")
    return [_corners(entry, f"{file}: entry {number}") for number, entry in enumerate(entries)]


def _look_over(data: bytes) -> None:
    if len(data) > MOST_BYTES:
        raise PickleRefused(f"a pickle of more than {MOST_BYTES >> 20} MiB")
    try:
        for opcode, _argument, _at in pickletools.genops(data):
            if opcode.name not in _OPCODES:
                raise PickleRefused(f"uses the opcode {opcode.name}, which no boxes need")
    except (ValueError, OverflowError) as error:
        raise PickleRefused("a broken pickle") from error


def _row(value: object) -> Sequence[object] | None:
    if isinstance(value, _Array):
        return list(value.values) if value.values.ndim else None
    return value if isinstance(value, list | tuple) else None


def _corners(entry: object, place: str) -> Corners:
    row = list(entry) if isinstance(entry, np.ndarray) and entry.ndim == 1 else _row(entry)
    if row is None or len(row) != 4:
        raise AvatarRefused(f"{place}: four numbers are needed")
    first, second, third, fourth = (_whole(each, place) for each in row)
    return first, second, third, fourth


def _whole(value: object, place: str) -> int:
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) not in (int, float):
        raise AvatarRefused(f"{place}: whole numbers are needed")
    assert isinstance(value, int | float), "just seen"
    if not abs(value) <= _FARTHEST_PX or value != int(value):  # also what is not a number
        raise AvatarRefused(f"{place}: whole numbers within a picture are needed")
    return int(value)
