"""Reads the pickle inside a checkpoint as data: tensors, dicts, numbers; nothing is executed.

Below the readers of torch's file forms. A pickle is a program that may call anything it can name.
Here it can name a closed list of inert stand-ins only; every other name ends the reading before
anything was called. torch itself is not needed. Readers of other files bring names of their own
(``NamedOnly``).
"""

from __future__ import annotations

import contextlib
import io
import pickle
import pickletools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, TypeVar

from gpu_pool.engines.checkpoint.stored import StorageRef, StoredTensor, fault

LARGEST_PICKLE_BYTES = 16 << 20
"""The data of tensors lies outside of it; the longest of the known files has 0.3 MB."""

_STORAGES: Mapping[str, str] = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}

_REGISTERED = {"EXT1", "EXT2", "EXT4"}
"""Opcodes that call by number what some library of this process has registered: never needed."""

_MEMO = {"PUT", "BINPUT", "LONG_BINPUT"}

_SHOWN = 100
"""Characters of a name that a refusal repeats; the name may have a million."""


class PickleRefused(Exception):
    """The pickle is broken, or wants more than data; the text says what."""


class _StorageType:
    """Stands for ``torch.FloatStorage`` and its like, which a pickle only names."""

    __slots__ = ("dtype",)
    dtype: str

    def __init__(self, dtype: str) -> None:
        object.__setattr__(self, "dtype", dtype)

    def __setattr__(self, name: str, value: object) -> None:
        raise PickleRefused(f"sets {name} of an element type")


class _Rebuild:
    """Stands for the functions by which torch makes a tensor out of a storage."""

    __slots__ = ()

    def __call__(self, storage: object, offset: int, *rest: object) -> StoredTensor:
        shape, strides, *_grad_and_hooks = rest
        if type(shape) is not tuple or type(strides) is not tuple:
            raise PickleRefused("a tensor without a shape")
        if type(storage) is not StorageRef:
            raise PickleRefused("makes a tensor out of what is no storage")
        tensor = StoredTensor(storage, offset, shape, strides)
        if wrong := fault(tensor):
            raise PickleRefused(f"a tensor with {wrong}")
        return tensor


class _Same:
    """Stands for functions that add nothing to their first argument."""

    __slots__ = ()

    def __call__(self, value: object, *_rest: object) -> object:
        return value


_NAMES: Mapping[tuple[str, str], object] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _Rebuild(),
    ("torch._utils", "_rebuild_tensor_v2"): _Rebuild(),
    ("torch._utils", "_rebuild_parameter"): _Same(),
    ("torch", "Size"): tuple,
    **{("torch.jit._pickle", f"build_{kind}list"): _Same() for kind in ("int", "double", "bool")},
    **{("torch", name): _StorageType(dtype) for name, dtype in _STORAGES.items()},
}
"""All that a pickle may name, but for the classes of a TorchScript archive (``_script_class``)."""


class NamedOnly(pickle.Unpickler):
    """A reader whose pickle can name a closed list of stand-ins, and nothing outside itself.

    Stand-ins must be instances without attributes of their own, or types of the interpreter:
    opcode BUILD changes the attributes of whatever lies on the stack.

    Args:
        data: the pickle.
        names: (module, name) -> what stands for it.
        content: what the pickle holds, for the refusal.
    """

    def __init__(
        self, data: bytes, names: Mapping[tuple[str, str], object], content: str = "weights"
    ) -> None:
        super().__init__(io.BytesIO(data))
        self._names, self._content = names, content

    def find_class(self, module: str, name: str) -> object:
        """What stands for a name."""
        if (module, name) not in self._names:
            wanted = "".join(c if c.isprintable() else "?" for c in f"{module}.{name}"[:_SHOWN])
            raise PickleRefused(f"wants to call {wanted}, which no {self._content} need")
        return self._names[module, name]

    def persistent_load(self, pid: object) -> object:
        """Nothing lies outside."""
        raise PickleRefused("refers to something outside of it")


R = TypeVar("R", bound=pickle.Unpickler)


def unpickled(data: bytes, reader: Callable[[bytes], R]) -> tuple[Any, R]:
    """What a pickle describes, and the reader that read it.

    Raises:
        PickleRefused: it is broken, too large, or wants more than the reader allows.
    """
    made = reader(data)
    try:
        with _without_warnings():
            _look_over(data)
            return made.load(), made
    except PickleRefused:
        raise
    # What a broken pickle raises is not documented; these are what the module can raise.
    except (
        *(pickle.UnpicklingError, AttributeError, EOFError, ImportError, IndexError, KeyError),
        *(TypeError, ValueError, OverflowError, MemoryError, RecursionError),
    ) as error:
        raise PickleRefused(f"a broken pickle ({error})") from error


class Unpickled:
    """What the pickle of a checkpoint described.

    Attributes:
        value: dicts, lists, tuples, numbers, texts and ``StoredTensor``.
        script_class: the type of every object in ``value`` that stands for a TorchScript module;
            its attribute ``attributes`` is a dict.
    """

    def __init__(self, data: bytes) -> None:
        self.value, reader = unpickled(data, _Reader)
        self.script_class = reader.script_class


def end_of_pickle(file: IO[bytes]) -> int:
    """Position behind the pickle that begins where ``file`` stands.

    Raises:
        PickleRefused: there is none, or it is too long.
    """
    start = file.tell()
    try:
        with _without_warnings():
            for _opcode, _argument, at in pickletools.genops(file):
                if at is not None and at - start > LARGEST_PICKLE_BYTES:
                    raise PickleRefused(f"a pickle of more than {LARGEST_PICKLE_BYTES >> 20} MiB")
    except (ValueError, OverflowError) as error:
        raise PickleRefused(f"a broken pickle ({error})") from error
    return file.tell()


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """A text of protocol 0 with an odd escape is no news to whoever runs the station."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _look_over(data: bytes) -> None:
    """Refuse what would cost memory or reach for this process before it is run."""
    if len(data) > LARGEST_PICKLE_BYTES:
        raise PickleRefused(f"a pickle of more than {LARGEST_PICKLE_BYTES >> 20} MiB")
    try:
        for opcode, argument, _at in pickletools.genops(data):
            if opcode.name in _REGISTERED:
                raise PickleRefused("calls a registered extension")
            # The unpickler makes its table as long as the largest number says.
            if opcode.name in _MEMO and (argument or 0) > len(data):
                raise PickleRefused("a memo larger than itself")
    except (ValueError, OverflowError) as error:
        raise PickleRefused(f"a broken pickle ({error})") from error


def _script_class() -> type:
    """A class of its own for every reading: a pickle could leave traces on a shared one."""

    class ScriptObject:
        __slots__ = ("attributes",)

        def __setstate__(self, state: object) -> None:
            self.attributes = state

    return ScriptObject


class _Reader(NamedOnly):
    def __init__(self, data: bytes) -> None:
        super().__init__(data, _NAMES)
        self.script_class = _script_class()

    def find_class(self, module: str, name: str) -> object:
        if module == "__torch__" or module.startswith("__torch__."):
            return self.script_class
        return super().find_class(module, name)

    def persistent_load(self, pid: object) -> StorageRef:
        """A storage: ``("storage", type, key, device, elements[, view])``, whatever its device."""
        if type(pid) is not tuple or len(pid) not in (5, 6) or pid[0] != "storage":
            raise PickleRefused("refers to something that is no storage")
        kind, key, elements = pid[1], pid[2], pid[4]
        if type(kind) is not _StorageType or type(key) is not str or type(elements) is not int:
            raise PickleRefused("a storage of unknown kind")
        if len(pid) == 6 and pid[5] is not None:
            raise PickleRefused("a view of a storage, as torch wrote before 2017")
        return StorageRef(key, kind.dtype, elements)
