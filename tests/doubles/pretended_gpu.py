"""A GPU that is not there: tensors know that they lie on it, nothing is computed.

Made of torch's fake tensors, which carry shape, type and device only. So a whole engine can be led
along its way on a GPU where there is none, and whatever would fail there fails here: tensors of two
devices in one operation, a device's memory read as an array, a wait for a value in the middle of a
pass. Arrays that come back hold zeros. A build of torch without CUDA lacks what its Python bindings
need of the driver; those calls are led to the operators beneath.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode

_ARRAYS = {
    torch.uint8: np.uint8,
    torch.int16: np.int16,
    torch.int64: np.int64,
    torch.float32: np.float32,
}


class Driven:
    """An event, a stream, a graph: whatever is asked of it was done at once."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def record(self) -> None: ...

    def synchronize(self) -> None: ...

    def wait_stream(self, _: object) -> None: ...


class Graphs:
    """Makes graphs and counts them; a replay leaves what lies there."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> Graphs:
        self.made += 1
        return self

    def replay(self) -> None: ...


@contextlib.contextmanager
def pretended_gpu() -> Iterator[Graphs]:
    """Within, ``cuda:0`` is there."""
    graphs = Graphs()
    with pytest.MonkeyPatch.context() as patched:
        for name in ("Event", "Stream", "stream", "current_stream", "graph", "graph_pool_handle"):
            patched.setattr(torch.cuda, name, Driven)
        patched.setattr(torch.cuda, "CUDAGraph", graphs)
        patched.setattr(torch, "inference_mode", _inference_mode)
        with FakeTensorMode(allow_non_fake_inputs=True), _Bindings(), torch.no_grad():
            yield graphs


def moved(network: nn.Module, dtype: torch.dtype) -> Any:
    """A network whose weights lie on the pretended GPU."""
    for module in network.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                there = torch.empty(weight.shape, dtype=dtype, device="cuda")
                module._parameters[name] = nn.Parameter(there, requires_grad=False)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                kind = dtype if buffer.is_floating_point() else buffer.dtype
                module._buffers[name] = torch.empty(buffer.shape, dtype=kind, device="cuda")
    return network


class _Bindings(TorchFunctionMode):
    """Calls that a build without CUDA refuses for tensors on one."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = {key: each for key, each in (kwargs or {}).items() if key != "pin_memory"}
        name = getattr(func, "__name__", "")
        if name == "numpy" and isinstance(args[0], FakeTensor):
            return _array(args[0])
        if name == "pin_memory":
            return args[0]
        there = any(isinstance(each, Tensor) and each.device.type == "cuda" for each in args)
        return (_LED.get(name, func) if there else func)(*args, **named)


def _inference_mode(mode: bool = True) -> Any:
    """Fake tensors cannot be made in inference mode."""
    return torch.no_grad() if mode else contextlib.nullcontext()


def _array(tensor: Tensor) -> Any:
    assert tensor.device.type == "cpu", "a device's memory cannot be read as an array"
    return np.zeros(tuple(tensor.shape), _ARRAYS[tensor.dtype])


def _contiguous(x: Tensor, memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
    made: Tensor = torch.ops.aten.clone(x, memory_format=memory_format)
    return made


def _copied(to: Tensor, x: Tensor, non_blocking: bool = False) -> Tensor:
    made: Tensor = torch.ops.aten.copy_(to, x, non_blocking)
    return made


def _sampled(x: Tensor, grid: Tensor, *_: Any, **__: Any) -> Tensor:
    assert x.device == grid.device
    return torch.empty((*x.shape[:2], *grid.shape[1:3]), device="cuda")


def _part(x: Tensor, wanted: Any) -> Tensor:
    """``x[wanted]`` by slices, numbers, ``None`` and ``...``, or by one tensor of places."""
    if isinstance(wanted, Tensor):
        return torch.ops.aten.index(x, [wanted])
    parts = wanted if isinstance(wanted, tuple) else (wanted,)
    if parts and parts[0] is ...:
        said = sum(each is not None for each in parts[1:])
        parts = (slice(None),) * (x.dim() - said) + parts[1:]
    axis = 0
    for each in parts:
        if each is None:
            x = torch.ops.aten.unsqueeze(x, axis)
        elif isinstance(each, int):
            x = torch.ops.aten.select(x, axis, each)
            continue
        else:
            x = torch.ops.aten.slice(x, axis, each.start, each.stop, each.step or 1)
        axis += 1
    return x


_LED: Mapping[str, Callable[..., Tensor]] = {
    "__getitem__": _part,
    "contiguous": _contiguous,
    "copy_": _copied,
    "grid_sample": _sampled,
}
