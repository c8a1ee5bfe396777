"""The one error of reading a checkpoint; beside the signal path, values only."""

from __future__ import annotations

from pathlib import Path

from gpu_pool.contracts import PoolError


class CheckpointRefused(PoolError):
    """A file of weights cannot be used, or shall not be trusted; the text names file and reason."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason
