"""Works an avatar out for its engine, whole and ahead of time; called by a process of its own.

Beside the pool: a worker does the same picture by picture while it draws. What is there already is
not done again, so it may be killed at any time.
"""

from __future__ import annotations

from collections.abc import Iterator

from gpu_pool.contracts import AvatarRef, PoolError, WorksOut
from gpu_pool.engines.registry import make_engine


def work_out(avatar: AvatarRef, device: str) -> Iterator[tuple[int, int, int]]:
    """Load the engine, and have it look at every picture.

    Yields:
        As ``WorksOut.work_out``.

    Raises:
        PoolError: the engine cannot be loaded, has nothing to work out, or refuses the avatar.
        ImportError: the engine needs what is not installed.
    """
    engine = make_engine(avatar.engine)
    if not isinstance(engine, WorksOut):
        raise PoolError(f"the engine {avatar.engine.name} has nothing to work out beforehand")
    engine.load(device)
    engine.prepare(avatar)
    yield from engine.work_out(avatar.name)
