"""Shared fixtures; helpers live in tests/doubles and tests/oracles."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from broadcaster.paths import StatePaths
from broadcaster.supervisor.claim import memory_folder

collect_ignore = [] if find_spec("torch") else ["torch"]
"""`make test` runs that folder with `.venv-torch`, which has torch; there none of it is skipped."""

# A busy machine is slow at times: that is no finding.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def no_memory_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Supervisors killed by tests leave a folder in memory; any start, so this too, removes it."""
    yield
    folder: Path = tmp_path_factory.mktemp("last")
    with memory_folder(StatePaths(folder)):
        pass
