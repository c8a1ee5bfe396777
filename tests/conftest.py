"""Shared fixtures; helpers live in tests/doubles and tests/oracles."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from broadcaster.paths import StatePaths
from broadcaster.supervisor.claim import memory_folder

collect_ignore = [] if find_spec("torch") else ["torch"]
"""`make test` runs that folder with `.venv-torch`, which has torch; there none of it is skipped."""


@pytest.fixture(scope="session", autouse=True)
def no_memory_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Supervisors killed by tests leave a folder in memory; any start, so this too, removes it."""
    yield
    folder: Path = tmp_path_factory.mktemp("last")
    with memory_folder(StatePaths(folder)):
        pass
