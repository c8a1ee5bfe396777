"""Devices: found without a framework, and bound to slots for good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gpu_pool.contracts import PoolError
from gpu_pool.devices import count_gpus, device_environment, find_devices


def test_auto_is_one_worker_per_gpu() -> None:
    assert find_devices("auto", {}, gpus=3) == ("cuda:0", "cuda:1", "cuda:2")


def test_auto_without_a_gpu_is_one_cpu_worker() -> None:
    assert find_devices("auto", {}, gpus=0) == ("cpu",)


def test_a_list_is_taken_as_it_is_the_same_device_twice_included() -> None:
    assert find_devices(["cpu", "cpu"], {}, gpus=8) == ("cpu", "cpu")
    assert find_devices(["cuda:1", "cpu"], {}, gpus=0) == ("cuda:1", "cpu")
    assert find_devices("cpu", {}, gpus=8) == ("cpu",)


@pytest.mark.parametrize("wanted", [[], ["gpu"], ["cuda"], ["cuda:-1"], "mps", ["cpu", ""]])
def test_what_is_no_device_is_an_error(wanted: list[str] | str) -> None:
    with pytest.raises(PoolError, match="each is cpu or cuda:N"):
        find_devices(wanted, {}, gpus=1)


@pytest.mark.parametrize(
    ("visible", "count"),
    [("", 0), ("2", 1), ("3,1", 2), ("0,9,1", 1), ("-1", 0), ("0,-1,1", 1), ("GPU-3a,GPU-4b", 2)],
)
def test_gpus_hidden_by_the_environment_are_not_used(visible: str, count: int) -> None:
    found = find_devices("auto", {"CUDA_VISIBLE_DEVICES": visible}, gpus=4)
    assert len([device for device in found if device != "cpu"]) == count


def test_a_worker_sees_its_own_gpu_only() -> None:
    assert device_environment("cuda:2", {})["CUDA_VISIBLE_DEVICES"] == "2"
    renamed = {"CUDA_VISIBLE_DEVICES": "5, 3,7"}
    assert device_environment("cuda:1", renamed)["CUDA_VISIBLE_DEVICES"] == "3"


def test_a_cpu_worker_sees_no_gpu() -> None:
    assert device_environment("cpu", {})["CUDA_VISIBLE_DEVICES"] == ""


def test_a_cpu_worker_takes_large_pages_unless_told_otherwise() -> None:
    name = "THP_MEM_ALLOC_ENABLE"
    assert device_environment("cpu", {})[name] == "1"
    assert device_environment("cpu", {name: "0"})[name] == "0"
    assert name not in device_environment("cuda:0", {})


def test_gpus_are_counted_by_their_nodes_where_the_driver_does_not_answer(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert count_gpus(tmp_path) in {2, count_gpus()}


def test_the_owner_of_a_pool_loads_no_framework_and_no_engine() -> None:
    """LatentsyncRealtime's main process loads a second complete pipeline on the first GPU."""
    script = (
        "import sys, gpu_pool.pool, gpu_pool.reorder, gpu_pool.windows; "
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'cv2') "
        "or m.startswith('gpu_pool.engines')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert ran.stdout == "[]\n"
