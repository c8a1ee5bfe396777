"""What an avatar looks like while it says nothing: the pictures of its channel's idle loop.

For whoever encodes that loop, in a process of its own; workers draw on the same body. Found by the
engine's name and imported only then, as engines are. Must never be imported by what paces the air.

A body is made by a module with ``load(source, picture) -> Body``, beside its engine.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from gpu_pool.contracts import Picture, PictureFormat, PoolError

BODIES: Mapping[str, str] = {
    "latentsync": "gpu_pool.engines.photo.body",
    "musetalk": "gpu_pool.engines.photo.body",
    "photo": "gpu_pool.engines.photo.body",
    "presenter": "gpu_pool.engines.presenter.body",
    "wav2lip": "gpu_pool.engines.photo.body",
}
"""Name of the engine -> module."""


class Body(Protocol):
    """An avatar at rest, at one picture size; a pure function of the tick."""

    def loop_ticks(self, fps: int) -> int:
        """Ticks after which it begins again, without a seam; whole seconds.

        An engine draws a task's picture of tick t on the body of t modulo this.
        """
        ...

    def picture(self, tick: int, fps: int) -> Picture:
        """(height * 3 / 2, width) I420; the caller's own."""
        ...


def load_body(engine: str, source: Path, picture: PictureFormat) -> Body:
    """The body of an avatar.

    Args:
        engine: that draws the avatar, by its name or its body's module.
        source: of the avatar, as in ``AvatarRef``.
        picture: format to draw in.

    Raises:
        PoolError: that engine has no body to show.
        Exception: the avatar cannot be read; the engine's own errors.
    """
    body: Body = importlib.import_module(_module_of(engine)).load(source, picture)
    return body


def body_content(engine: str, source: Path) -> str:
    """A hash of everything that decides what a body looks like: its files and its engine.

    Raises:
        PoolError: that engine has no body to show.
        OSError: the files cannot be read.
    """
    spec = importlib.util.find_spec(_module_of(engine))
    if spec is None or spec.origin is None:
        raise PoolError(f"the body of engine {engine!r} is not installed")
    digest = hashlib.sha256()
    for file in [*_files_of(source), *sorted(Path(spec.origin).parent.glob("*.py"))]:
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        with file.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()


def _files_of(source: Path) -> Iterator[Path]:
    """Every file of a folder; of a file those, too, that differ in their ending only."""
    if source.is_dir():
        yield from sorted(file for file in source.rglob("*") if file.is_file())
    else:
        yield from sorted({source, *source.parent.glob(f"{source.stem}.*")})


def _module_of(engine: str) -> str:
    if engine not in BODIES and "." not in engine:
        raise PoolError(f"engine {engine!r} has no body; there are {', '.join(sorted(BODIES))}")
    return BODIES.get(engine, engine)
