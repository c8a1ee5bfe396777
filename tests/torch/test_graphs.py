"""Recorded functions of tensors: what comes back is what the function gives, whatever was before.

CUDA's own recording needs a GPU; here a run is recorded by keeping it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gpu_pool.engines.graphs import Replayed


class Recordings:
    """Records as CUDA does: the same memory holds every result."""

    def __init__(self, fails: bool = False) -> None:
        self.made = self.replays = 0
        self._fails = fails

    def __call__(self, run: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], object]]:
        self.made += 1
        if self._fails:
            raise RuntimeError("operation not permitted when stream is capturing")
        output = run()

        def replay() -> None:
            self.replays += 1
            output.copy_(run())

        return output, replay


def mixed(a: Tensor, b: Tensor, factor: int = 1) -> Tensor:
    return a * factor + b.sum()


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_a_shape_is_recorded_once_and_replayed_with_what_is_new() -> None:
    recordings = Recordings()
    replayed = Replayed(mixed, recordings)
    for size in (3, 5, 3, 5, 3):
        for more in (0.0, 1.0):
            a, b = numbers(size) + more, numbers(2, size)
            assert torch.equal(replayed(a, b), mixed(a, b))
    assert (recordings.made, recordings.replays) == (2, 10)


def test_a_result_stays_when_the_next_one_is_made() -> None:
    replayed = Replayed(mixed, Recordings())
    a, b = numbers(4), numbers(2)
    first = replayed(a, b)
    replayed(a + 1, b)
    assert torch.equal(first, mixed(a, b))


def test_what_is_no_tensor_has_a_recording_of_its_own() -> None:
    recordings = Recordings()
    replayed = Replayed(mixed, recordings)
    a, b = numbers(4), numbers(2)
    for factor in (1, 16, 1, 16):
        assert torch.equal(replayed(a, b, factor), mixed(a, b, factor))
    assert recordings.made == 2


def test_another_layout_of_the_same_shape_is_recorded_anew() -> None:
    recordings = Recordings()
    replayed = Replayed(lambda x: x.contiguous().flatten(), recordings)
    x = numbers(1, 2, 3, 4)
    for given in (x, x.contiguous(memory_format=torch.channels_last), x):
        assert torch.equal(replayed(given), x.flatten())
    assert recordings.made == 2


def test_what_cannot_be_recorded_runs_without_and_is_not_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recordings = Recordings(fails=True)
    replayed = Replayed(mixed, recordings)
    a, b = numbers(4), numbers(2)
    for _ in range(3):
        assert torch.equal(replayed(a, b), mixed(a, b))
    assert recordings.made == 1
    assert "not permitted" in caplog.text


def test_a_caller_without_fixed_shapes_fills_no_memory() -> None:
    recordings = Recordings()
    replayed = Replayed(mixed, recordings)
    for size in range(1, 60):
        a, b = numbers(size), numbers(2)
        assert torch.equal(replayed(a, b), mixed(a, b))
    assert recordings.made < 20


def test_on_a_cpu_a_call_is_a_call() -> None:
    a, b = numbers(4), numbers(2)
    assert torch.equal(Replayed(mixed)(a, b), mixed(a, b))
