"""Which devices a pool works on, found without importing a framework.

Asked once, at start, by whoever makes the pool. Must never set up a GPU: the owner's process keeps
out of GPU memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpu_pool.contracts import PoolError

AUTO = "auto"
VISIBLE = "CUDA_VISIBLE_DEVICES"

_LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"
"""Has torch take large tensors in large pages: the pages of a map of features are then not faulted
in one by one (wav2lip256 22 % less CPU, LatentSync 9 %, wav2lip96 2 % more, 50 MB more)."""

_DEVICE = re.compile(r"cpu|cuda:[0-9]+")


def find_devices(
    wanted: str | Sequence[str], environment: Mapping[str, str], gpus: int | None = None
) -> tuple[str, ...]:
    """The device of each slot.

    Args:
        wanted: ``auto`` is one per GPU, else one CPU; a list is taken as it is, and may name a
            device twice.
        environment: its ``CUDA_VISIBLE_DEVICES`` is honoured, as CUDA itself does.
        gpus: how many the machine has; None counts them.

    Raises:
        PoolError: a name is none of a device, or the list is empty.
    """
    if isinstance(wanted, str) and wanted != AUTO:
        wanted = [wanted]
    if wanted == AUTO:
        count = len(visible_gpus(environment, count_gpus() if gpus is None else gpus))
        return tuple(f"cuda:{n}" for n in range(count)) or ("cpu",)
    wrong = [each for each in wanted if not _DEVICE.fullmatch(each)]
    if wrong or not wanted:
        raise PoolError(f"devices {list(wanted)}: each is cpu or cuda:N, or say auto for all")
    return tuple(wanted)


def device_environment(device: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What a worker's environment says on top, so that it sees its device and no other.

    Bound by the slot's own device, never by a process name or id: those change with every respawn.
    The bus order makes numbers mean the same for CUDA as for the driver's tools.
    """
    if device == "cpu":
        return {VISIBLE: "", _LARGE_PAGES: environment.get(_LARGE_PAGES, "1")}
    number = int(device.partition(":")[2])
    listed = environment.get(VISIBLE)
    entries = [] if listed is None else [entry.strip() for entry in listed.split(",")]
    chosen = entries[number] if number < len(entries) else str(number)
    return {VISIBLE: chosen, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def device_in_worker(device: str) -> str:
    """What the engine is told: the only GPU that a worker sees has number 0."""
    return "cpu" if device == "cpu" else "cuda:0"


def visible_gpus(environment: Mapping[str, str], gpus: int) -> tuple[str, ...]:
    """Entries of ``CUDA_VISIBLE_DEVICES`` up to the first that names no GPU of this machine."""
    listed = environment.get(VISIBLE)
    if listed is None:
        return tuple(str(n) for n in range(gpus))
    found = []
    for entry in (each.strip() for each in listed.split(",")):
        numbered = entry.isdigit() and int(entry) < gpus
        if not numbered and not (gpus and entry.startswith(("GPU-", "MIG-"))):
            break
        found.append(entry)
    return tuple(found)


def count_gpus(nodes: Path = Path("/dev")) -> int:
    """NVIDIA GPUs that this process may use: by the driver's library, else by device nodes.

    ``/proc/driver/nvidia/gpus`` would also list those that a container was not given.
    """
    counted = _ask_driver()
    return len(list(nodes.glob("nvidia[0-9]*"))) if counted is None else counted


def _ask_driver() -> int | None:
    count = ctypes.c_uint(0)
    with contextlib.suppress(OSError, AttributeError):
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        if nvml.nvmlInit_v2() == 0:
            answered = nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0
            nvml.nvmlShutdown()
            return count.value if answered else None
    return None
