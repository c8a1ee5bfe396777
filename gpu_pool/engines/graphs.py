"""Functions of tensors, recorded once per shape and replayed as one launch: CUDA graphs.

Between an engine and its networks, on a GPU: their hundreds of small kernels are then not started
one by one from Python. On a CPU a call is a call. Nothing is compiled, so a user's machine needs no
compiler, and a worker is warm after one batch of every shape. Must never fail a batch: what cannot
be recorded is run as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

_log = logging.getLogger(__name__)

Run = Callable[..., Tensor]
"""Of tensors, and of what is no tensor and decides what is done with them."""

Recorder = Callable[[Callable[[], Tensor]], tuple[Tensor, Callable[[], object]]]
"""Takes a run without arguments; gives where its result lies, and what makes it anew there."""

_SHAPES_AT_MOST = 16
"""Of one function: sizes of a pass times guided or not. A caller with more has no fixed shapes, and
each recording holds memory."""

_WARM_RUNS = 3
"""As torch advises: libraries choose their kernels in the first ones."""


@dataclass(frozen=True, slots=True)
class _Recording:
    inputs: Sequence[Tensor]
    output: Tensor
    replay: Callable[[], object]


class Replayed:
    """A function whose calls are replayed where that pays.

    Args:
        run: gives one tensor on the device of its inputs, and leaves these as they are.
        record: how a run is recorded; None is on a GPU only, by CUDA.
    """

    def __init__(self, run: Run, record: Recorder | None = None) -> None:
        self._run, self._record = run, record
        self._recordings: dict[object, _Recording] = {}
        self.enabled = True

    def __call__(self, *given: Tensor | int) -> Tensor:
        """As the function itself; the result is the caller's own."""
        inputs = [each for each in given if isinstance(each, Tensor)]
        if not self.enabled or not (self._record or inputs[0].is_cuda):
            return self._run(*given)
        key = tuple((e.shape, e.stride()) if isinstance(e, Tensor) else e for e in given)
        recording = self._recordings.get(key) or self._new(key, given)
        if recording is None:
            return self._run(*given)
        for there, here in zip(recording.inputs, inputs, strict=True):
            there.copy_(here, non_blocking=True)
        recording.replay()
        return recording.output.clone()

    def _new(self, key: object, given: Sequence[Tensor | int]) -> _Recording | None:
        if len(self._recordings) == _SHAPES_AT_MOST:
            return None
        own = [each.clone() if isinstance(each, Tensor) else each for each in given]
        try:
            output, replay = (self._record or record_on_cuda)(lambda: self._run(*own))
        except RuntimeError as error:
            _log.warning("not recorded as a graph, runs without: %s", error)
            self.enabled = False
            return None
        inputs = [each for each in own if isinstance(each, Tensor)]
        self._recordings[key] = _Recording(inputs, output, replay)
        return self._recordings[key]


def record_on_cuda(run: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], object]]:
    """Record a run on the current GPU.

    Raises:
        RuntimeError: something in it cannot be recorded.
    """
    here, beside = torch.cuda.current_stream(), torch.cuda.Stream()
    beside.wait_stream(here)
    with torch.cuda.stream(beside):
        for _ in range(_WARM_RUNS):
            run()
    here.wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=_memory()):
        output = run()
    return output, graph.replay


@cache
def _memory() -> tuple[int, int]:
    """One pool for all recordings: their inputs lie elsewhere, their results are copied at once.

    So they may be replayed in any order, one after the other, over each other's inner tensors.
    """
    handle: tuple[int, int] = torch.cuda.graph_pool_handle()
    return handle
