"""The option ``paste``: where faces are put into pictures."""

from __future__ import annotations

import torch

from gpu_pool.engines.options import OptionsRefused

_WAYS = ("auto", "device", "host")


def check_way(engine: str, way: str) -> None:
    """Whether the option says something that is known.

    Raises:
        OptionsRefused: it does not.
    """
    if way not in _WAYS:
        said = f"has to be {', '.join(_WAYS[:-1])} or {_WAYS[-1]}, not {way!r}"
        raise OptionsRefused(f"{engine}: paste {said}")


def pastes_on(way: str, conformance: bool, device: torch.device) -> torch.device | None:
    """The device on which faces are pasted, or None: on the host, by OpenCV.

    ``auto`` is the device on a GPU and the host on a CPU, where OpenCV is 1.3 to 2 times
    faster at a resize and 16 times at a Lanczos warp.
    The authors' own arithmetic (``conformance``) is the host's.
    """
    on_device = way == "device" or (way == "auto" and device.type == "cuda")
    return device if on_device and not conformance else None
