"""Every form in which torch writes weights is read without torch, to the same numbers."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gpu_pool.engines.checkpoint import open_checkpoint

Save = Callable[[object, Path], None]


class Small(nn.Module):
    """Nested, with parameters, buffers, a list and a tied weight."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.PReLU()))
        self.rows = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4, bias=False)])
        self.rows[1].weight = self.rows[0].weight
        self.register_buffer("table", torch.arange(6.0).reshape(2, 3).T)
        self.sizes = [1, 2, 3]

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x).mean((2, 3)) + self.sizes[0]
        for row in self.rows:
            y = row(y)
        return y + self.table.sum()


def new(value: object, path: Path) -> None:
    torch.save(value, path)


def old(value: object, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


def assert_same(path: Path, expected: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    opened = open_checkpoint(path)
    assert set(opened.tensors) == set(expected)
    for name, tensor in expected.items():
        wanted = tensor.to(dtype) if tensor.is_floating_point() else tensor
        np.testing.assert_array_equal(opened.array(name), wanted.float().numpy(), err_msg=name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("save", [new, old])
def test_a_state_dict_is_read_in_every_precision(
    save: Save, dtype: torch.dtype, tmp_path: Path
) -> None:
    net = Small()
    save(net.to(dtype).state_dict(), tmp_path / "a.pth")
    assert_same(tmp_path / "a.pth", net.state_dict(), dtype)


@pytest.mark.parametrize("save", [new, old])
def test_a_training_save_is_read_without_its_optimiser(save: Save, tmp_path: Path) -> None:
    net = Small()
    optimiser = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 3, 5, 5)).sum().backward()
    optimiser.step()
    state = OrderedDict((f"module.{name}", each) for name, each in net.state_dict().items())
    saved = {
        **{"state_dict": state, "optimizer": optimiser.state_dict()},
        **{"global_step": 20, "global_epoch": 1},
    }
    save(saved, tmp_path / "a.pth")
    assert_same(tmp_path / "a.pth", net.state_dict(), torch.float32)


@pytest.mark.parametrize("save", [new, old])
def test_parameters_and_views_are_read(save: Save, tmp_path: Path) -> None:
    table = torch.arange(24.0).reshape(4, 6)
    saved = {"p": nn.Parameter(table), "row": table[2], "turned": table.T[1:3, 2:]}
    save(saved, tmp_path / "a.pth")
    assert_same(tmp_path / "a.pth", {n: each.detach() for n, each in saved.items()}, torch.float32)


@pytest.mark.parametrize("how", ["script", "trace"])
def test_a_torchscript_archive_is_read_without_running_it(how: str, tmp_path: Path) -> None:
    net = Small().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that TorchScript has no future; files have
        made = (
            torch.jit.script(net)
            if how == "script"
            else torch.jit.trace(net, torch.ones(1, 3, 5, 5))
        )
        torch.jit.save(made, tmp_path / "a.pth")
    assert open_checkpoint(tmp_path / "a.pth").form == "TorchScript"
    assert_same(tmp_path / "a.pth", made.state_dict(), torch.float32)


def test_a_whole_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(Small(), tmp_path / "a.pth")
    with pytest.raises(Exception, match=r"wants to call tests\.torch\.\S+Small"):
        open_checkpoint(tmp_path / "a.pth")
