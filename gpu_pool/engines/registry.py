"""Finds an engine by name and imports it only then, in the worker that is to run it.

The owner of a pool must never import an engine: frameworks take seconds, gigabytes and a GPU.

An engine is a module with a function ``make(options) -> Engine``. One that is not listed here is
named by its module: ``"mypackage.myengine"``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from gpu_pool.contracts import Engine, EngineSpec, PoolError

ENGINES: Mapping[str, str] = {
    "latentsync": "gpu_pool.engines.latentsync.engine",
    "musetalk": "gpu_pool.engines.musetalk.engine",
    "photo": "gpu_pool.engines.photo.engine",
    "presenter": "gpu_pool.engines.presenter.engine",
    "simulated": "gpu_pool.engines.simulated",
    "wav2lip": "gpu_pool.engines.wav2lip.engine",
}
"""Name -> module."""


def make_engine(spec: EngineSpec) -> Engine[Any]:
    """An engine, not yet loaded.

    Raises:
        PoolError: no engine has that name.
        ImportError: its module, or what that needs, is not installed.
    """
    if spec.name not in ENGINES and "." not in spec.name:
        raise PoolError(f"no engine {spec.name!r}; there are {', '.join(sorted(ENGINES))}")
    module = importlib.import_module(ENGINES.get(spec.name, spec.name))
    engine: Engine[Any] = module.make(spec.options)
    return engine
