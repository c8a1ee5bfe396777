"""What a run costs: time, memory, energy; and on what machine it ran."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path

import torch

from benchmarks.cpu import tree

_POWERCAP = Path("/sys/class/powercap")


def spent_s(device: str) -> float:
    """A clock for what this process computes: CPU time on a CPU, else the clock's."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def device_name(device: str) -> str:
    if device != "cpu":
        return str(torch.cuda.get_device_name(device))
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    matrix = ", matrix units" if torch.cpu._is_amx_tile_supported() else ""
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores{matrix}"


def machine(device: str) -> str:
    """One line for the head of a table."""
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    return f"{device_name(device)}; torch {torch.__version__}; load average at start {load}"


def peak_mb(root: int) -> float:
    """The largest resident set that a child of this process has ever had."""
    return max((_high_water_mb(pid) for pid in tree(root) if pid != root), default=0.0)


def gpu_used_mb(device: str) -> float:
    """Taken on the device by whoever; its allocators keep what they took at their peak."""
    if device == "cpu":
        return 0.0
    free, total = torch.cuda.mem_get_info(device)
    return float(total - free) / 1e6


class Energy:
    """Joules since the machine was started, of all counters that can be read."""

    def __init__(self, device: str) -> None:
        self._packages = sorted(_POWERCAP.glob("intel-rapl:?/energy_uj"))
        self._nvml, self._gpu = None, ctypes.c_void_p()
        if device != "cpu":
            self._open(torch.cuda.get_device_properties(device).uuid)

    def _open(self, uuid: object) -> None:
        try:
            nvml = ctypes.CDLL("libnvidia-ml.so.1")
        except OSError:
            return
        name = f"GPU-{uuid}".encode()
        failed = nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByUUID(name, ctypes.byref(self._gpu))
        self._nvml = None if failed else nvml

    def read_j(self) -> dict[str, float]:
        found = {}
        with contextlib.suppress(OSError):  # for root only, on most machines
            used = [float(each.read_text()) / 1e6 for each in self._packages]
            found = {"CPU": sum(used)} if used else {}
        if self._nvml is not None:
            used_mj = ctypes.c_ulonglong()
            if not self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu, ctypes.byref(used_mj)):
                found["GPU"] = used_mj.value / 1e3
        return found


def told_j(before: dict[str, float], after: dict[str, float], pictures: int) -> str:
    """Joules a picture, for a table."""
    parts = [
        f"{name} {(after[name] - before[name]) / pictures:.2f}"
        for name in after
        if name in before and after[name] >= before[name]
    ]
    return ", ".join(parts) or "not readable"


def _high_water_mb(pid: int) -> float:
    try:
        lines: Iterable[str] = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(each.split()[1]) / 1024 for each in lines if each.startswith("VmHWM")), 0.0)
